/*
 * Why a brake is pulled, as a value: what was refused, grouped by what the
 * replies say.  It is stored as a fact of the spool ("brake:NAME"), so that it
 * survives a restart and mx20ctl knows without the daemon.
 */
#ifndef MX_STATUS_BRAKED_H
#define MX_STATUS_BRAKED_H

#include "common/base/buf.h"

enum { BRAKED_REPLIES = 8, BRAKED_TEXT_MAX = 200 };

struct braked_reply {
	char text[BRAKED_TEXT_MAX]; /* the first of them */
	unsigned count;
};

struct braked {
	int64_t since_ms; /* wall; 0: it is not pulled */
	int64_t next_ms;  /* wall: a message is tried; 0: not known.  Not
			     stored */
	struct braked_reply replies[BRAKED_REPLIES];
	size_t reply_count;
	unsigned others; /* that found no group */
};

/* Another refusal: it joins those that say the same (smtp_alike). */
void braked_add(struct braked *b, struct span reply);
/* How many there were. */
unsigned braked_refusals(const struct braked *b);
/* The reply that was heard most; empty: none. */
struct span braked_most(const struct braked *b);

/* The name of the fact of a domain, or of a destination by its route's key.
 * Appends. */
void braked_domain_key(struct buf *out, struct span domain);
void braked_destination_key(struct buf *out, struct span route_key);
/* The value of the fact, "SINCE OTHERS" and a line "COUNT TEXT" for each reply.
 * False: it is none. */
void braked_print(struct buf *out, const struct braked *b);
bool braked_parse(struct span value, struct braked *out);

#endif
