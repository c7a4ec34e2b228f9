/* The inside of choose.h. */
#ifndef MX_ROUTE_CHOOSE_PRIV_H
#define MX_ROUTE_CHOOSE_PRIV_H

#include "daemon/route/choose.h"

typedef bool choice_is_self(const struct choice *c, const struct candidate *h);

/* Drop this host, where it is found, and all that is not better (RFC 5321
 * section 5.1). */
void choice_cut_self(struct choice *c, choice_is_self *is_self,
		     const char *why);

/* Does this address, with its port, lead to this host?  A host that the
 * operator wrote down may well be a second server on this machine: only what we
 * listen on is ourselves then. */
bool choice_is_here(const struct choice *c, const struct net_addr *addr);

#endif
