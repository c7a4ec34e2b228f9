/*
 * Counters (common/base/metrics.h), kept by quarter of an hour in the spool
 * (common/status/tally.h): what each has grown by since the last look goes to
 * the quarter in which it is looked at.
 *
 * So a crash loses what was counted behind the last look; a stop loses nothing.
 * No timer or spool: rows go out and in by hooks.
 */
#ifndef MX_HISTORY_TALLY_KEEPER_H
#define MX_HISTORY_TALLY_KEEPER_H

#include "common/base/err.h"
#include "common/base/metrics.h"
#include "common/status/tally.h"

struct tally;

/* get appends what the row has. */
struct tally_options {
	void (*put)(struct span key, struct span value, void *arg);
	enum mx_err (*get)(struct span key, struct buf *out, void *arg);
	void *arg;
};

/* From these numbers on. */
struct tally *tally_new(const struct tally_options *opt,
			const struct metrics *now, int64_t wall_ms);
void tally_free(struct tally **t);

/* One that was delivered; the slowest of a quarter is kept. */
void tally_delivered(struct tally *t, const struct tally_slowest *what);

/* Every few seconds, and at the end: what has come is written. */
void tally_look(struct tally *t, const struct metrics *now, int64_t wall_ms);

#endif
