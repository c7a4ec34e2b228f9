#include "daemon/policy/gate.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"

enum { LINKS_MAX = 31 }; /* bits of gate.wanted, and one that stays 0 */

enum state { IDLE, ASKING, ANSWERED, OUT };

struct gate {
	struct {
		const struct gate_link *link;
		void *arg;
	} chain[LINKS_MAX];
	unsigned count;
	/* Which links are on and want this moment: bit n is number n. */
	uint32_t wanted[GATE_MOMENTS];
};

void gate_rcpt_fini(struct gate_rcpt *r)
{
	buf_fini(&r->path);
	buf_fini(&r->domain);
	r->row = NULL;
}

/* ---- The chain ---- */

struct gate *gate_new(void)
{
	return mx_alloc(sizeof(struct gate));
}

void gate_free(struct gate **g)
{
	free(*g);
	*g = NULL;
}

void gate_add(struct gate *g, const struct gate_link *link, void *arg)
{
	MX_ASSERT(g->count < LINKS_MAX);
	g->chain[g->count].link = link;
	g->chain[g->count++].arg = arg;
}

void gate_configure(struct gate *g, const struct config *c)
{
	memset(g->wanted, 0, sizeof(g->wanted));
	for (unsigned i = 0; i < g->count; i++) {
		const struct gate_link *link = g->chain[i].link;

		if (link->is_on != NULL && !link->is_on(c))
			continue;
		for (int m = 0; m < GATE_MOMENTS; m++)
			if (link->ask[m] != NULL)
				g->wanted[m] |= UINT32_C(1) << i;
	}
}

/* ---- Asking ---- */

static const struct gate_link *link_of(const struct gate_question *q)
{
	return q->gate->chain[q->at].link;
}

/* One link.  It may have answered before it said "later". */
static enum gate_reply ask_link(struct gate_question *q, struct verdict *v)
{
	enum gate_reply reply;

	q->link_arg = q->gate->chain[q->at].arg;
	q->link_job = NULL;
	q->state = ASKING;
	q->now = v;
	reply = link_of(q)->ask[q->moment](q, v);
	q->now = NULL;
	if (q->state == ANSWERED) {
		MX_ASSERT(reply == GATE_LATER);
		return v->code == 0 ? GATE_GO : GATE_REFUSE;
	}
	MX_ASSERT(reply != GATE_LATER || link_of(q)->cancel != NULL);
	return reply;
}

/* The links from number `from` on.  False: one of them answers later. */
static bool ask_from(struct gate_question *q, unsigned from, struct verdict *v)
{
	const struct gate *g = q->gate;
	uint32_t left;

	while ((left = g->wanted[q->moment] >> from << from) != 0) {
		enum gate_reply reply;

		q->at = (uint8_t)__builtin_ctz(left);
		reply = ask_link(q, v);
		q->state = reply == GATE_LATER ? OUT : IDLE;
		if (reply != GATE_GO)
			return reply == GATE_REFUSE;
		from = q->at + 1u;
	}
	v->code = 0;
	return true;
}

bool gate_ask(struct gate *g, struct gate_question *q, struct verdict *v)
{
	MX_ASSERT(q->state == IDLE);
	q->gate = g;
	return ask_from(q, 0, v);
}

void gate_cancel(struct gate_question *q)
{
	MX_ASSERT(q->state == OUT);
	link_of(q)->cancel(q);
	q->state = IDLE;
}

const char *gate_waits_for(const struct gate_question *q)
{
	return link_of(q)->name;
}

/* ---- Answering ---- */

enum gate_reply gate_refuse(struct verdict *v, enum verdict_id id)
{
	verdict_set(v, id);
	return GATE_REFUSE;
}

void gate_answer(struct gate_question *q, const struct verdict *v)
{
	static const struct verdict go = { .code = 0 };
	struct verdict next;

	if (v == NULL)
		v = &go;
	if (q->state == ASKING) { /* ask is still on the stack */
		*q->now = *v;
		q->state = ANSWERED;
		return;
	}
	MX_ASSERT(q->state == OUT);
	q->state = IDLE;
	if (v->code == 0) {
		if (!ask_from(q, q->at + 1u, &next))
			return;
		v = &next;
	}
	q->cb(q, v); /* q may be gone */
}
