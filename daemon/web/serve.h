/* The HTTP server: a thread of libmicrohttpd's own, over epoll. */
#ifndef MX_WEB_SERVE_H
#define MX_WEB_SERVE_H

#include "common/base/err.h"
#include "daemon/web/desk.h"
#include "daemon/web/health.h"

enum {
	SERVE_IDLE_S = 10,  /* of a connection on which nothing moves */
	SERVE_WHOLE_S = 30, /* of any */
	SERVE_CROWD = 64,   /* above it slow readers make room at once; the
			       rest is for those who leave */
};

struct serve;

/* Serve this socket, which is owned from here on.  NULL: no memory or thread.
 */
struct serve *serve_new(int fd, struct desk *desk, const struct health *health);
/* After desk_close.  Connections end. */
void serve_free(struct serve **s);
/* End connections that have lasted too long.  From any thread. */
void serve_sweep(struct serve *s);

#endif
