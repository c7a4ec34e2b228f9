/* The screen of `top`: lines made of what there is, then painted. */
#ifndef MX_CTL_TOP_VIEW_H
#define MX_CTL_TOP_VIEW_H

#include "daemon/ctl/top_feed.h"

enum top_page { TOP_LIST, TOP_SHOW, TOP_HELP };

struct top_view {
	enum top_page page;
	enum top_order order;
	struct buf selected; /* the name of the row; empty: the first */
	size_t first;	     /* row on the screen */
	json_t *shown;	     /* TOP_SHOW: its domain, as asked last */
	struct buf message;  /* at the bottom, until the next key */
};

void top_view_fini(struct top_view *v);

/* The selected row; NULL: there is none. */
const struct top_row *top_view_row(const struct top_view *v,
				   const struct top_rows *rows);
/* Select another, so many rows further down. */
void top_view_move(struct top_view *v, const struct top_rows *rows, long by);

/*
 * The lines of the screen, each ended by a line end, as many as it has at most;
 * none is wider, and none has anything that a terminal would act on.  *marked:
 * the line of the selected row, or SIZE_MAX.  Pure, apart from v->first.
 */
void top_view_lines(struct top_view *v, const struct top_feed *f,
		    size_t height, size_t width, int64_t wall_ms,
		    struct buf *out, size_t *marked);

#endif
