/* Where the recipients of a domain come from: files, URLs, or the primary. */
#include <unistd.h>

#include "common/base/assert.h"
#include "config/allow/allowlist_priv.h"
#include "config/allow/url.h"
#include "config/value/value.h"

/* ---- Which file, and is it one that is known already? ---- */

/* path: also a URL.  named: the file as the line names it; empty: recipients/
 * and its domain. */
static uint32_t find_source(struct reader *r, struct span path,
			    struct span named)
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

/* A name that is written otherwise than it is looked up
 * (upper case, U-labels) may have its file under either. */
void sources_take_default(struct reader *r, struct row *row)
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
	use_source(r, row,
		   find_source(r, buf_span(&r->text), buf_span(&other)));
	buf_fini(&other);
}

/* ---- What recipients= names ---- */

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
void sources_take(struct reader *r, struct row *row, struct span list)
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
