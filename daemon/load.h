/* The configuration at the start, and what no file says of itself. */
#ifndef MX_DAEMON_LOAD_H
#define MX_DAEMON_LOAD_H

#include <ev.h>

#include "config/config.h"
#include "daemon/options.h"

/* Load it, or print every error and exit; with --check exit in any case. */
struct config *load_or_exit(const struct options *o, struct ev_loop *loop);

/* Is a configuration without errors one that can be worked with? */
bool load_check(struct ev_loop *loop, const struct config *c,
		struct config_errors *errors);

#endif
