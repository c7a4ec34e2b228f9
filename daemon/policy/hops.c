/* Mail that has passed too many hosts goes round in circles (RFC 5321 section
 * 6.3). */
#include "daemon/policy/links.h"

static enum gate_reply ask_hops(struct gate_question *q, struct verdict *v)
{
	return q->received < q->config->limits.hops ? GATE_GO
						    : gate_refuse(v, V_LOOP);
}

const struct gate_link link_hops = {
	.name = "hops",
	.ask = { [GATE_END] = ask_hops },
};
