/* Aligned columns that fit the terminal, or where none would, lists. */
#ifndef MX_CTL_TABLE_H
#define MX_CTL_TABLE_H

#include "common/base/buf.h"

struct column {
	const char *title;
	bool is_right; /* numbers */
	unsigned least; /* > 0: may be cut, down to this many columns */
	unsigned goes; /* > 0: may be left out; the lowest goes first */
};

enum { TABLE_COLUMNS_MAX = 12 };

/*
 * Rows are gathered, then printed by table_print, which may be called again
 * for more: widths never shrink, so that pages of a long list stay aligned as
 * far as that can be known.
 */
struct table {
	const struct column *columns;
	size_t column_count;
	size_t width; /* of the terminal; 0: unlimited */
	size_t widths[TABLE_COLUMNS_MAX];
	struct buf text; /* of all cells */
	struct buf ends; /* size_t each: where a cell ends */
	bool is_left_out[TABLE_COLUMNS_MAX];
	bool is_list;	 /* too narrow for columns: a line for each cell */
	bool has_title;	 /* it was printed */
};

void table_init(struct table *t, const struct column *columns, size_t count,
		size_t width);
void table_fini(struct table *t);

/* The next cell, left to right, then the next row.  Cleaned for a terminal. */
void table_cell(struct table *t, struct span s);

/* Append the title (once) and the rows to out, and forget them.  The last row
 * must be complete. */
void table_print(struct table *t, struct buf *out);

#endif
