/* Loading a snapshot on a thread while the loop goes on. */
#ifndef MX_CONFIG_RELOAD_H
#define MX_CONFIG_RELOAD_H

#include <ev.h>

#include "config/config.h"

struct reload;

/* On the loop thread: config is the new snapshot (one reference, the callee's)
 * or NULL, then errors says why. */
typedef void reload_cb(struct config *config,
		       const struct config_errors *errors, void *arg);

struct reload *reload_new(struct ev_loop *loop, const char *path,
			  reload_cb *cb, void *arg);
void reload_free(struct reload **r); /* waits for a load under way */

/* Begin; when one is under way, another follows it (requests are merged). */
void reload_start(struct reload *r);

/* Is one under way?  In the callback: does another follow?  Then whoever asked
 * last is answered by that one: this one may have read the files before they
 * were changed. */
bool reload_is_running(const struct reload *r);

#endif
