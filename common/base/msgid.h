/* Queue ids: 64 bits, ordered by time, 13 letters and digits for people. */
#ifndef MX_BASE_MSGID_H
#define MX_BASE_MSGID_H

#include "common/base/buf.h"

/* 13 digits of Crockford's base 32, so that ids sort as text, too. */
enum { MSG_ID_CHARS = 13 };

void msg_id_add(struct buf *out, uint64_t id);

/* Either case; false unless the whole span is one id. */
bool msg_id_parse(struct span text, uint64_t *id);

#endif
