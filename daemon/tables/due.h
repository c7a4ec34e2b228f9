/* When a table is fetched again; pure. */
#ifndef MX_TABLES_DUE_H
#define MX_TABLES_DUE_H

#include <stdint.h>

/*
 * How long to wait until then.  After a success (or a table that is not
 * believed) refresh_ms; after so many failures on end five seconds, doubled by
 * each, but no more than that; what the server asked for (0: nothing) if it is
 * longer.  A tenth less or more, by any random number.
 */
int64_t due_wait_ms(int64_t refresh_ms, unsigned failures,
		    int64_t retry_after_ms, uint64_t random);

#endif
