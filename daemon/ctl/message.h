/* A message as `queue` and `show` present it. */
#ifndef MX_CTL_MESSAGE_H
#define MX_CTL_MESSAGE_H

#include "daemon/ctl/states.h"

/* {"id","arrival","bytes","from","recipients":[]} */
json_t *message_object(const struct unit *u);

/* Append the unit's recipients to it: a message has a unit for each domain. */
void message_recipients(json_t *message, const struct unit *u);

/*
 * Append why a recipient waits: "deferred, retry in 4m, tried 2 times: 450 ...".
 * reasons, which may be NULL, tells of domains that wait as a whole.
 */
void message_why(struct buf *out, const struct unit *u,
		 const struct recipient *r, int64_t now_ms,
		 const struct states_page *reasons);

#endif
