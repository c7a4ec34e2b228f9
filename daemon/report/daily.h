/*
 * Each day's digests (digest.h): finds the domains that have something on their
 * shelf, and puts one message each into the spool.
 *
 * The shelves are read on a thread of its own, which looks every five minutes;
 * what it costs grows with what is on them, and the loop has no part in it but
 * to commit what was made, a few at a time.
 *
 * That a digest was made is the fact "digest:DOMAIN", "1790000000000 12345\n":
 * until when it goes (wall ms), and its id.  It is put with the message, so a
 * crash leaves both or neither, and no day has two.  One that is still in the
 * spool has no second beside it; the next one goes back to where it ended.
 */
#ifndef MX_REPORT_DAILY_H
#define MX_REPORT_DAILY_H

#include <ev.h>

#include "config/config.h"
#include "common/spool/spool.h"

struct daily;

#define DAILY_PREFIX SPAN_LIT("digest:")

/* A reference to the config is taken. */
struct daily *daily_new(struct ev_loop *loop, struct spool *sp,
			struct config *config);
void daily_reload(struct daily *d, struct config *config);
/* Before spool_close.  The thread is told to stop, and waited for. */
void daily_free(struct daily **d);

/* Is it such a fact, of a digest of long ago?  Pure. */
bool daily_is_over(struct span key, struct span value, int64_t now_ms);

#endif
