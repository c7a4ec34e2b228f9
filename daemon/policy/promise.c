/*
 * What the primary cannot take is not taken for it: a size, SMTPUTF8 or
 * REQUIRETLS that all of its hosts lack, as they said within a week.  The sender
 * hears it while he is there, and not from a report days later.  Our Received
 * field is a part of what the primary gets.
 */
#include "daemon/policy/links.h"
#include "daemon/policy/policy.h"

/* Without these there is nothing that a server may lack (command_lack), and
 * nothing is looked up. */
static bool asks_for_nothing(const struct gate_question *q)
{
	enum { SIZE_LEAST = 64 * 1024 };

	return q->size <= SIZE_LEAST && !q->env->smtputf8 &&
	       !q->env->requiretls;
}

static enum verdict_id judge(const struct gate_question *q, struct span domain,
			     struct span path)
{
	static const enum verdict_id ids[] = {
		[LACKS_NOTHING] = V_GO,
		[LACKS_SIZE] = V_TOO_LARGE_THERE,
		[LACKS_SMTPUTF8] = V_NO_UTF8_THERE,
		[LACKS_REQUIRETLS] = V_NO_REQUIRETLS_THERE,
		[LACKS_AUTHENTICATION] = V_GO, /* is seen when it connects */
	};
	const struct policy_options *opt = q->link_arg;
	const struct recipient rcpt = { .path = path };
	struct envelope env = *q->env;

	env.bytes = q->size + q->added;
	return ids[opt->lacks(domain, &env, &rcpt, opt->arg)];
}

static enum gate_reply ask_promise(struct gate_question *q, struct verdict *v)
{
	const struct gate_rcpt *r = q->rcpt;
	enum verdict_id id;

	if (asks_for_nothing(q)) {
		if (q->is_dry)
			q->would = "no --size, and no address beyond ASCII";
		return GATE_GO;
	}
	id = judge(q, buf_span(&r->domain), buf_span(&r->path));
	return id == V_GO ? GATE_GO : gate_refuse(v, id);
}

/* What was not announced.  One that takes it is enough: the others have a
 * report, as in a transaction of their own. */
static enum gate_reply ask_end(struct gate_question *q, struct verdict *v)
{
	if (asks_for_nothing(q))
		return GATE_GO;
	for (size_t i = 0; i < q->rcpt_count; i++) {
		const struct spool_rcpt *r = &q->rcpts[i];

		if (i > 0 && span_eq(r->domain, r[-1].domain))
			continue;
		if (judge(q, r->domain, r->path) != V_TOO_LARGE_THERE)
			return GATE_GO;
	}
	return q->rcpt_count > 0 ? gate_refuse(v, V_TOO_LARGE_THERE) : GATE_GO;
}

const struct gate_link link_promise = {
	.name = "promise",
	.ask = { [GATE_RCPT] = ask_promise, [GATE_END] = ask_end },
};
