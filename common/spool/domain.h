/* A domain's row, as it is read: with the hold of a pattern above it. */
#ifndef MX_SPOOL_DOMAIN_H
#define MX_SPOOL_DOMAIN_H

#include "common/spool/spool_priv.h"

/* MX_ENOENT: there is none, and *row is that of a domain without mail. */
enum mx_err domain_read(struct spool *sp, MDB_txn *txn, struct span domain,
			struct domain_row *row);

/* Does the row stay?  It has units, or a hold of the operator's. */
bool domain_is_kept(const struct spool_domain *d);

/* Find out at the start whether a pattern of domains is held. */
void domain_look_for_patterns(struct spool *sp, MDB_txn *txn);

#endif
