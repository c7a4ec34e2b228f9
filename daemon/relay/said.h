/* What a reply, or the end of a job, means for the client: pure. */
#ifndef MX_RELAY_SAID_H
#define MX_RELAY_SAID_H

#include "daemon/relay/relay.h"

/* A reply to RCPT of mail from that sender.  is_only: what this server cannot
 * take, no other can. */
void said_of_rcpt(struct relay_said *s, enum meaning m, struct span reply,
		  struct span from, bool is_only);
/* The job is over: for its ith recipient, whom the primary had taken or not. */
void said_of_job(struct relay_said *s, const struct delivery_job *job,
		 const struct delivery_end *end, size_t i, bool is_taken);
/* Nobody said anything. */
void said_made(struct relay_said *s, enum relay_stage stage,
	       enum relay_event event, struct span why);
/* More came than this server of the primary takes.  is_only: so does any. */
void said_too_big(struct relay_said *s, bool is_only);

#endif
