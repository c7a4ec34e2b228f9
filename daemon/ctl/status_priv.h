/* The inside of mx20ctl status: what stands above and below its table. */
#ifndef MX_CTL_STATUS_PRIV_H
#define MX_CTL_STATUS_PRIV_H

#include "daemon/ctl/status.h"

/* What was seen on the way, for the advice at the end. */
struct seen {
	bool any, down, braked, held, parts_held, unlisted, unknown, deferred;
	bool refused;
	uint64_t rows, left_out;
	struct buf holds; /* of destinations, in words */
};

void seen_note(struct seen *seen, const json_t *row);
void seen_note_hold(struct seen *seen, const json_t *hold);
/* Below the table: what was left out, and what is to be done. */
void seen_advise(const struct seen *seen, bool is_live, struct buf *out);

/* The two lines above everything: is it running, how much waits. */
void status_head(const struct ctl *ctl, const json_t *overview,
		 struct buf *out);

#endif
