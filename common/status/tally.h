/*
 * What was counted, by quarter of an hour: kept by the daemon
 * (daemon/history/tally_keeper.h), read by whoever sums it up.
 *
 * The fact "tally:HHHHHHHH", where H are the bits of the number of the quarter
 * (since 1970, UTC) turned over, in hexadecimal: the order of the keys is the
 * newest first.  The value is text, a line each:
 *
 *   messages_accepted 12
 *   recipients_rejected.unknown_recipient 3
 *   slowest 11520 01JD8X4Z7QG00 u@example.org
 *
 * The names are those of the counters (common/base/metrics.h), without what all
 * of them have in common, and behind a dot the reason.  Only what is not 0 is
 * there, and names that are not known are left alone.
 */
#ifndef MX_STATUS_TALLY_H
#define MX_STATUS_TALLY_H

#include <jansson.h>

#include "common/status/status.h"

#define TALLY_QUARTER_MS MINUTES(15)
#define TALLY_KEPT_MS DAYS(366)
#define TALLY_PREFIX SPAN_LIT("tally:")

enum { TALLY_NAME_MAX = 64, TALLY_TO_MAX = 256 };

/* The delivery that took longest; wait_s -1: there was none. */
struct tally_slowest {
	int64_t wait_s;
	uint64_t id;
	char to[TALLY_TO_MAX + 1];
};

void tally_key(struct buf *out, int64_t wall_ms);
/* The beginning of its quarter; false: it is no such key. */
bool tally_key_parse(struct span key, int64_t *began_ms);

void tally_put(struct buf *out, struct span name, uint64_t n);
void tally_put_slowest(struct buf *out, const struct tally_slowest *s);
/* Take a line: the name and the number, or (name "slowest") the slowest.
 * False: no further one. */
bool tally_next(struct span *value, struct span *name, uint64_t *n,
		struct tally_slowest *slowest);
/* Is it such a fact, and too old to be kept?  Pure. */
bool tally_is_over(struct span key, int64_t now_ms);

/*
 * A page of quarters that begin at since_ms or later, the newest first:
 * {"began","counts":{name:n},"slowest":null or {"wait_s","id","to"}}.
 */
enum mx_err status_tally(struct spool *sp, int64_t since_ms, struct span after,
			 struct status_page *out);

#endif
