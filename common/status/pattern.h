/*
 * What an operator writes to find addresses; pure.
 *
 *   <>               the empty reverse-path
 *   u@example.org    this address, whatever its case and form
 *   @example.org     every address of this domain, and of no subdomain
 *   anything else    it is a part of the address, whatever its case
 */
#ifndef MX_STATUS_PATTERN_H
#define MX_STATUS_PATTERN_H

#include "common/base/buf.h"

struct pattern {
	enum {
		PATTERN_ANY, /* everything matches: all zero */
		PATTERN_EMPTY,
		PATTERN_ADDRESS,
		PATTERN_DOMAIN,
		PATTERN_PART,
	} kind;
	struct buf text;    /* as it is compared */
	struct buf scratch; /* of the last address looked at */
};

enum { PATTERN_MAX = 1024 };

/* Angle brackets around it are dropped.  False: nothing is meant by it (empty,
 * too long, a domain or address that is none). */
bool pattern_take(struct pattern *p, struct span word);
void pattern_fini(struct pattern *p);

/* An address as it came, without brackets. */
bool pattern_matches(struct pattern *p, struct span mailbox);

/* Is the needle in there as a word, whatever the case of ASCII letters?  What
 * stands on either side of it, if anything, is neither a letter nor a digit. */
bool pattern_contains_word(struct span text, struct span needle);

#endif
