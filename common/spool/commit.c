#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/arrival.h"
#include "common/spool/queue.h"

/* A draft becomes a message. */

struct seal {
	struct request req;
	struct arrival *arrival;
	spool_commit_cb *cb;
	void *arg;
};

static enum mx_err apply_seal(struct batch *b, struct request *r)
{
	struct seal *s = CONTAINER_OF(r, struct seal, req);

	return arrival_apply(b, s->arrival, &r->err);
}

static void finish_seal(struct spool *sp, struct request *r)
{
	struct seal *s = CONTAINER_OF(r, struct seal, req);

	(void)sp;
	if (s->arrival != NULL)
		arrival_finish(s->arrival, r->err);
	if (s->cb != NULL)
		s->cb(r->err, r->id, s->arg);
	free(s);
}

static const struct request_ops seal_ops = {
	.name = "seal",
	.order = ORDER_ARRIVAL,
	.fills = true,
	.apply = apply_seal,
	.finish = finish_seal,
};

/* The draft failed before: only the callback is due, and not yet. */
static void refuse(struct spool *sp, uint64_t id, enum mx_err err,
		   spool_commit_cb *cb, void *arg)
{
	struct seal *s = mx_alloc(sizeof(*s));

	s->req.ops = &seal_ops;
	s->req.id = id;
	s->req.err = err;
	s->cb = cb;
	s->arg = arg;
	queue_answer(sp, &s->req);
}

void spool_commit(struct spool_draft **draft, const struct envelope *env,
		  const struct spool_rcpt *rcpts, size_t count,
		  spool_commit_cb *cb, void *arg)
{
	struct spool_draft *d = *draft;
	struct spool *sp = d->sp;
	enum mx_err err = d->err;
	struct arrival *a = NULL;
	struct seal *s;
	void *at;

	if (err == MX_OK) {
		a = arrival_new(sizeof(*s), d, env, rcpts, count, &at);
		if (a == NULL)
			err = MX_EINVAL;
	}
	if (err != MX_OK) {
		uint64_t id = d->id;

		spool_draft_discard(draft);
		refuse(sp, id, err, cb, arg);
		return;
	}
	*draft = NULL;
	s = at;
	s->req.ops = &seal_ops;
	s->req.id = a->id;
	s->req.bytes = sizeof(*s) + a->n + (a->tail != NULL ? a->tail->cap : 0);
	s->arrival = a;
	s->cb = cb;
	s->arg = arg;
	queue_push(sp, &s->req);
}
