/* What an order is about: ids, a domain, a pattern, a destination. */
#ifndef MX_CTL_SELECT_H
#define MX_CTL_SELECT_H

#include "daemon/ctl/ctl.h"

struct selection {
	struct buf ids; /* each with NUL */
	size_t id_count;
	uint64_t bad;	 /* ids that are none; it has been said */
	const char *key; /* "domain" or "destination"; NULL: by id, or all */
	struct buf value;
	struct buf about; /* in words: "message X", "example.org"; or empty */
	struct span left; /* ids that no request has been made of */
	bool is_made;
};

/* From the command line, or ids from standard input ("-").  False after
 * saying what is wrong; to be released in either case. */
bool selection_take(struct selection *s, const struct ctl *ctl);
void selection_fini(struct selection *s);

/* The next request; NULL: no more.  Many ids take several. */
json_t *selection_request(struct selection *s, const struct ctl *ctl);

/* Whoever runs us by sudo is named in the request. */
void selection_claim(json_t *request);

#endif
