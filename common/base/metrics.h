/*
 * What is counted, for whoever watches: one table of names (metrics.c), and
 * all its numbers in memory.  A fact that has a line in the log is counted by
 * that line (metrics_events.h); all else where it is decided.
 *
 * Counting is one atomic addition: no lock, no allocation, from any thread.
 */
#ifndef MX_BASE_METRICS_H
#define MX_BASE_METRICS_H

#include "common/base/span.h"

enum metric_id {
	METRIC_ACCEPTED,
	METRIC_MESSAGES_REJECTED,
	METRIC_RECIPIENTS_REJECTED,
	METRIC_DELIVERED,
	METRIC_RELAYED,
	METRIC_DEFERRED,
	METRIC_REFUSED,
	METRIC_REPORTS_SENT,
	METRIC_SESSIONS,
	METRIC_SESSION_LIMIT,
	METRIC_HANDSHAKES, /* by enum metric_handshake */
	METRIC_COMMIT,	   /* in microseconds */
	METRIC_WAIT,	   /* in seconds */
	METRIC_TURN,	   /* in microseconds; with web.listen */
	METRIC_RELOAD,
	METRIC_BRAKES,
	METRIC_MIRROR_BEHIND,
	METRIC_MIRROR_LAG,
	METRIC_MIRROR_LAG_AGE,
	METRIC_MIRROR_LEASE,
	METRIC_MIRROR_COMMIT, /* in microseconds */
	METRIC_MIRROR_TAKEN,
	METRIC_MIRROR_DROPPED,
	METRIC_MIRROR_CONNECTS,
	/* as they are when somebody asks (daemon/web): */
	METRIC_SPOOL_MESSAGES,
	METRIC_SPOOL_BYTES,
	METRIC_SPOOL_USED,
	METRIC_SPOOL_SIZE,
	METRIC_OLDEST,
	METRIC_CERTIFICATE, /* 0: there is none */
	METRIC_COUNT,
};

/* Labels of METRIC_HANDSHAKES; in: a client's with us. */
enum metric_handshake {
	HANDSHAKE_IN_OK,
	HANDSHAKE_IN_FAILED,
	HANDSHAKE_OUT_OK,
	HANDSHAKE_OUT_FAILED,
};

enum metric_kind {
	METRIC_COUNTER, /* begins anew at 2^64, as readers expect */
	METRIC_GAUGE,
	METRIC_HISTOGRAM,
};

/* A row of the table. */
struct metric {
	const char *name, *help; /* of OpenMetrics */
	enum metric_kind kind;
	/* A counter has a number for each of these, "reason=\"space\"". */
	const char *const *labels; /* NULL: it has one number and none */
	/* A histogram has one for what is at most each of these (rising), one
	 * for the rest, and the sum. */
	const int64_t *bounds;
	size_t count; /* of either */
	int64_t unit; /* of a histogram's values: how many are a second */
};
const struct metric *metric_get(enum metric_id id);

/* Which label has key="value"; false: none, the table has all there are. */
bool metric_label(enum metric_id id, const char *key, struct span value,
		  size_t *label);

void metrics_add(enum metric_id id, size_t label, uint64_t n);
static inline void metrics_count(enum metric_id id)
{
	metrics_add(id, 0, 1);
}
void metrics_set(enum metric_id id, uint64_t value);
/* What is less than nothing (a clock was set) counts as nothing. */
void metrics_observe(enum metric_id id, int64_t value);

enum { METRIC_NUMBERS = 48 }; /* of a row, at most */

/*
 * All numbers, as a plain value.  Read by the loop it is one moment of all that
 * the loop counts.  For another thread each number is right, and two that one
 * event moves may be that event apart.
 */
struct metrics {
	uint64_t numbers[METRIC_COUNT][METRIC_NUMBERS];
};
void metrics_read(struct metrics *out);

/* Of a histogram, how many there were up to this bound; behind the last one:
 * all.  They agree with each other always, being sums of the same numbers. */
uint64_t metrics_up_to(const struct metrics *m, enum metric_id id,
		       size_t bound);
uint64_t metrics_sum(const struct metrics *m, enum metric_id id);

#endif
