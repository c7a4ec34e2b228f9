/* Clients that lists in DNS name: asked when they connect, answered to their
 * first recipient.  The postmaster can be written to by anybody: who is listed
 * by mistake has nobody else to ask. */
#include "daemon/policy/dnsbl.h"
#include "daemon/policy/links.h"
#include "daemon/policy/trusted.h"

static bool has_zones(const struct config *c)
{
	return c->policy.dnsbl_count > 0;
}

/* The greeting does not wait for it. */
static enum gate_reply begin(struct gate_question *q, struct verdict *v)
{
	const struct dnsbl_arg *a = q->link_arg;

	(void)v;
	if (!trusted_is(a->opt, q) && !dnsbl_is_left_often(a->dnsbl))
		*gate_memory(q) = dnsbl_begin(a->dnsbl, q->client);
	return GATE_GO;
}

static enum gate_reply judge(const struct dnsbl_visit *visit,
			     const struct config *c, struct verdict *v)
{
	struct buf text = { 0 }, names = { 0 };
	enum gate_reply reply = GATE_GO;

	if (dnsbl_score(visit, &names) >= c->policy.dnsbl_score &&
	    names.n > 0) {
		buf_addf(&text, "Your address is listed by %.*s",
			 SPAN_ARG(buf_span(&names)));
		verdict_say(v, 550, SPAN_LIT("5.7.1"), buf_span(&text),
			    "dnsbl", "policy.dnsbl");
		reply = GATE_REFUSE;
	}
	buf_fini(&text);
	buf_fini(&names);
	return reply;
}

static void on_known(void *arg)
{
	struct gate_question *q = arg;
	struct verdict v;

	if (judge(q->link_job, q->config, &v) == GATE_REFUSE)
		gate_answer(q, &v);
	else
		gate_answer(q, NULL);
}

static bool is_postmaster(const struct gate_question *q)
{
	return q->rcpt->is_postmaster ||
	       span_ieq(q->to->local, SPAN_LIT("postmaster"));
}

static enum gate_reply ask_dnsbl(struct gate_question *q, struct verdict *v)
{
	const struct dnsbl_arg *a = q->link_arg;
	struct dnsbl_visit *visit;

	if (is_postmaster(q))
		return GATE_GO;
	visit = *gate_memory(q);
	if (visit == NULL && !trusted_is(a->opt, q))
		visit = *gate_memory(q) = dnsbl_begin(a->dnsbl, q->client);
	if (visit == NULL)
		return GATE_GO;
	if (dnsbl_is_known(visit))
		return judge(visit, q->config, v);
	q->link_job = visit;
	dnsbl_wait(visit, on_known, q);
	return GATE_LATER;
}

static void cancel(struct gate_question *q)
{
	dnsbl_unwait(q->link_job);
}

static void leave(void *memory, void *arg)
{
	struct dnsbl_visit *visit = memory;

	(void)arg;
	dnsbl_end(&visit);
}

const struct gate_link link_dnsbl = {
	.name = "dnsbl",
	.is_on = has_zones,
	.ask = { [GATE_CONNECTION] = begin, [GATE_RCPT] = ask_dnsbl },
	.cancel = cancel,
	.leave = leave,
};
