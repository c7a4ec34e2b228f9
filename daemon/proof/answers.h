/* What DNS answers, as RFC 7208 asks for it.  Pure. */
#ifndef MX_PROOF_ANSWERS_H
#define MX_PROOF_ANSWERS_H

#include "common/spf/spf.h"
#include "daemon/dns/answer.h"

/* The record type to ask for. */
enum dns_type answers_type(enum spf_type type);

/*
 * The answer to a question of that type; records live in the arena.  One that
 * cannot be read is left out; if none can, nothing is known.  A denial by
 * whatever road is a void look-up (RFC 7208 section 4.6.4); what failed, or
 * what DNSSEC calls forged, is none.
 */
void answers_read(struct arena *a, enum spf_type type,
		  const struct dns_answer *dns, struct spf_answer *out);

#endif
