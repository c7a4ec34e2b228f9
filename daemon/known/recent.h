/* Who was refused of late: what is to be forgotten when it turns out that the
 * primary was broken.  So many at most; the oldest go first. */
#ifndef MX_KNOWN_RECENT_H
#define MX_KNOWN_RECENT_H

#include "daemon/known/known_priv.h"

enum { RECENT_MOST = 1024 };

struct recent;

struct recent_no {
	struct known_key key;
	uint64_t destination;
	int64_t at_ms; /* wall; 0: none */
	char *domain;
	/* He was known to be there before: when that was learned, and the down
	 * time there was then; 0: he was not. */
	int64_t yes_ms, yes_down_ms;
};

/* *r NULL: nobody was; made when somebody is. */
void recent_free(struct recent **r);
/* no without its domain, which is copied. */
void recent_add(struct recent **r, const struct recent_no *no,
		struct span domain);
/* Take one out that was refused since then at the destination, of this domain
 * (empty: of any); false: there is none.  Its domain is the caller's to free. */
bool recent_take(struct recent *r, struct span domain, uint64_t destination,
		 int64_t since_ms, struct recent_no *out);

#endif
