/*
 * The listening sockets: bound as the configuration says, or handed over by
 * systemd (sd_listen_fds(3)); added and removed by a reload.
 */
#ifndef MX_DAEMON_SOCKETS_H
#define MX_DAEMON_SOCKETS_H

#include "config/config.h"
#include "daemon/intake/intake.h"

struct sockets;

/* Bind them all, before privileges are dropped.  On failure why says which
 * address and why not. */
enum mx_err sockets_open(struct sockets **out, const struct config *c,
			 struct buf *why);
void sockets_free(struct sockets **s);

/* Where we listen, for telling ourselves among MX hosts.  Borrowed until the
 * next call. */
const struct net_addr *sockets_addrs(struct sockets *s, size_t *count);

/* Append them for people, "[::]:25,0.0.0.0:25". */
void sockets_list(struct sockets *s, struct buf *out);

/* Hand them to the intake; c is the configuration they were opened with. */
void sockets_serve(struct sockets *s, struct intake *in,
		   const struct config *c);

/*
 * Listen as c says, and no longer as old did.  All or nothing: when one of its
 * addresses cannot be bound, everything stays as it was and why says which.
 */
enum mx_err sockets_reload(struct sockets *s, struct intake *in,
			   const struct config *old, const struct config *c,
			   struct buf *why);

#endif
