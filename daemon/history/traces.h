/*
 * The recipients that have left, kept: a ring of rows (common/status/trace.h)
 * in the spool.  A row is written when it is full, and every few seconds while
 * it fills; so a crash loses those few seconds of it, and no more.
 *
 * Each call costs the same however many there are.  No timer or spool: rows go
 * out by a hook.
 */
#ifndef MX_HISTORY_TRACES_H
#define MX_HISTORY_TRACES_H

#include "common/status/trace.h"

struct traces;

/* last: the highest serial in the spool; 0: there is none.  An empty value
 * deletes. */
struct traces *traces_new(uint64_t last,
			  void (*put)(struct span key, struct span value,
				      void *arg),
			  void *arg);
/* What is not written yet is handed out. */
void traces_free(struct traces **t);

void traces_add(struct traces *t, const struct trace *what);

/* Every few seconds. */
void traces_tick(struct traces *t);

/* What may not be in the spool yet; valid until the next call. */
void traces_recent(const struct traces *t, struct trace_recent *out);

#endif
