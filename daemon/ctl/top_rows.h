/*
 * What `top` shows: where mail waits to go, gathered from pages of domains.
 * A walk through all pages makes the next table; the one before stays until it
 * is over, so that rows do not come and go.  Pure.
 */
#ifndef MX_CTL_TOP_ROWS_H
#define MX_CTL_TOP_ROWS_H

#include <jansson.h>

#include "common/base/buf.h"

struct top_row {
	struct buf name;   /* of the destination; of a domain without one */
	struct buf domain; /* one that goes there */
	struct buf state, reply;
	struct buf hold;   /* what holds it: "domain" ...; empty: nothing */
	bool has_destination;
	uint64_t messages, bytes, domains;
	int64_t oldest_ms, since_ms, next_ms; /* wall; 0: none */
	int64_t connections;		      /* -1: not known */
};

struct top_rows;

struct top_rows *top_rows_new(void);
void top_rows_free(struct top_rows **t);

/* A page of the domains (status.h) of the walk that is under way. */
void top_rows_add(struct top_rows *t, const json_t *items);
/* The walk is over: its table is shown from now on. */
void top_rows_end(struct top_rows *t);
/* It is given up; what is shown stays. */
void top_rows_abort(struct top_rows *t);

enum top_order { TOP_BY_MESSAGES, TOP_BY_OLDEST, TOP_BY_STATE, TOP_ORDERS };
const char *top_order_name(enum top_order o);
void top_rows_sort(struct top_rows *t, enum top_order order);

/* The table that is shown; while there was no whole walk yet, what there is of
 * the first. */
size_t top_rows_count(const struct top_rows *t);
const struct top_row *top_rows_at(const struct top_rows *t, size_t i);
/* Where the row of this name is now; SIZE_MAX: nowhere. */
size_t top_rows_find(const struct top_rows *t, struct span name);
bool top_rows_are_whole(const struct top_rows *t);

#endif
