/*
 * What a new configuration does to the mail at hand: the spool's part in
 * config/allow/compare.h, and the memory of what was listed last
 * (config/allow/listed.h).
 */
#ifndef MX_DAEMON_GUARD_H
#define MX_DAEMON_GUARD_H

#include "common/spool/spool.h"
#include "config/allow/compare.h"
#include "config/config.h"

struct guard;

/*
 * At the start: on a thread, log at level error what this configuration lost
 * against the one that was in force last, and what waits for domains that are
 * not listed; then remember it.
 */
struct guard *guard_new(struct spool *sp, struct config *config);
/* Before the spool closes, when no load is under way any more. */
void guard_free(struct guard **g);

/* This one is in force now: remember it, on a thread. */
void guard_taken(struct guard *g, struct config *config);

/* As reload_hooks.mail: on the loading thread. */
void guard_mail(struct guard *g, struct change *ch);

/* Log what a reload was refused for, and how to have it all the same. */
void guard_log_refused(const struct change *ch);
/* Log what was taken although it looks like an accident. */
void guard_log_forced(const struct change *ch);

/* --check: print what a reload would change, what it would refuse, and what
 * waits for domains that are not listed; whether or not a daemon runs. */
void guard_check(const struct config *config);

#endif
