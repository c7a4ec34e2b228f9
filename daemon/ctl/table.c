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

		if (least > 0 && t->widths[i] > least && t->widths[i] > most) {
			most = t->widths[i];
			found = i;
		}
	}
	return found;
}

static void fit(struct table *t)
{
	size_t total = GAP * (t->column_count - 1);

	for (size_t i = 0; i < t->column_count; i++)
		total += t->widths[i];
	while (t->width > 0 && total > t->width) {
		size_t i = widest(t);

		if (i == t->column_count)
			return; /* too narrow: lines will wrap */
		t->widths[i]--;
		total--;
	}
}

static void pad(struct buf *out, size_t n)
{
	while (n-- > 0)
		buf_addc(out, ' ');
}

static void print_cell(const struct table *t, size_t column, struct span s,
		       struct buf *out)
{
	size_t width = t->widths[column], columns = print_columns(s);
	size_t rest = columns < width ? width - columns : 0;

	if (t->columns[column].is_right)
		pad(out, rest);
	print_cut(out, s, width);
	if (column + 1 == t->column_count)
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

void table_print(struct table *t, struct buf *out)
{
	const size_t columns = t->column_count;
	size_t count = cell_count(t);

	MX_ASSERT(columns > 0 && count % columns == 0);
	fit(t);
	for (size_t i = 0; !t->has_title && i < columns; i++)
		print_cell(t, i, span_str(t->columns[i].title), out);
	if (!t->has_title)
		end_line(out);
	t->has_title = true;
	for (size_t i = 0; i < count; i++) {
		print_cell(t, i % columns, cell(t, i), out);
		if ((i + 1) % columns == 0)
			end_line(out);
	}
	buf_reset(&t->text);
	buf_reset(&t->ends);
}
