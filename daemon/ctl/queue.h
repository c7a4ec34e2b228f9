/* A message as `queue` and `show` present it. */
#ifndef MX_CTL_QUEUE_H
#define MX_CTL_QUEUE_H

#include <jansson.h>

#include "common/spool/record.h"

/* {"id","arrival","bytes","from","recipients":[]} */
json_t *queue_message(const struct unit *u);

/* Append the unit's recipients to it. */
void queue_recipients(json_t *message, const struct unit *u);

/* Append why a recipient waits: "retry in 4m, tried 2 times: 450 ...". */
void queue_why(struct buf *out, const struct unit *u, const struct recipient *r,
	       int64_t now_ms);

#endif
