/* How often a client network may come with a message, and ask after recipients
 * that are none, in all of its sessions. */
#include "common/base/clock.h"
#include "daemon/policy/links.h"
#include "daemon/policy/rates.h"
#include "daemon/policy/trusted.h"

static bool has_rate(const struct config *c)
{
	return c->policy.rate_messages > 0 || c->policy.rate_unknown > 0;
}

static enum gate_reply ask_rate(struct gate_question *q, struct verdict *v)
{
	const struct rate_arg *a = q->link_arg;
	const unsigned most = q->config->policy.rate_messages;
	const int64_t now_ms = clock_mono_ms();
	unsigned n;

	if (most == 0 || trusted_is(a->opt, q))
		return GATE_GO;
	n = q->is_dry ? rates_get(a->rates, q->client, RATE_MESSAGES, now_ms) + 1
		      : rates_add(a->rates, q->client, RATE_MESSAGES, now_ms);
	return n <= most ? GATE_GO : gate_refuse(v, V_RATE_MESSAGES);
}

/* Who guesses names hears the truth only so often. */
static void rate_refused(struct gate_question *q, struct verdict *v)
{
	const struct rate_arg *a = q->link_arg;
	const unsigned most = q->config->policy.rate_unknown;
	const int64_t now_ms = clock_mono_ms();
	unsigned n;

	if (most == 0 || !v->is_guess || trusted_is(a->opt, q))
		return;
	n = q->is_dry ? rates_get(a->rates, q->client, RATE_UNKNOWN, now_ms) + 1
		      : rates_add(a->rates, q->client, RATE_UNKNOWN, now_ms);
	if (n > most)
		verdict_set(v, V_RATE_UNKNOWN);
}

const struct gate_link link_rate = {
	.name = "rate",
	.is_on = has_rate,
	.ask = { [GATE_MAIL] = ask_rate },
	.refused = rate_refused,
};
