/* Standard error, with nothing between: the log and the last words use it. */
#ifndef MX_BASE_SAY_H
#define MX_BASE_SAY_H

#include "common/base/span.h"

/* Write at most so many bytes of it, however long that takes, and step over
 * them.  False: nobody is left to tell. */
bool say_some(struct span *s, size_t most);

/* Write all of it, past the log's queue.  Who does not read it for a second
 * does not hear the rest. */
void say_now(struct span s);

#endif
