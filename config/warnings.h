/* What is legal and still better known, found once everything is read. */
#ifndef MX_CONFIG_WARNINGS_H
#define MX_CONFIG_WARNINGS_H

#include "config/settings.h"

/* Add them to the doubts of e.  O(1) at any size of the allowlist: its rows
 * were counted while they were read.  Asks the disk of the spool how large it
 * is. */
void warnings_find(const struct config *c, struct settings *s,
		   struct config_errors *e);

#endif
