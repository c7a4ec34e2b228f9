/*
 * How full the spool was, kept: each minute of a day, and the fullest minute
 * of each hour of a year.  Bounded by that, and by a write in five minutes,
 * or in an hour while nothing changes.
 *
 * No socket, timer or spool: times are wall milliseconds, and rows go out and
 * in by hooks.
 */
#ifndef MX_HISTORY_PLOTTER_H
#define MX_HISTORY_PLOTTER_H

#include "common/base/err.h"
#include "common/status/curve.h"

struct plotter;

/* Rows (common/status/curve.h); an empty value deletes.  get appends. */
struct plotter_options {
	void (*put)(struct span key, struct span value, void *arg);
	enum mx_err (*get)(struct span key, struct buf *out, void *arg);
	void *arg;
};

struct plotter *plotter_new(const struct plotter_options *opt);
/* A row of the spool, before anything else: what it is too old for is made
 * good, and the hour that goes on is gone on with. */
void plotter_load(struct plotter *p, struct span key, struct span value,
		  int64_t now_ms);
/* Of one minute the first counts. */
void plotter_add(struct plotter *p, const struct curve_sample *s);
/* What is not written yet is handed out. */
void plotter_free(struct plotter **p);

#endif
