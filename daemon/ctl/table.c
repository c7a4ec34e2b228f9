#include "daemon/ctl/table.h"

#include "common/base/assert.h"
#include "daemon/ctl/print.h"

enum { GAP = 2 };

void table_init(struct table *t, const struct column *columns, size_t count,
		size_t width)
{
	MX_ASSERT(count > 0 && count <= TABLE_COLUMNS_MAX);
	*t = (struct table){ .columns = columns,
			     .column_count = count,
			     .width = width };
	for (size_t i = 0; i < count; i++)
		t->widths[i] = strlen(columns[i].title);
}

void table_fini(struct table *t)
{
	buf_fini(&t->text);
	buf_fini(&t->ends);
}

static size_t cell_count(const struct table *t)
{
	return t->ends.n / sizeof(size_t);
}

void table_cell(struct table *t, struct span s)
{
	size_t column = cell_count(t) % t->column_count;
	size_t start = t->text.n, columns;

	print_text(&t->text, s);
	columns = print_columns(span_skip(buf_span(&t->text), start));
	if (columns > t->widths[column])
		t->widths[column] = columns;
	buf_add(&t->ends, span_of(&t->text.n, sizeof(t->text.n)));
}

static struct span cell(const struct table *t, size_t i)
{
	size_t start = 0, end;

	if (i > 0)
		memcpy(&start, t->ends.p + (i - 1) * sizeof(start),
		       sizeof(start));
	memcpy(&end, t->ends.p + i * sizeof(end), sizeof(end));
	return (struct span){ t->text.p + start, end - start };
}

/* The widest column that may still give. */
static size_t widest(const struct table *t)
{
	size_t found = t->column_count, most = 0;

	for (size_t i = 0; i < t->column_count; i++) {
		size_t least = t->columns[i].least;

		if (!t->is_left_out[i] && least > 0 && t->widths[i] > least &&
		    t->widths[i] > most) {
			most = t->widths[i];
			found = i;
		}
	}
	return found;
}

static size_t total_width(const struct table *t)
{
	size_t total = 0;

	for (size_t i = 0; i < t->column_count; i++)
		if (!t->is_left_out[i])
			total += t->widths[i] + (total > 0 ? GAP : 0);
	return total;
}

/* However much each gives: how wide it still is. */
static size_t least_width(const struct table *t)
{
	size_t total = 0;

	for (size_t i = 0; i < t->column_count; i++) {
		size_t least = t->columns[i].least;

		if (t->is_left_out[i])
			continue;
		total += total > 0 ? GAP : 0;
		total += least > 0 && least < t->widths[i] ? least
							   : t->widths[i];
	}
	return total;
}

/* The column that is missed least goes; false: none may. */
static bool leave_out(struct table *t)
{
	size_t first = t->column_count;

	for (size_t i = 0; i < t->column_count; i++) {
		unsigned goes = t->columns[i].goes;

		if (goes > 0 && !t->is_left_out[i] &&
		    (first == t->column_count ||
		     goes < t->columns[first].goes))
			first = i;
	}
	if (first == t->column_count)
		return false;
	t->is_left_out[first] = true;
	return true;
}

static void fit(struct table *t)
{
	if (t->width == 0)
		return;
	while (!t->has_title && least_width(t) > t->width)
		if (!leave_out(t))
			break;
	t->is_list |= !t->has_title && least_width(t) > t->width;
	while (total_width(t) > t->width) {
		size_t i = widest(t);

		if (i == t->column_count)
			return; /* a later page: lines are wrapped */
		t->widths[i]--;
	}
}

static void pad(struct buf *out, size_t n)
{
	while (n-- > 0)
		buf_addc(out, ' ');
}

static bool is_last(const struct table *t, size_t column)
{
	while (++column < t->column_count)
		if (!t->is_left_out[column])
			return false;
	return true;
}

static void print_cell(const struct table *t, size_t column, struct span s,
		       struct buf *out)
{
	size_t width = t->widths[column], columns = print_columns(s);
	size_t rest = columns < width ? width - columns : 0;

	if (t->is_left_out[column])
		return;
	if (t->columns[column].is_right)
		pad(out, rest);
	print_cut(out, s, width);
	if (is_last(t, column))
		return;
	if (!t->columns[column].is_right)
		pad(out, rest);
	pad(out, GAP);
}

/* No blanks at the end of a line. */
static void end_line(struct buf *out)
{
	while (out->n > 0 && out->p[out->n - 1] == ' ')
		out->n--;
	buf_addc(out, '\n');
}

static void print_row(const struct table *t, size_t first, struct buf *out)
{
	for (size_t i = 0; i < t->column_count; i++)
		print_cell(t, i, cell(t, first + i), out);
	end_line(out);
}

static void print_title(const struct table *t, struct buf *out)
{
	for (size_t i = 0; i < t->column_count; i++)
		print_cell(t, i, span_str(t->columns[i].title), out);
	end_line(out);
}

/* A line for each cell that says something. */
static void print_list(const struct table *t, size_t first, struct buf *out)
{
	if (t->has_title && cell(t, first).n > 0)
		buf_addc(out, '\n');
	for (size_t i = 0; i < t->column_count; i++) {
		struct span s = span_trim(cell(t, first + i));

		if (s.n > 0)
			buf_addf(out, "%s: %.*s\n", t->columns[i].title,
				 SPAN_ARG(s));
	}
}

void table_print(struct table *t, struct buf *out)
{
	size_t count = cell_count(t);

	MX_ASSERT(t->column_count > 0 && count % t->column_count == 0);
	fit(t);
	if (!t->has_title && !t->is_list)
		print_title(t, out);
	for (size_t i = 0; i < count; i += t->column_count) {
		if (t->is_list)
			print_list(t, i, out);
		else
			print_row(t, i, out);
		t->has_title = true;
	}
	t->has_title = true;
	buf_reset(&t->text);
	buf_reset(&t->ends);
}
