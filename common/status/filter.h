/* Which of the messages that wait, and which of their recipients, are asked
 * for. */
#ifndef MX_STATUS_FILTER_H
#define MX_STATUS_FILTER_H

#include <jansson.h>

#include "common/spool/record.h"
#include "common/status/pattern.h"

/* All zero lets everything pass. */
struct status_filter {
	struct pattern from, to;
	struct pattern either;	/* the sender, or a recipient */
	struct buf word;	/* of a recipient's last reply; empty: any */
	int64_t before_ms;	/* arrived before (wall); 0: whenever */
	unsigned states;	/* a bit for each name; 0: any */
};

/*
 * {"from","to","either","word","before_ms","states"}, each may be missing;
 * states are names with a comma between them.  An English reason when it is
 * not one; the filter is to be released in either case.
 */
const char *status_filter_take(struct status_filter *f, const json_t *object);
void status_filter_fini(struct status_filter *f);

/* The message may have recipients that are asked for. */
bool status_filter_message(struct status_filter *f, const struct envelope *e);
/* One of a message for which that is so; state: as JSON has it. */
bool status_filter_recipient(struct status_filter *f, const struct envelope *e,
			     const struct recipient *r, const char *state);

#endif
