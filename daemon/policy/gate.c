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
		uint8_t slot; /* of what it remembers, if it does */
	} chain[LINKS_MAX];
	unsigned count, slots;
	/* Which links are on and want this moment: bit n is number n. */
	uint32_t wanted[GATE_MOMENTS];
	uint32_t hearing; /* which are on and hear of refusals */
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
	if (link->leave != NULL) {
		MX_ASSERT(g->slots < GATE_SLOTS);
		g->chain[g->count].slot = (uint8_t)g->slots++;
	}
	g->chain[g->count++].arg = arg;
}

void gate_configure(struct gate *g, const struct config *c)
{
	memset(g->wanted, 0, sizeof(g->wanted));
	g->hearing = 0;
	for (unsigned i = 0; i < g->count; i++) {
		const struct gate_link *link = g->chain[i].link;

		if (link->is_on != NULL && !link->is_on(c))
			continue;
		if (link->refused != NULL)
			g->hearing |= UINT32_C(1) << i;
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

static void report(struct gate_question *q, enum gate_reply reply,
		   const struct verdict *v)
{
	static const struct verdict go = { .code = 0 };

	if (q->heard != NULL && reply != GATE_LATER)
		q->heard(q, link_of(q)->name, reply == GATE_GO ? &go : v);
}

/* All who want to know, in order. */
static void tell_refused(struct gate_question *q, struct verdict *v)
{
	const struct gate *g = q->gate;

	for (uint32_t left = g->hearing; left != 0; left &= left - 1) {
		const int at = __builtin_ctz(left);

		q->link_arg = g->chain[at].arg;
		g->chain[at].link->refused(q, v);
	}
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
		report(q, reply, v);
		if (reply == GATE_REFUSE)
			tell_refused(q, v);
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

void gate_refused(struct gate *g, struct gate_question *q, struct verdict *v)
{
	MX_ASSERT(q->state == IDLE);
	q->gate = g;
	tell_refused(q, v);
}

void gate_cancel(struct gate_question *q)
{
	MX_ASSERT(q->state == OUT);
	link_of(q)->cancel(q);
	q->state = IDLE;
}

bool gate_spoke(struct gate_question *q, struct verdict *v)
{
	const struct gate_link *link = link_of(q);

	MX_ASSERT(q->state == OUT);
	if (link->spoke == NULL || !link->spoke(q, v))
		return false;
	q->state = IDLE;
	tell_refused(q, v);
	return true;
}

void gate_leave(struct gate *g, struct gate_visit *visit)
{
	for (unsigned i = 0; g->slots > 0 && i < g->count; i++) {
		const struct gate_link *link = g->chain[i].link;
		void **memory = &visit->slots[g->chain[i].slot];

		if (link->leave == NULL || *memory == NULL)
			continue;
		link->leave(*memory, g->chain[i].arg);
		*memory = NULL;
	}
}

void **gate_memory(struct gate_question *q)
{
	MX_ASSERT(link_of(q)->leave != NULL);
	return &q->visit->slots[q->gate->chain[q->at].slot];
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

enum gate_reply gate_refuse_rcpt(const struct gate_question *q,
				 struct verdict *v, enum verdict_id id)
{
	verdict_set_for(v, id, q->rcpt->row);
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
	next = *v;
	report(q, next.code != 0 ? GATE_REFUSE : GATE_GO, v);
	if (next.code != 0)
		tell_refused(q, &next);
	else if (!ask_from(q, q->at + 1u, &next))
		return;
	q->cb(q, &next); /* q may be gone */
}
