/* A message as `queue` and `show` present it to people. */
#ifndef MX_CTL_MESSAGE_H
#define MX_CTL_MESSAGE_H

#include "common/status/status.h"

/*
 * Append why a recipient waits: "deferred, retry in 4m, tried 2 times: 450 ...".
 * domains is an array of status_domain, or NULL: it tells of domains that wait
 * as a whole.
 */
void message_why(struct buf *out, const json_t *recipient, int64_t now_ms,
		 const json_t *domains);

#endif
