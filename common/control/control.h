/*
 * Requests and answers between mx20ctl and mx20d: one JSON object a line over
 * a Unix stream socket.  Pure: bytes in, values out.
 *
 *   > {"verb":"flush","domain":"example.org"}
 *   < {"ok":true,"count":3}
 *   > {"verb":"remove","id":"01JD8X4Z7QG00"}
 *   < {"ok":false,"error":"no such message"}
 *
 * A line without "ok" is a part of an answer that goes on:
 *
 *   > {"verb":"reload"}
 *   < {"line":"domains:3: unknown option \"recipient\""}
 *   < {"ok":false,"error":"the configuration has 1 error"}
 *
 * Who looks asks for a page, and then for what is behind it.  The recipients of
 * a message follow it, a few a line:
 *
 *   > {"verb":"messages","after":"01JD8X4Z7QG00"}
 *   < {"item":{"id":"01JD8X4Z7QG10","recipients":[]}}
 *   < {"recipients":[{"address":"b@y.example"}]}
 *   < {"ok":true,"next":""}
 *
 * Requests may be sent ahead; they are answered in order.
 */
#ifndef MX_CONTROL_CONTROL_H
#define MX_CONTROL_CONTROL_H

#include <jansson.h>

#include "common/base/buf.h"
#include "common/base/err.h"

/* The error for who may not ask at all, and for who may not give orders. */
#define CONTROL_NOT_PERMITTED                                                  \
	"not permitted: be root or in the group mx20, or to look only, in "    \
	"mx20-view"
#define CONTROL_LOOK_ONLY "not permitted: orders take root or the group mx20"

/* The longest line, either way. */
enum { CONTROL_LINE_MAX = 64 * 1024 };

/*
 * Take one line off *in and parse it; *out is the callee's.  MX_EBUSY: not
 * complete yet, nothing taken.  MX_EINVAL: no object, or too long; a line that
 * was complete is taken.
 */
enum mx_err control_decode(struct span *in, json_t **out);

/* Append the object as one line and release it. */
void control_encode(struct buf *out, json_t *object);

/* ---- Values ---- */

/* Any bytes as a string: NUL and what is not UTF-8 become U+FFFD. */
json_t *control_text(struct span s);
/* The same, but null when it is empty. */
json_t *control_text_or_null(struct span s);
/* Any bytes, to be had back as they are: base 64, RFC 4648 section 4. */
json_t *control_bytes(struct span s);
/* RFC 3339 in UTC; null for 0. */
json_t *control_time(int64_t wall_ms);

/* A member that is a string; empty when it is missing or of another kind.
 * Borrowed from the object. */
struct span control_get_text(const json_t *object, const char *key);
/* Append the bytes of a member that control_bytes made; false, with nothing
 * appended, when it is no such thing. */
bool control_get_bytes(const json_t *object, const char *key, struct buf *out);
/* A member that is an integer, or dflt. */
int64_t control_get_int(const json_t *object, const char *key, int64_t dflt);
bool control_get_bool(const json_t *object, const char *key);

#endif
