/*
 * The resolver of the gates.  A third one beside those of the routes: silent
 * lists must not delay mail, and a crowd of clients must not keep the lists'
 * answers from coming.  There is none while no gate needs one.
 */
#ifndef MX_POLICY_NAMES_H
#define MX_POLICY_NAMES_H

#include "daemon/policy/dnsbl.h"

struct names;

struct names *names_new(struct ev_loop *loop);
void names_free(struct names **n); /* when nothing is asked any more */

/* Open one as the settings have it, if they name a list, and have it used from
 * now on. */
void names_configure(struct names *n, struct dnsbl *d, const struct config *c);

#endif
