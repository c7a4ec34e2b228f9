/* What the intake asks of rooms it does not know. */
#ifndef MX_DAEMON_HOOKS_H
#define MX_DAEMON_HOOKS_H

#include "daemon/drain/drain.h"
#include "daemon/intake/intake.h"
#include "daemon/policy/policy.h"
#include "daemon/route/route.h"

/* Whom to ask; config changes with a reload. */
struct hooks {
	struct config *config;
	struct spool *spool;
	struct drain *drain;
	struct router *router;
};

/* What is asked of primaries is asked through the drain. */
void hooks_ask(struct known *known, struct drain *drain);

/* Whether primaries answer the drain knows, or finds out. */
struct policy_primary hooks_primary(struct drain *drain);

/* What is relayed goes through the drain. */
void hooks_door(struct relay_door *out, struct drain *drain);

/* h must live as long as the intake. */
void hooks_fill(struct intake_hooks *out, struct hooks *h);

#endif
