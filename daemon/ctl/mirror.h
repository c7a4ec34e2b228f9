/* The second copy: for `mx20ctl mirror`, `status`, alarms and `check`. */
#ifndef MX_CTL_MIRROR_H
#define MX_CTL_MIRROR_H

#include "daemon/check/check.h"
#include "daemon/ctl/source.h"

/* Append how many messages lack it, since when, and why: of the member
 * "mirror" that mx20d tells.  Not cleaned for a terminal. */
void mirror_show_state(const json_t *m, int64_t now_ms, struct buf *out);

/* What mx20d said of it, and what the doctor makes of that. */
struct check_learned {
	struct check_mirror mirror; /* borrows from the rest */
	json_t *answer;
	struct buf others;
};
/* Ask, if there is one and the source is a daemon. */
void mirror_learn(struct check_learned *l, struct source *s);
void mirror_learn_fini(struct check_learned *l);

#endif
