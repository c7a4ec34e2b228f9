#include "common/status/trace.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/msgid.h"
#include "common/control/control.h"

/* ---- The fact ---- */

enum { WORDS_MAX = 200, NAME_MAX_SHOWN = 256 };

void trace_key(struct buf *out, uint64_t serial)
{
	buf_add(out, TRACE_PREFIX);
	buf_addf(out, "%016" PRIx64, ~serial);
}

bool trace_key_parse(struct span key, uint64_t *serial)
{
	char digits[17] = "", *end;

	if (!span_starts(key, TRACE_PREFIX) ||
	    key.n != TRACE_PREFIX.n + sizeof(digits) - 1)
		return false;
	memcpy(digits, key.p + TRACE_PREFIX.n, sizeof(digits) - 1);
	*serial = ~strtoull(digits, &end, 16);
	return *end == '\0';
}

static void add_field(struct buf *row, struct span text, size_t most, char end)
{
	size_t n = text.n < most ? text.n : most;
	char *to = buf_reserve(row, n + 1);

	if (n > 0)
		memcpy(to, text.p, n);
	for (size_t i = 0; i < n; i++)
		if (to[i] == '\t' || to[i] == '\n' || to[i] == '\0')
			to[i] = ' ';
	to[n] = end;
	row->n += n + 1;
}

/* A clock that stands before 1970 counts for nothing. */
static void add_time(struct buf *row, int64_t ms)
{
	buf_addu(row, ms > 0 ? (uint64_t)ms : 0);
	buf_addc(row, '\t');
}

/* Once for each recipient that leaves: no printf here. */
void trace_add(struct buf *row, const struct trace *t)
{
	add_time(row, t->left_ms);
	add_time(row, t->arrived_ms);
	msg_id_add(row, t->id);
	buf_addc(row, '\t');
	add_field(row, t->how, NAME_MAX_SHOWN, '\t');
	add_field(row, t->from, NAME_MAX_SHOWN, '\t');
	add_field(row, t->to, NAME_MAX_SHOWN, '\t');
	add_field(row, t->host, NAME_MAX_SHOWN, '\t');
	add_field(row, t->reply, WORDS_MAX, '\n');
}

static bool get_time(struct span *line, int64_t *ms)
{
	uint64_t n;

	if (!span_u64(span_cut(line, '\t'), &n) || n > INT64_MAX)
		return false;
	*ms = (int64_t)n;
	return true;
}

static bool get_line(struct span line, struct trace *t)
{
	*t = (struct trace){ 0 };
	if (!get_time(&line, &t->left_ms) || !get_time(&line, &t->arrived_ms) ||
	    !msg_id_parse(span_cut(&line, '\t'), &t->id))
		return false;
	t->how = span_cut(&line, '\t');
	t->from = span_cut(&line, '\t');
	t->to = span_cut(&line, '\t');
	t->host = span_cut(&line, '\t');
	t->reply = line;
	return true;
}

/* Take the next line off the row; false: there is no further one. */
static bool next_line(struct span *row, struct trace *out)
{
	while (row->n > 0)
		if (get_line(span_cut(row, '\n'), out))
			return true;
	return false;
}

bool trace_is_over(struct span key, struct span value, int64_t now_ms)
{
	struct trace t;

	if (!span_starts(key, TRACE_PREFIX))
		return false;
	return !next_line(&value, &t) || t.left_ms < now_ms - TRACE_KEPT_MS;
}

/* ---- Looking ---- */

bool trace_filter_take(struct trace_filter *f, struct span word)
{
	*f = (struct trace_filter){ 0 };
	if (word.n == 0 || word.n > PATTERN_MAX)
		return false;
	if (memchr(word.p, '@', word.n) != NULL)
		return pattern_take(&f->either, word);
	if (!msg_id_parse(word, &f->id))
		f->id = 0;
	buf_add(&f->word, word);
	return true;
}

void trace_filter_fini(struct trace_filter *f)
{
	pattern_fini(&f->either);
	buf_fini(&f->word);
}

static bool is_looked_for(struct trace_filter *f, const struct trace *t)
{
	if (f->either.kind != PATTERN_ANY)
		return pattern_matches(&f->either, t->from) ||
		       pattern_matches(&f->either, t->to);
	return (f->id != 0 && f->id == t->id) ||
	       pattern_contains_word(t->reply, buf_span(&f->word));
}

struct listing {
	struct trace_filter *filter;
	struct status_page *page;
	size_t looked_at; /* rows */
};

static json_t *trace_object(const struct trace *t)
{
	struct buf id = { 0 };
	json_t *o;

	msg_id_add(&id, t->id);
	o = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id",
		      control_text(buf_span(&id)), "arrival",
		      control_time(t->arrived_ms), "time",
		      control_time(t->left_ms), "outcome", control_text(t->how),
		      "from", control_text(t->from), "to", control_text(t->to),
		      "host", control_text_or_null(t->host), "reply",
		      control_text_or_null(t->reply));
	buf_fini(&id);
	return o;
}

static void add_row(struct listing *l, struct span row)
{
	struct trace t;

	while (next_line(&row, &t))
		if (is_looked_for(l->filter, &t))
			json_array_append_new(l->page->items, trace_object(&t));
}

/* A row has less than a hundred: a page is bounded by its rows. */
enum { LOOKED_AT_MAX = 64, FOUND_MAX = 64 };

static bool look_at(struct span key, struct span value, void *arg)
{
	struct listing *l = arg;

	add_row(l, value);
	if (++l->looked_at < LOOKED_AT_MAX &&
	    json_array_size(l->page->items) < FOUND_MAX)
		return true;
	buf_reset(&l->page->next);
	buf_add(&l->page->next, key);
	return false;
}

enum mx_err status_traces(struct spool *sp, struct trace_filter *f,
			  struct span after, const struct trace_recent *recent,
			  struct status_page *out)
{
	struct listing l = { .filter = f, .page = out };
	struct buf behind = { 0 };
	enum mx_err err;

	*out = (struct status_page){ .items = json_array() };
	if (span_starts(after, TRACE_PREFIX)) {
		buf_add(&behind, after);
	} else if (recent != NULL) {
		add_row(&l, recent->rows[0]);
		add_row(&l, recent->rows[1]);
		trace_key(&behind, recent->serial);
	}
	err = spool_facts(sp, TRACE_PREFIX, buf_span(&behind), look_at, &l);
	buf_fini(&behind);
	return err;
}
