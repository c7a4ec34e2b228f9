/* The second copy: for `mx20ctl mirror`, `status`, alarms and `check`. */
#ifndef MX_CTL_MIRROR_H
#define MX_CTL_MIRROR_H

#include "daemon/check/check.h"
#include "daemon/ctl/source.h"

/*
 * Of the member "mirror" that mx20d tells, appended, and not cleaned for a
 * terminal: how many messages lack it, since when, why, and what becomes of
 * mail meanwhile.
 */
void mirror_show_state(const json_t *m, int64_t now_ms, struct buf *out);
/* One of its "lost" nodes; a name of its "doubled" ones; all of them, a line
 * each that begins so. */
void mirror_lost_text(const json_t *lost, struct buf *out);
void mirror_doubled_text(struct span name, struct buf *out);
void mirror_show_nodes(const json_t *m, const char *before, struct buf *out);

/* Say on standard error that mail is withheld, if it is. */
void mirror_warn_withheld(const struct ctl *ctl);

/* What mx20d said of it, and what the doctor makes of that. */
struct check_learned {
	struct check_mirror mirror; /* borrows from the rest */
	json_t *answer;
	struct buf others, ills;
};
/* Ask, if there is one and the source is a daemon. */
void mirror_learn(struct check_learned *l, struct source *s);
void mirror_learn_fini(struct check_learned *l);

#endif
