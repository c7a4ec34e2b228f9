/*
 * Requests and answers between mx20ctl and mx20d: one JSON object a line over
 * a Unix stream socket.  Pure: bytes in, values out.
 *
 *   > {"verb":"flush","domain":"example.org"}
 *   < {"ok":true,"count":3}
 *   < {"ok":false,"error":"no such message"}
 */
#ifndef MX_CONTROL_CONTROL_H
#define MX_CONTROL_CONTROL_H

#include <jansson.h>

#include "common/base/buf.h"
#include "common/base/err.h"

enum { CONTROL_LINE_MAX = 64 * 1024 };

/* Take one line off *in.  MX_EBUSY: not complete; MX_EINVAL: not an object or
 * too long.  *out is the callee's. */
enum mx_err control_decode(struct span *in, json_t **out);

/* Append the object as one line and release it. */
void control_encode(struct buf *out, json_t *object);

#endif
