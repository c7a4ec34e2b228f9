/* Lines of the log that count: metrics and log tell the same, being one call.
 */
#ifndef MX_BASE_METRICS_EVENTS_H
#define MX_BASE_METRICS_EVENTS_H

#include "common/base/events.h"

struct log_field;

/* Count what this line says, whether or not it is written.  By log.c. */
void metrics_event(enum log_event event, const struct log_field *fields);

#endif
