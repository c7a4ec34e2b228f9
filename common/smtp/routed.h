/* Does a local part tell a server where to send the mail on to? */
#ifndef MX_SMTP_ROUTED_H
#define MX_SMTP_ROUTED_H

#include <stdbool.h>

#include "common/base/span.h"

/*
 * The forms from before there was DNS, which some servers still follow for
 * whom they trust: user%host, host!user, and "user@host" in quotes, where host
 * has a dot in it or begins an address in square brackets; what else a server
 * may skip there makes no difference.  RFC 5321 section 2.3.11 leaves a local
 * part to its own host, so this says nothing of whether there is such a
 * mailbox.  local: as smtp_local_canon has it.
 */
bool smtp_is_routed(struct span local);

#endif
