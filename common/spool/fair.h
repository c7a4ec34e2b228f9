/* Whose mail fits, when not all does. */
#ifndef MX_SPOOL_FAIR_H
#define MX_SPOOL_FAIR_H

#include "common/spool/spool.h"

/* May a message of so many bytes be added to what the domain has?  coming: what
 * it and others will take that does not count as used yet.  Any thread. */
bool fair_allows(const struct spool *sp, const struct spool_domain *d,
		 uint64_t bytes, uint64_t coming, enum spool_claim claim);

#endif
