/* What is wrong with mirror.postgresql, as far as libpq can say without the
 * database.  Behind pq_load.  Nothing that may be a secret is repeated. */
#ifndef MX_MIRROR_CONNINFO_H
#define MX_MIRROR_CONNINFO_H

#include "common/base/buf.h"

/* False: nothing is. */
bool conninfo_is_wrong(const char *conninfo, struct buf *why);

/* Is there a passfile that libpq would not use?  It would say so on standard
 * error, at each try, and then have no password. */
bool conninfo_secret_is_wrong(const char *conninfo, struct buf *why);

#endif
