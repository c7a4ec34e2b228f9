/*
 * What a domain's hosts offer: each target's last EHLO, and which targets a
 * domain had, are facts of the spool, so that they outlive a restart in which
 * there is neither mail for the domain nor an answer of DNS.
 */
#ifndef MX_DRAIN_OFFERS_H
#define MX_DRAIN_OFFERS_H

#include "daemon/drain/domain.h"

/* Older ones say nothing. */
#define OFFERS_MS DAYS(7)

/* It has this route now. */
void offers_remember(struct domain *dom);

/* A fact of the spool: is it one of these, and of no use any more?  Pure. */
bool offers_is_over(struct span key, struct span value, int64_t now_ms);

/* The targets in such a list that the spool knows: what do all hosts lack? */
enum command_lack offers_lack(struct spool *sp, struct span list,
			      const struct envelope *env,
			      const struct recipient *rcpt, int64_t now_ms);

#endif
