/* LMDB's environment: opened one way, and made. */
#ifndef MX_SPOOL_ENV_H
#define MX_SPOOL_ENV_H

#include <lmdb.h>

#include "common/base/err.h"
#include "common/base/span.h"

struct table;

/* What LMDB returns; *out is set last, and NULL on failure.  map: bytes of
 * address space; 0: as the file says. */
int env_open(MDB_env **out, const char *dir, unsigned flags, uint64_t map);
/* Make a data file with empty tables in dir, durably. */
enum mx_err env_make(const char *dir);
/* Does the row "schema" of meta name one that we know? */
bool env_knows_schema(struct span value);
/* Something is stored that versions of mx20 which know only a lower schema
 * would misread: they do not open the spool any more. */
enum env_schema {
	ENV_PLAIN = 1,
	ENV_BASED,  /* content that does not begin at offset 0 (content.h) */
	ENV_PARKED, /* recipients that are refused and not final, or shelved */
	ENV_MIRRORED, /* what leaves has to be noted for a mirror, and others
			 may have taken it over */
};
enum mx_err env_raise_schema(struct table *meta, MDB_txn *txn,
			     enum env_schema to);

#endif
