/* What was touched goes into a parcel, or is noted. */
#ifndef MX_SPOOL_CHANGES_H
#define MX_SPOOL_CHANGES_H

#include "common/spool/pack.h"

/*
 * Into the parcel, where there is one (k->out), what was not noted before; all
 * else is noted.  was_sent: the mirror may have it.
 */
enum mx_err changes_see(struct batch *b, struct packing *k, struct touches *t,
			bool was_sent);

#endif
