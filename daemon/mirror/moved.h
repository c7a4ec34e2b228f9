/* What goes from node to node, message by message: a line in the log, and word
 * to whoever keeps what has left. */
#ifndef MX_MIRROR_MOVED_H
#define MX_MIRROR_MOVED_H

#include "daemon/mirror/mirror_priv.h"

/* On the loop, while the spool has it.  The taker's: it is here now.  The one
 * that lost it: it is about to go.  Nothing of it here: nothing is said. */
void moved_here(struct mirror *m, uint64_t id, uint64_t was, const char *node);
void moved_away(struct mirror *m, uint64_t id, uint64_t now, const char *node);

#endif
