/* The drain asks whether a sender is proven; the prover knows. */
#ifndef MX_DAEMON_PROVING_H
#define MX_DAEMON_PROVING_H

#include "config/config.h"
#include "daemon/drain/proof.h"
#include "daemon/proof/proof.h"
#include "daemon/route/route.h"

struct proving;

/* Asks the router's resolver for strangers. */
struct proving *proving_new(struct ev_loop *loop, struct router *router,
			    const struct config *config);
void proving_free(struct proving **p); /* after the drain; *p may be NULL */

/* Around router_reload. */
void proving_pause(struct proving *p);
void proving_resume(struct proving *p, const struct config *config);

/* For drain_new; lives as long as p. */
const struct give_up_proof *proving_hook(struct proving *p);
/* For whoever asks himself. */
struct prover *proving_prover(struct proving *p);

#endif
