#include "daemon/ctl/top_view.h"

#include <inttypes.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/ctl/mirror.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/table.h"

enum {
	HEAD_LINES = 3, /* above the title of the table, but for the mirror's */
	FOOT_LINES = 2, /* that title, and the last line */
	STALE_MS = 3000, /* rows that are older say so */
	NARROW = 30,	 /* less has no room for a table */
};

static const char keys[] = "q quit  f flush  h hold/release  s show  o order"
			   "  ? help";
static const char help[] =
	"\n"
	"  up, down, k, j      the row above, below\n"
	"  page up, page down, home, end\n"
	"  enter, s            show the destination; again: back\n"
	"  f                   flush: probe it and try again now\n"
	"  h                   hold it, or release what holds it; asks first\n"
	"  o                   order: most messages, oldest, state\n"
	"  q                   quit\n"
	"\n"
	"  STATE is that of the destination, or what holds it.  Everything is\n"
	"  asked of mx20d a piece at a time; above, right of the order, stands\n"
	"  how old the rows are when that takes long.\n";

/* clang-format off */
static const struct column columns[] = {
	{ "DESTINATION", false, 10, 0 },
	{ "DOMAINS",     true,  0,  2 },
	{ "MSGS",        true,  0,  0 },
	{ "SIZE",        true,  0,  3 },
	{ "OLDEST",      true,  0,  4 },
	{ "STATE",       false, 0,  0 },
	{ "SINCE",       true,  0,  5 },
	{ "NEXT",        true,  0,  6 },
	{ "CONNS",       true,  0,  1 },
	{ "LAST REPLY",  false, 10, 7 },
};
/* clang-format on */

void top_view_fini(struct top_view *v)
{
	buf_fini(&v->selected);
	buf_fini(&v->message);
	json_decref(v->shown);
	*v = (struct top_view){ 0 };
}

/* ---- Which row ---- */

static size_t index_of(const struct top_view *v, const struct top_rows *rows)
{
	size_t i = top_rows_find(rows, buf_span(&v->selected));

	return i != SIZE_MAX ? i : 0;
}

const struct top_row *top_view_row(const struct top_view *v,
				   const struct top_rows *rows)
{
	return top_rows_count(rows) > 0
		       ? top_rows_at(rows, index_of(v, rows))
		       : NULL;
}

void top_view_move(struct top_view *v, const struct top_rows *rows, long by)
{
	size_t count = top_rows_count(rows);
	size_t i = index_of(v, rows);

	if (count == 0)
		return;
	if (by < 0)
		i = (size_t)-by < i ? i - (size_t)-by : 0;
	else
		i = (size_t)by < count - 1 - i ? i + (size_t)by : count - 1;
	buf_reset(&v->selected);
	buf_add(&v->selected, buf_span(&top_rows_at(rows, i)->name));
}

/* ---- Lines ---- */

/* One line of what is given, cleaned and cut. */
static void add_line(struct buf *out, struct span text, size_t width)
{
	struct buf safe = { 0 };

	print_text(&safe, text);
	print_cut(out, buf_span(&safe), width);
	buf_addc(out, '\n');
	buf_fini(&safe);
}

static void add_title(const struct top_feed *f, struct buf *out, size_t width)
{
	struct span host = control_get_text(f->overview, "hostname");
	struct buf b = { 0 };

	buf_adds(&b, "mx20 ");
	buf_add(&b, host);
	if (f->trouble.n > 0) {
		buf_adds(&b, "  NOT ANSWERING for ");
		print_age(&b, clock_mono_ms() - f->lost_ms);
		buf_adds(&b, ": ");
		buf_add(&b, buf_span(&f->trouble));
	} else if (f->link.fd >= 0) {
		buf_addf(&b, "  mx20d %s is running", f->link.version);
	}
	add_line(out, buf_span(&b), width);
	buf_fini(&b);
}

static void add_totals(const struct top_feed *f, int64_t wall_ms,
		       struct buf *out, size_t width)
{
	const json_t *spool = json_object_get(f->overview, "spool");
	int64_t oldest_ms = print_get_time(spool, "oldest");
	struct buf b = { 0 };

	print_count(&b, (uint64_t)control_get_int(spool, "messages", 0),
		    "message");
	buf_adds(&b, ", ");
	human_size(&b, (uint64_t)control_get_int(spool, "bytes", 0));
	if (oldest_ms != 0) {
		buf_adds(&b, ", the oldest ");
		print_age(&b, wall_ms - oldest_ms);
	}
	buf_adds(&b, "; spool ");
	human_size(&b, (uint64_t)control_get_int(spool, "used", 0));
	buf_adds(&b, " of ");
	human_size(&b, (uint64_t)control_get_int(spool, "size", 0));
	buf_adds(&b, ", ");
	buf_add(&b, control_get_text(spool, "state"));
	add_line(out, buf_span(&b), width);
	buf_fini(&b);
}

/* Where there is one: how many lines that are. */
static size_t add_mirror(const struct top_feed *f, int64_t wall_ms,
			 struct buf *out, size_t width)
{
	const json_t *m = json_object_get(f->overview, "mirror");
	struct buf b = { 0 };

	if (m == NULL)
		return 0;
	buf_adds(&b, "mirror: ");
	mirror_show_state(m, wall_ms, &b);
	add_line(out, buf_span(&b), width);
	buf_fini(&b);
	return 1;
}

static void add_summary(const struct top_view *v, const struct top_feed *f,
			struct buf *out, size_t width)
{
	int64_t age_ms = clock_mono_ms() - f->whole_ms;
	struct buf b = { 0 };

	print_count(&b, top_rows_count(f->rows), "destination");
	buf_addf(&b, ", by %s", top_order_name(v->order));
	if (!top_rows_are_whole(f->rows)) {
		buf_adds(&b, ", reading");
	} else if (age_ms > STALE_MS) {
		buf_adds(&b, ", ");
		print_age(&b, age_ms);
		buf_adds(&b, " old");
	}
	add_line(out, buf_span(&b), width);
	buf_fini(&b);
}

/* ---- Rows ---- */

static void age_cell(struct table *t, int64_t ms, bool is_known)
{
	struct buf b = { 0 };

	if (is_known)
		print_age(&b, ms);
	table_cell(t, buf_span(&b));
	buf_fini(&b);
}

/* What is due is tried in this moment. */
static void next_cell(struct table *t, int64_t ms, bool is_known)
{
	if (is_known && ms < 1000)
		table_cell(t, SPAN_LIT("now"));
	else
		age_cell(t, ms, is_known);
}

static void count_cell(struct table *t, int64_t n)
{
	struct buf b = { 0 };

	if (n >= 0)
		buf_addu(&b, (uint64_t)n);
	table_cell(t, buf_span(&b));
	buf_fini(&b);
}

static void size_cell(struct table *t, uint64_t bytes)
{
	struct buf b = { 0 };

	human_size(&b, bytes);
	table_cell(t, buf_span(&b));
	buf_fini(&b);
}

static void add_cells(struct table *t, const struct top_row *r, int64_t now_ms)
{
	table_cell(t, buf_span(&r->name));
	count_cell(t, (int64_t)r->domains);
	count_cell(t, (int64_t)r->messages);
	size_cell(t, r->bytes);
	age_cell(t, now_ms - r->oldest_ms, r->oldest_ms != 0);
	table_cell(t, r->hold.n > 0 ? SPAN_LIT("held") : buf_span(&r->state));
	age_cell(t, now_ms - r->since_ms, r->since_ms != 0);
	next_cell(t, r->next_ms - now_ms, r->next_ms != 0);
	count_cell(t, r->connections);
	table_cell(t, buf_span(&r->reply));
}

/* The selected row is always one of those on the screen. */
static void scroll(struct top_view *v, size_t at, size_t count, size_t room)
{
	if (at < v->first)
		v->first = at;
	if (at >= v->first + room)
		v->first = at - room + 1;
	if (v->first + room > count)
		v->first = count > room ? count - room : 0;
}

static void add_rows(struct top_view *v, const struct top_rows *rows,
		     size_t room, size_t width, int64_t now_ms, struct buf *out,
		     size_t *marked)
{
	size_t count = top_rows_count(rows), at = index_of(v, rows);
	struct table t;

	if (count == 0) {
		add_line(out, SPAN_LIT("nothing is waiting"), width);
		return;
	}
	scroll(v, at, count, room);
	table_init(&t, columns, COUNT(columns), width);
	for (size_t i = v->first; i < count && i < v->first + room; i++)
		add_cells(&t, top_rows_at(rows, i), now_ms);
	table_print(&t, out);
	table_fini(&t);
	*marked = 1 + at - v->first;
}

/* ---- One destination ---- */

static void add_fact(struct buf *out, const char *name, struct span value,
		     size_t width)
{
	struct buf b = { 0 };

	buf_addf(&b, "%-13s ", name);
	buf_add(&b, value);
	if (value.n > 0)
		add_line(out, buf_span(&b), width);
	buf_fini(&b);
}

static void add_targets(const json_t *list, size_t room, size_t width,
			struct buf *out)
{
	for (size_t i = 0; i < json_array_size(list) && i < room; i++) {
		const json_t *o = json_array_get(list, i);
		struct buf b = { 0 };

		buf_adds(&b, "  ");
		buf_add(&b, control_get_text(o, "target"));
		buf_adds(&b, " ");
		buf_add(&b, control_get_text(o, "state"));
		buf_adds(&b, " ");
		buf_add(&b, control_get_text(o, "last_reply"));
		add_line(out, buf_span(&b), width);
		buf_fini(&b);
	}
}

static void add_shown(const struct top_view *v, const struct top_row *r,
		      size_t room, size_t width, struct buf *out)
{
	const json_t *targets = json_object_get(v->shown, "targets");
	struct buf b = { 0 };

	if (r == NULL)
		return;
	buf_addc(out, '\n');
	add_fact(out, r->has_destination ? "destination" : "domain",
		 buf_span(&r->name), width);
	buf_addf(&b, "%" PRIu64 ", ", r->domains);
	buf_add(&b, buf_span(&r->domain));
	buf_adds(&b, r->domains > 1 ? " and others" : "");
	add_fact(out, "domains", buf_span(&b), width);
	add_fact(out, "state", buf_span(&r->state), width);
	add_fact(out, "held by", buf_span(&r->hold), width);
	add_fact(out, "because", control_get_text(v->shown, "hold_reason"),
		 width);
	add_fact(out, "last reply", buf_span(&r->reply), width);
	if (json_array_size(targets) > 0)
		add_line(out, SPAN_LIT("targets"), width);
	add_targets(targets, room > 9 ? room - 9 : 0, width, out);
	buf_fini(&b);
}

/* ---- All of it ---- */

static void add_help(size_t width, struct buf *out)
{
	struct span rest = span_str(help);

	while (rest.n > 0)
		add_line(out, span_cut(&rest, '\n'), width);
}

/* As many lines as the screen has, without the last. */
static void cut_lines(struct buf *out, size_t height, size_t *count)
{
	size_t at = 0;

	for (*count = 0; *count + 1 < height && at < out->n; ++*count)
		at += span_find(span_skip(buf_span(out), at), '\n') + 1;
	out->n = at < out->n ? at : out->n;
}

void top_view_lines(struct top_view *v, const struct top_feed *f,
		    size_t height, size_t width, int64_t wall_ms,
		    struct buf *out, size_t *marked)
{
	size_t head = HEAD_LINES, room, count;

	*marked = SIZE_MAX;
	add_title(f, out, width);
	add_totals(f, wall_ms, out, width);
	head += add_mirror(f, wall_ms, out, width);
	add_summary(v, f, out, width);
	room = height > head + FOOT_LINES ? height - head - FOOT_LINES : 1;
	if (v->page == TOP_HELP)
		add_help(width, out);
	else if (v->page == TOP_SHOW)
		add_shown(v, top_view_row(v, f->rows), room, width, out);
	else if (width < NARROW)
		add_line(out, SPAN_LIT("too narrow: make it wider"), width);
	else
		add_rows(v, f->rows, room, width, wall_ms, out, marked);
	if (*marked != SIZE_MAX)
		*marked += head;
	cut_lines(out, height, &count);
	for (; count + 1 < height; count++)
		buf_addc(out, '\n');
	add_line(out,
		 v->message.n > 0 ? buf_span(&v->message) : span_str(keys),
		 width);
}
