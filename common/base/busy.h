/*
 * Is there more to compute than processors for it?
 *
 * Then what costs the same for one as for many is done for many: the loop looks
 * for packets in rounds, the spool's writer commits what several clients have
 * sent.  Whoever has waited for a processor already does not notice.  One for
 * the process; any thread.
 */
#ifndef MX_BASE_BUSY_H
#define MX_BASE_BUSY_H

#include <stdbool.h>

void busy_set(bool is_busy);
bool busy_is(void);

#endif
