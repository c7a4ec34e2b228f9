#include "config/allow/allowlist.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/smtp/address.h"
#include "config/allow/recipients.h"
#include "config/allow/url.h"
#include "config/value/error.h"
#include "config/value/kind.h"
#include "config/value/text.h"
#include "config/value/value.h"

/* What reading the allowlist needs and the result does not keep. */
struct reader {
	struct span path; /* NUL behind it */
	const struct allowlist_defaults *defaults;
	struct config_errors *errors;
	struct domains *d;
	struct lines lines;
	struct pool scratch;
	size_t room;		/* lines, and so rows */
	size_t source_room;	/* sets, uses and sources: with more of them
				 * a line has a comma between two */
	struct recipient_file *sources; /* one per set of d */
	uint32_t *by_path;	/* open addressing: 1 + number of a source */
	size_t by_path_mask;
	struct span line;	/* this one, whole */
	bool has_begun;		/* with a line that is one of a list */
	struct span as_written; /* the domain of this line */
	struct buf text;
};

/* So many domains without a recipient are named. */
enum { EMPTY_LISTED = 9 };

#define FAIL(r, ...)                                                           \
	config_fail((r)->errors, (r)->path, (r)->lines.number, __VA_ARGS__)

/* ---- Which file, and is it one that is known already? ---- */

/* path: also a URL.  named: the file as the line names it; empty: recipients/
 * and its domain. */
static uint32_t find_source(struct reader *r, struct span path, struct span named)
{
	size_t i = hash_keyed(path) & r->by_path_mask;

	for (; r->by_path[i] != 0; i = (i + 1) & r->by_path_mask)
		if (span_eq(r->sources[r->by_path[i] - 1].path, path))
			return r->by_path[i] - 1;
	MX_ASSERT(r->d->source_count < r->source_room);
	uint32_t number = (uint32_t)r->d->source_count++;
	r->by_path[i] = number + 1;
	r->sources[number].path = pool_span(&r->scratch, path);
	r->sources[number].line = r->lines.number;
	r->d->sources[number].row = (uint32_t)r->d->row_count;
	if (named.n > 0)
		r->d->sources[number].file = pool_span(&r->d->pool, named).p;
	return number;
}

static void use_source(struct reader *r, struct row *row,
		       uint32_t source)
{
	struct domains *d = r->d;

	if (row_use_of(d, row, source) != NULL) /* named twice: harmless */
		return;
	MX_ASSERT(d->use_count < r->source_room);
	d->uses[d->use_count++] = (struct use){ .source = source };
	row->use_count++;
}

/* Relative to the allowlist. */
static const char *beside(struct reader *r, const char *dir, struct span name)
{
	buf_reset(&r->text);
	if (name.p[0] != '/' || *dir != '\0')
		buf_add(&r->text, value_dir(r->path));
	buf_adds(&r->text, dir);
	buf_add(&r->text, name);
	return buf_cstr(&r->text);
}

/* recipients/DOMAIN; a name that is written otherwise than it is looked up
 * (upper case, U-labels) may have its file under either. */
static void use_default(struct reader *r, struct row *row)
{
	const char *path = beside(r, "recipients/", row->pub.name);
	struct buf other = { 0 };

	if (!span_eq(row->pub.name, r->as_written) && access(path, F_OK) != 0) {
		buf_adds(&other, "recipients/");
		buf_add(&other, r->as_written);
		if (access(beside(r, "", buf_span(&other)), F_OK) != 0) {
			beside(r, "recipients/", row->pub.name);
			buf_reset(&other);
		}
	}
	use_source(r, row, find_source(r, buf_span(&r->text), buf_span(&other)));
	buf_fini(&other);
}

/* ---- Options of a line ---- */

static void take_file(struct reader *r, struct row *row, struct span file)
{
	beside(r, "", file);
	use_source(r, row, find_source(r, buf_span(&r->text), file));
}

/* Its last good copy serves until it is fetched. */
static void get_feed(struct reader *r, struct source *source, struct span url)
{
	struct buf why = { 0 };
	struct feed_state state;

	source->feed = feed_get(url, r->defaults->tables, &why);
	feed_state(source->feed, SPAN_LIT(""), &state);
	r->d->recipient_count += state.count;
	if (why.n > 0)
		config_doubt(r->errors, r->path, r->lines.number,
			     "recipients: the copy of %s %s",
			     feed_shown(source->feed), buf_cstr(&why));
	if (!state.has_table)
		config_doubt(r->errors, r->path, r->lines.number,
			     "recipients: %s was not fetched yet: whom it "
			     "lists is not known until it is",
			     feed_shown(source->feed));
	buf_fini(&why);
}

static void take_url(struct reader *r, struct row *row, struct span url)
{
	const char *wrong = url_wrong(url);
	uint32_t source;

	if (wrong != NULL) {
		FAIL(r, "recipients: %s", wrong);
		return;
	}
	source = find_source(r, url, url);
	use_source(r, row, source);
	if (r->d->sources[source].feed == NULL)
		get_feed(r, &r->d->sources[source], url);
}

static void take_source(struct reader *r, struct row *row, struct span word)
{
	if (span_eq(word, SPAN_LIT("*")))
		row->pub.any_recipient = true;
	else if (span_eq(word, SPAN_LIT("verify")))
		row->pub.verify = true;
	else if (url_is_one(word))
		take_url(r, row, word);
	else if (word.n > 0)
		take_file(r, row, word);
	else
		FAIL(r, "recipients: nothing between two commas or at the end");
}

/* With * the others are not read: it is true of everyone. */
static void take_recipients(struct reader *r, struct row *row, struct span list)
{
	struct span rest = list;

	while (rest.n > 0 && !row->pub.any_recipient)
		row->pub.any_recipient =
			span_eq(span_cut(&rest, ','), SPAN_LIT("*"));
	if (row->pub.any_recipient) {
		row->has_idle = span_find(list, ',') < list.n;
		return;
	}
	for (rest = list;;) {
		bool is_last = span_find(rest, ',') == rest.n;

		take_source(r, row, span_cut(&rest, ','));
		if (is_last)
			return;
	}
}

/* The port of those that name none, and the text that equal routes share. */
static void complete_hops(struct reader *r, struct row *row, struct span text)
{
	struct config_hop *hops = row->pub.primary;

	(void)text;
	buf_reset(&r->text);
	for (size_t i = 0; i < row->pub.primary_count; i++) {
		if (hops[i].port == 0)
			hops[i].port = r->defaults->port;
		hops[i].addr.port = hops[i].port;
		buf_adds(&r->text, i > 0 ? "," : "");
		value_hop_add(&r->text, &hops[i]);
	}
	row->pub.primary_text = pool_span(&r->d->pool, buf_span(&r->text));
}

#define AT(f) offsetof(struct row, pub.f), 0
#define LIST(f, n) offsetof(struct row, pub.f), offsetof(struct row, pub.n)

/* clang-format off */
enum { OPT_RECIPIENTS, OPT_PRIMARY, OPT_LIFETIME };
static const struct row_option {
	struct option o;
	uint8_t own; /* OWN_ bit */
	/* what it means beyond its field */
	void (*then)(struct reader *r, struct row *row, struct span word);
} row_options[] = {
	/* name, kind, flags, field, least, most */
	[OPT_RECIPIENTS] =
	{ { "recipients", K_RECIPIENTS, 0 }, OWN_RECIPIENTS, take_recipients },
	[OPT_PRIMARY] =
	{ { "primary", K_HOPS, 0, LIST(primary, primary_count) }, 0,
	  complete_hops },
	[OPT_LIFETIME] =
	{ { "lifetime", K_TIME, HAS_RANGE,
	    AT(lifetime_ms), SECONDS(1), DAYS(365) }, 0, NULL },
	{ { "unknown", K_UNKNOWN, 0, AT(unknown) }, OWN_UNKNOWN, NULL },
	{ { "standby", K_STANDBY, 0, AT(standby) }, OWN_STANDBY, NULL },
	{ { "tls", K_TLS, 0, AT(tls) }, 0, NULL },
	{ { "quota", K_SIZE, HAS_RANGE, AT(quota_bytes), 0,
	    INT64_C(16) << 40 }, OWN_QUOTA, NULL },
	{ { "etrn", K_NETWORKS, 0, LIST(etrn, etrn_count) }, 0, NULL },
	{ { "delimiter", K_SIGN, 0, AT(delimiter) }, 0, NULL },
};
/* clang-format on */

static void *pool_array(void *arg, size_t count, size_t size)
{
	return pool_alloc_array(arg, count, size);
}

static void take_word(struct reader *r, struct row *row,
		      const struct row_option *opt, struct span word)
{
	const struct keeper k = { pool_array, &r->d->pool };
	const struct option *o = &opt->o;
	struct buf why = { 0 };

	if (kind_lacks_unit(o, word, &why)) {
		FAIL(r, "%s: %s", o->path, buf_cstr(&why));
	} else if (!kind_take_word(o, word, &k, row)) {
		kind_accepts(&why, o, kinds[o->kind].word);
		FAIL(r, "%s: expected %s, not \"%.*s\"", o->path,
		     buf_cstr(&why), SPAN_ARG(word));
	} else if (opt->then != NULL) {
		opt->then(r, row, word);
	}
	buf_fini(&why);
}

static void refuse_option(struct reader *r, struct span key)
{
	struct buf names = { 0 };

	if (span_find(key, '.') < key.n) {
		FAIL(r, "%.*s: one domain a line, and then its options",
		     SPAN_ARG(key));
		return;
	}
	for (size_t i = 0; i < COUNT(row_options); i++)
		buf_addf(&names, " %s=", row_options[i].o.path);
	FAIL(r, "%.*s: unknown option; there are:%s", SPAN_ARG(key),
	     buf_cstr(&names));
	buf_fini(&names);
}

static void take_option(struct reader *r, struct row *row, struct span word,
			bool *seen)
{
	struct span value = word, key = span_cut(&value, '=');
	size_t i = 0;

	while (i < COUNT(row_options) &&
	       !span_eq(key, span_str(row_options[i].o.path)))
		i++;
	if (i == COUNT(row_options)) {
		refuse_option(r, key);
		return;
	}
	if (seen[i])
		FAIL(r, "%s: given twice", row_options[i].o.path);
	else
		take_word(r, row, &row_options[i], value);
	seen[i] = true;
	row->pub.own |= row_options[i].own;
}

/* ---- Lines ---- */

/* Cut the next word off; empty at the end of the line or at a comment. */
static struct span next_word(struct span *line)
{
	struct span word;

	*line = span_trim(*line);
	if (span_starts(*line, SPAN_LIT("#")))
		*line = (struct span){ line->p, 0 };
	word = *line;
	for (word.n = 0; word.n < line->n; word.n++)
		if (word.p[word.n] == ' ' || word.p[word.n] == '\t')
			break;
	*line = span_skip(*line, word.n);
	return word;
}

/* Also of words that would be taken: a path, or a name that IDNA makes another
 * one of, without a word. */
static bool is_text(struct reader *r, struct span word)
{
	struct buf what = { 0 };
	bool hides = text_hides(r->line, word, &what);

	if (hides)
		FAIL(r, TEXT_HIDES, buf_cstr(&what));
	buf_fini(&what);
	return !hides;
}

static bool take_name(struct reader *r, struct row *row, struct span word)
{
	bool wildcard = span_starts(word, SPAN_LIT("*."));
	enum mx_err err;

	r->as_written = word;
	buf_reset(&r->text);
	buf_adds(&r->text, wildcard ? "*." : "");
	err = smtp_domain_canon(&r->text, span_skip(word, wildcard ? 2 : 0));
	if (err == MX_OK) {
		row->pub.name = pool_span(&r->d->pool, buf_span(&r->text));
		return true;
	}
	FAIL(r,
	     "%.*s: expected a domain such as example.org, or "
	     "*.example.org for its subdomains",
	     SPAN_ARG(word));
	return false;
}

/* "recipients = *", as mx20.conf has it: three words here. */
static bool is_apart(struct reader *r, struct span word, struct span line)
{
	struct span next = next_word(&line);
	bool ends = word.p[word.n - 1] == '=' && next.n > 0 &&
		    span_find(next, '=') == next.n;

	if (!ends && !span_starts(next, SPAN_LIT("=")) && word.p[0] != '=')
		return false;
	FAIL(r, "no blanks around the = of an option: recipients=verify");
	return true;
}

static void take_row(struct reader *r, struct span word, struct span line)
{
	struct row *row = &r->d->rows[r->d->row_count];
	bool seen[COUNT(row_options)] = { false };
	const struct row *earlier;

	*row = (struct row){ .use = (uint32_t)r->d->use_count,
			     .line = r->lines.number };
	row->pub.own = OWN_RECIPIENTS;
	row->pub.unknown = r->defaults->unknown;
	row->pub.standby = r->defaults->standby;
	row->pub.tls = r->defaults->tls;
	row->pub.lifetime_ms = r->defaults->lifetime_ms;
	row->pub.quota_bytes = r->defaults->quota_bytes;
	if (!is_text(r, word) || !take_name(r, row, word))
		return;
	while ((word = next_word(&line)).n > 0) {
		if (!is_text(r, word) || is_apart(r, word, line))
			return;
		take_option(r, row, word, seen);
	}
	if (!seen[OPT_RECIPIENTS])
		use_default(r, row);
	r->d->has_quota |= row->pub.quota_bytes > 0;
	r->d->has_standby[row->pub.standby] = true;
	earlier = domains_add(r->d);
	if (row->has_idle)
		row_kind_count(&r->d->idle, row);
	if (seen[OPT_LIFETIME] && row->pub.lifetime_ms < DAYS(1))
		row_kind_count(&r->d->brief, row);
	if (earlier != NULL)
		FAIL(r, "%.*s: listed already in line %u",
		     SPAN_ARG(row->pub.name), earlier->line);
}

/* False: there is no point in reading on. */
static bool take_line(struct reader *r, struct span line)
{
	size_t before = r->errors->count;
	struct span rest = line, word = next_word(&rest);

	if (word.n == 0)
		return true;
	r->line = line;
	take_row(r, word, rest);
	if (r->errors->count > before && !r->has_begun &&
	    text_is_complaint(line)) {
		FAIL(r, TEXT_COMPLAINT);
		return false;
	}
	r->has_begun = true;
	if (r->lines.is_cut)
		config_doubt(r->errors, r->path, r->lines.number,
			     TEXT_CUT, SPAN_ARG(line));
	return true;
}

static void read_files(struct reader *r)
{
	struct recipients_reader rr = {
		.d = r->d,
		.errors = r->errors,
		.allowlist = r->path,
		.lines = &r->lines,
	};

	for (size_t i = 0; i < r->d->source_count; i++)
		if (r->d->sources[i].feed == NULL)
			recipients_read(&rr, &r->d->sources[i], &r->sources[i]);
	buf_fini(&rr.local);
	buf_fini(&rr.domain);
}

/* Real users of such a domain would hear 550. */
static void doubt_row(struct reader *r, const struct row *row)
{
	struct buf file = { 0 };

	source_name(&file, r->d, r->d->uses[row->use].source);
	config_doubt(r->errors, buf_span(&file), 0,
		     "no recipient for %.*s: all its mail is refused, but that "
		     "to postmaster",
		     SPAN_ARG(row->pub.name));
	buf_fini(&file);
}

static void doubt_empty(struct reader *r)
{
	const struct domains *d = r->d;
	size_t count = 0;

	for (size_t i = 0; i < d->row_count; i++)
		if (row_recipients(d, &d->rows[i]) == 0 &&
		    ++count <= EMPTY_LISTED)
			doubt_row(r, &d->rows[i]);
	if (count > EMPTY_LISTED)
		config_doubt(r->errors, r->path, 0,
			     "%zu more domains have no recipient",
			     count - EMPTY_LISTED);
}

static void make_room(struct reader *r, size_t lines, size_t sources)
{
	size_t slots = 16;

	while (slots < sources * 2)
		slots *= 2;
	r->room = lines;
	r->source_room = sources;
	r->d = domains_new(r->path, lines, sources);
	r->sources = pool_alloc_array(&r->scratch, sources,
				      sizeof(*r->sources));
	r->by_path = pool_alloc_array(&r->scratch, slots, sizeof(*r->by_path));
	r->by_path_mask = slots - 1;
}

static void read_failed(struct reader *r, int errnum)
{
	FAIL(r, "cannot be read: %s", strerror(errnum));
}

static void read_rows(struct reader *r)
{
	size_t count = 0;
	struct span line;

	if (!lines_count(&r->lines, &count)) {
		read_failed(r, errno);
		return;
	}
	if (count > ROWS_MAX || r->lines.commas > ROWS_MAX) {
		FAIL(r, "more than %d lines", ROWS_MAX);
		return;
	}
	make_room(r, count, count + r->lines.commas);
	if (r->lines.is_utf16) {
		FAIL(r, TEXT_UTF16);
		return;
	}
	while (lines_next(&r->lines, &line)) {
		if (r->lines.number > r->room) {
			FAIL(r, "was written to while it was read");
			break;
		}
		if (!take_line(r, line))
			break;
	}
	if (r->lines.error != 0)
		read_failed(r, r->lines.error);
}

struct domains *allowlist_read(struct span path,
			       const struct allowlist_defaults *defaults,
			       struct config_errors *errors)
{
	struct reader r = {
		.path = path,
		.defaults = defaults,
		.errors = errors,
	};

	lines_init(&r.lines);
	if (!lines_open(&r.lines, path.p)) {
		read_failed(&r, errno);
	} else {
		read_rows(&r);
		lines_close(&r.lines);
	}
	if (r.d != NULL) {
		read_files(&r);
		doubt_empty(&r);
	}
	pool_free(&r.scratch);
	buf_fini(&r.text);
	lines_fini(&r.lines);
	return r.d;
}

/* ---- Warnings ---- */

static void warn_of_rows(const struct domains *d, struct config_errors *e,
			 const struct row_kind *kind, const char *what,
			 const char *why)
{
	char more[64] = "";

	if (kind->count == 0)
		return;
	if (kind->count > 1)
		snprintf(more, sizeof(more), " and %zu more", kind->count - 1);
	config_doubt(e, d->path, kind->first->line, "%.*s%s: %s: %s",
		     SPAN_ARG(kind->first->pub.name), more, what, why);
}

void allowlist_doubts(const struct domains *d, struct config_errors *errors)
{
	if (d->row_count == 0)
		config_doubt(errors, d->path, 0,
			     "the allowlist is empty: no mail is taken");
	warn_of_rows(d, errors, &d->any, "recipients=*",
		     "takes mail that the primary will refuse, mostly from "
		     "forged senders; recipients=verify asks the primary");
	warn_of_rows(d, errors, &d->idle, "recipients",
		     "with * everyone is a recipient: the other sources are "
		     "not read");
	warn_of_rows(d, errors, &d->brief, "lifetime",
		     "less than a day: an outage of one night returns all "
		     "mail; RFC 5321 section 4.5.4.1 asks for 4 to 5 days at "
		     "least");
}
