/* Loading a snapshot on a thread while the loop goes on. */
#ifndef MX_CONFIG_RELOAD_H
#define MX_CONFIG_RELOAD_H

#include <ev.h>

#include "config/allow/compare.h"
#include "config/config.h"

struct reload;

/* What a load brought. */
struct reload_result {
	unsigned number;
	struct config *config; /* one reference, the callee's; NULL: errors
				* says why */
	const struct config_errors *errors;
	const struct change *change; /* against the one before; with config */
	bool is_real;	/* somebody wants it taken, not only looked at */
	bool is_forced; /* whatever it changes */
	bool is_last;	/* nobody has asked for another meanwhile */
};

struct reload_hooks {
	/* Loop: the configuration in force, which it is compared with. */
	struct config *(*current)(void *arg);
	/* Loading thread: call change_mail for every domain that has mail, or
	 * change_mail_unknown.  NULL: there is none. */
	void (*mail)(struct change *ch, void *arg);
	/* Loop; may free the reload. */
	void (*done)(const struct reload_result *result, void *arg);
	void *arg;
};

enum { RELOAD_FORCED = 1, RELOAD_DRY = 2 };

struct reload *reload_new(struct ev_loop *loop, const char *path,
			  const struct reload_hooks *hooks);
void reload_free(struct reload **r); /* waits for a load under way */

/*
 * Begin a load; when one is under way another follows it, since that one may
 * have read the files before they were changed.  Requests that wait become one:
 * real if any of them is, forced if any real one is.  Returns the number of
 * the load that answers this request.
 */
unsigned reload_start(struct reload *r, unsigned flags);

#endif
