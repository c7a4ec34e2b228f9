/*
 * What was listed last: a file beside the spool, so that --check and a start
 * have something to compare a configuration with (config/allow/compare.h).
 *
 *   mx20-listed 1 3 42        version, rows, recipients in all
 *   example.com 12            how many recipients hold for it
 *   example.org *             every local part does, or nobody can count them
 *   *.example.net 30
 *   end                       else it is no whole one, and not believed
 */
#ifndef MX_ALLOW_LISTED_H
#define MX_ALLOW_LISTED_H

#include "config/allow/domains.h"

/* Put a new one in the place of the old.  Blocks; a second at a million
 * domains.  It is no loss if a power cut takes it.  False: why says what. */
bool listed_write(const char *path, const struct domains *d, struct buf *why);

/* As far as change_find needs it: names and counts.  NULL: there is none, or
 * none to be believed. */
struct domains *listed_read(const char *path);

#endif
