/*
 * The outages of destinations, kept: when they began and ended, what they made
 * wait, what was refused behind them.
 *
 *            down                     for 10 s                 up
 *   none ----------> seen (memory) ------------> on (a row) ----------> over
 *     ^                |  up: forgotten             ^                     |
 *     +----------------+                            +-- down within 60 s -+
 *
 * So a failed probe between two that succeed is no outage, and a host that
 * comes and goes has one, not a hundred.  One that goes on at a crash is open
 * in the spool: it goes on when its destination is down again, else it ends
 * when that is first known to be up, or, if nobody asks for it any more, when
 * it was last known to be down.
 *
 * Each call costs the same however many outages there are.  No socket, timer
 * or spool: times are wall milliseconds, given as now_ms, and rows go out by a
 * hook.
 */
#ifndef MX_HISTORY_HISTORY_H
#define MX_HISTORY_HISTORY_H

#include "common/status/outage.h"

struct history;

enum {
	HISTORY_ROWS_MAX = 10000, /* the oldest go first */
	HISTORY_LEAST_MS = 10000, /* what is shorter was none */
	HISTORY_PAUSE_MS = 60000, /* a shorter pause ends none */
	HISTORY_TICK_MS = 5000,
};

/* Where rows go (common/status/outage.h); an empty value deletes. */
struct history_options {
	void (*put)(struct span key, struct span value, void *arg);
	void *arg;
};

struct history *history_new(const struct history_options *opt);
/* What is not written yet is handed out. */
void history_free(struct history **h);

/* A row of the spool, before anything else; in the order of their keys. */
void history_load(struct history *h, struct span key, struct span value);

/* The destination is down: said when it falls, and again while it is. */
struct history_down {
	struct span destination; /* the route's key */
	struct span reply;	 /* why it is said to be down */
	struct span domains;	 /* some that it serves, a space between them */
	uint64_t domain_count;	 /* that it serves; those named at least */
	int64_t since_ms;	 /* down since */
	int64_t seen_ms;	 /* last known to be */
};
void history_down(struct history *h, const struct history_down *what,
		  int64_t now_ms);
/* It is up; so many messages wait for it. */
void history_up(struct history *h, struct span destination, uint64_t waiting,
		int64_t now_ms);

/* What became of a unit that went there, or was given up. */
struct history_unit {
	struct span destination;
	int64_t arrived_ms;
	int64_t tried_ms; /* the last time before; 0: never */
	unsigned refused; /* recipients, for good, by the server */
	bool has_left;	  /* at least one of its recipients has */
};
void history_settled(struct history *h, const struct history_unit *u,
		     int64_t now_ms);

/* Every HISTORY_TICK_MS.  Rows that have changed are written; what nobody has
 * said to be down for gone_ms, counted in ticks, ends. */
void history_tick(struct history *h, int64_t gone_ms, int64_t now_ms);

#endif
