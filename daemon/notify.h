/* What the service manager hears from us: sd_notify(3). */
#ifndef MX_DAEMON_NOTIFY_H
#define MX_DAEMON_NOTIFY_H

#include <ev.h>

#include "config/config.h"

/* Ready, or ready again after a reload, and with what. */
void notify_ready(const struct config *c);
void notify_reloading(void);
void notify_stopping(void);

/* What stands behind the status line from now on: "" or "; SPOOL full: ...". */
void notify_trouble(struct span words);

/* Pet the watchdog if there is one: from the loop, since it is the loop that
 * must not hang. */
void notify_watchdog_start(struct ev_loop *loop);
void notify_watchdog_stop(struct ev_loop *loop);

#endif
