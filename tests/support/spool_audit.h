/* Does everything in a spool agree with everything else? */
#ifndef TEST_SPOOL_AUDIT_H
#define TEST_SPOOL_AUDIT_H

#include "common/spool/spool.h"

/*
 * Walk all tables of an open spool: every row has its counterparts, every
 * content is whole, every counter is what it counts.  Only while nothing is
 * being written.  False: why says what does not agree.
 */
bool spool_audit(struct spool *sp, struct buf *why);

#endif
