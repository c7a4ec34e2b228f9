/* How requests get to the writer, and back when they are done. */
#ifndef MX_SPOOL_QUEUE_H
#define MX_SPOOL_QUEUE_H

#include "common/spool/spool_priv.h"

enum {
	/* of one transaction; far below LMDB's dirty list of 512 MiB */
	QUEUE_BATCH_MIN = 3 << 20,
	QUEUE_BATCH_MAX = 24 << 20,
};

void queue_init(struct spool *sp, struct ev_loop *loop);
void queue_fini(struct spool *sp);

/* Hand over to the writer. */
void queue_push(struct spool *sp, struct request *r);
/* Nothing to write: finish it, with the r->err it has, from the loop. */
void queue_answer(struct spool *sp, struct request *r);
/* There is something for the writer to look at, without a request. */
void queue_wake(struct spool *sp);
/* Finish all that the writer is done with. */
void queue_finish_done(struct spool *sp);

/* For the writer, lock held: it takes one out, or puts one in again. */
void queue_count_in(struct queue *q, const struct request *r);
void queue_count_out(struct queue *q, const struct request *r);
/* Is there as much content as is worth a commit of its own?  Lock held. */
bool queue_has_content(const struct queue *q);
/* Is there work that should not wait? */
bool queue_has_work(const struct queue *q);

#endif
