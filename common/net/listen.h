/* Listening sockets. */
#ifndef MX_NET_LISTEN_H
#define MX_NET_LISTEN_H

#include <ev.h>

#include "common/net/addr.h"

struct listener;

/* One accepted, non-blocking, close-on-exec socket; fd is the callee's. */
typedef void listener_cb(int fd, const struct net_addr *peer, void *arg);

/* Bind and listen ("*" is handled by the caller: two addresses, v6only). */
enum mx_err listen_open(const struct net_addr *at, int *fd, struct buf *why);

/* Accept from fd (owned).  Accepts a bounded number per loop round, so that a
 * burst does not starve the others; out of descriptors it pauses for a second
 * and says so once. */
struct listener *listener_new(struct ev_loop *loop, int fd, listener_cb *cb,
			      void *arg);
void listener_free(struct listener **l);

/* The address it is bound to. */
const struct net_addr *listener_addr(const struct listener *l);

#endif
