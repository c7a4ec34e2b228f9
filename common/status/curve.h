/*
 * How full the spool was, as the spool keeps it: written by the daemon
 * (daemon/history), read by whoever shows it.
 *
 * The fact "curve:HHHHHHHH" is an hour, H its number since 1970 in
 * hexadecimal.  The value has a line for each minute of which something is
 * known, or, a day later, for the fullest one alone:
 *
 *   MINUTE USED MESSAGES
 *   07 53248 12
 */
#ifndef MX_STATUS_CURVE_H
#define MX_STATUS_CURVE_H

#include "common/base/buf.h"

#define CURVE_PREFIX SPAN_LIT("curve:")
enum {
	CURVE_FINE_HOURS = 25,	     /* that have their minutes */
	CURVE_KEPT_HOURS = 366 * 24, /* at all */
};

struct curve_sample {
	int64_t at_ms; /* wall; of its minute */
	uint64_t used_bytes, messages;
};

int64_t curve_hour(int64_t wall_ms);
void curve_key(struct buf *out, int64_t hour);
/* False: it is none. */
bool curve_key_get(struct span key, int64_t *hour);

/* Append a line. */
void curve_put(struct buf *value, const struct curve_sample *s);
/* Take the next line off the value; false: there is none, or it is no such
 * value. */
bool curve_next(struct span *value, int64_t hour, struct curve_sample *out);
/* Append the line of the fullest minute.  True: there were more than that. */
bool curve_condense(struct buf *out, int64_t hour, struct span value);

#endif
