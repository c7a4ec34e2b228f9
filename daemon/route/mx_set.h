/*
 * The MX records of an answer in order; it may have thousands.  Pure.
 */
#ifndef MX_ROUTE_MX_SET_H
#define MX_ROUTE_MX_SET_H

#include "daemon/dns/answer.h"
#include "daemon/dns/self.h"

/* More hosts than we ever look up, for whoever wants to see why. */
enum { MX_SET_MOST = 256 };

struct mx_record {
	unsigned preference;
	struct span name; /* as dns_read_mx has it; "" is the root */
};

/*
 * By preference, then name; each name once, with its best preference; no more
 * than MX_SET_MOST, the best of them.  This host by name is never left out for
 * want of room: what is not better than it has to be known (RFC 5321 section
 * 5.1).  *out and the names live in a.
 */
size_t mx_set_read(struct arena *a, const struct dns_answer *mx,
		   const struct self *self, struct mx_record **out);

#endif
