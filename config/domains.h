/*
 * The allowlist and the recipient table: compact, immutable, made for
 * 1,000,000 domains and 10,000,000 recipients.
 */
#ifndef MX_CONFIG_DOMAINS_H
#define MX_CONFIG_DOMAINS_H

#include "config/config.h"

/* The row that covers a canonical domain: its own, else the nearest "*."
 * above it.  NULL: not ours.  Lives as long as the snapshot. */
const struct config_domain *domains_find(const struct domains *d,
					 struct span canonical);

/*
 * Is local@domain a recipient of the row?  domain is the canonical one that
 * row was found for (a "*." row covers many); local is as written.  postmaster
 * always is.  Honours any_recipient and delimiter.
 */
bool domains_has_recipient(const struct domains *d,
			   const struct config_domain *row,
			   struct span domain, struct span local);

/* Every row, in no order; stops when cb returns false. */
typedef bool domains_cb(const struct config_domain *row, void *arg);
void domains_each(const struct domains *d, domains_cb *cb, void *arg);

#endif
