/*
 * What a new configuration does to the mail at hand: the spool's part in
 * config/compare.h.
 */
#ifndef MX_DAEMON_GUARD_H
#define MX_DAEMON_GUARD_H

#include "common/spool/spool.h"
#include "config/compare.h"

struct guard;

struct guard *guard_new(struct spool *sp);
/* Before the spool closes, when no load is under way any more. */
void guard_free(struct guard **g);

/* As reload_hooks.mail: on the loading thread. */
void guard_mail(struct guard *g, struct change *ch);

/* Log what a reload was refused for, and how to have it all the same. */
void guard_log_refused(const struct change *ch);
/* Log what was taken although it looks like an accident. */
void guard_log_forced(const struct change *ch);

#endif
