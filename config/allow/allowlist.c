#include "config/allow/allowlist.h"

#include <errno.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/smtp/address.h"
#include "config/allow/allowlist_priv.h"

/* So many domains without a recipient are named. */
enum { EMPTY_LISTED = 9 };

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
	const struct row *earlier;
	unsigned seen = 0;

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
		row_option_take(r, row, word, &seen);
	}
	if (!(seen & 1u << OPT_RECIPIENTS))
		sources_take_default(r, row);
	r->d->has_quota |= row->pub.quota_bytes > 0;
	r->d->has_standby[row->pub.standby] = true;
	earlier = domains_add(r->d);
	if (row->has_idle)
		row_kind_count(&r->d->idle, row);
	if ((seen & 1u << OPT_LIFETIME) && row->pub.lifetime_ms < DAYS(1))
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

static void read_failed(struct reader *r, const char *why)
{
	FAIL(r, "cannot be read: %s", why);
}

static void read_rows(struct reader *r)
{
	size_t count = 0;
	struct span line;

	if (!lines_count(&r->lines, &count)) {
		read_failed(r, strerror(errno));
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
		read_failed(r, lines_strerror(&r->lines));
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
		read_failed(&r, strerror(errno));
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
