/* A response with the headers that all have: to be looked at, by nobody else,
 * and to do nothing. */
#ifndef MX_WEB_RESPONSE_H
#define MX_WEB_RESPONSE_H

#include <microhttpd.h>

#include "common/base/buf.h"

/* The text is taken, and empty on return. */
struct MHD_Response *response_new(struct buf *text, const char *content_type);

#endif
