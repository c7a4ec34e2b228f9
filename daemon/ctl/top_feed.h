/*
 * Where `top` has it from: one connection, asked a page at a time with a rest
 * behind each, so that a long list costs the daemon no more than a short one.  A
 * daemon that restarts is found again.
 */
#ifndef MX_CTL_TOP_FEED_H
#define MX_CTL_TOP_FEED_H

#include "daemon/ctl/link.h"
#include "daemon/ctl/top_rows.h"

struct top_feed {
	const struct ctl *ctl;
	struct link link; /* fd -1: there is none now */
	struct top_rows *rows;
	json_t *overview;	/* the last; NULL: none yet */
	struct buf after;	/* what the next page is behind */
	struct buf trouble;	/* why nothing comes; empty: it does */
	int64_t lost_ms;	/* monotonic: since then */
	int64_t overview_ms;	   /* when it was asked for */
	int64_t walk_ms, whole_ms; /* when a walk began; the last whole one */
	int64_t next_ms;	/* when to go on */
	bool is_refused;	/* for good: we may not */
};

void top_feed_init(struct top_feed *f, const struct ctl *ctl);
void top_feed_fini(struct top_feed *f);

/* One step, if it is time.  True: there is something new to be shown. */
bool top_feed_step(struct top_feed *f);

/* An order or a question; takes it.  The answer's end, and its first item if
 * there is one; NULL: the connection is lost. */
json_t *top_feed_ask(struct top_feed *f, json_t *request, json_t **item);

#endif
