#include "common/spool/arrival.h"
#include "common/spool/queue.h"

/* A draft becomes a message. */

struct seal {
	struct request req;
	struct arrival *arrival; /* NULL: the draft had failed before */
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

	arrival_finish(&s->arrival, r->err);
	if (s->cb != NULL)
		s->cb(r->err, r->id, s->arg);
	request_finish(sp, r);
}

static const struct request_ops seal_ops = {
	.name = "seal",
	.order = ORDER_ARRIVAL,
	.fills = true,
	.apply = apply_seal,
	.finish = finish_seal,
};

void spool_commit(struct spool_draft **d, const struct envelope *env,
		  const struct spool_rcpt *rcpts, size_t count,
		  spool_commit_cb *cb, void *arg)
{
	struct seal *s = request_new(&seal_ops, sizeof(*s), NULL, 0);
	struct spool *sp = (*d)->sp;

	s->req.id = (*d)->id;
	s->req.is_new_mail = !(*d)->may_use_margin;
	s->cb = cb;
	s->arg = arg;
	s->req.err = arrival_new(&s->arrival, d, env, rcpts, count);
	if (s->req.err != MX_OK) {
		queue_answer(sp, &s->req);
		return;
	}
	s->req.bytes += arrival_bytes(s->arrival);
	queue_push(sp, &s->req);
}
