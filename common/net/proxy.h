/* PROXY protocol versions 1 and 2, the receiving side; pure. */
#ifndef MX_NET_PROXY_H
#define MX_NET_PROXY_H

#include "common/net/addr.h"

enum proxy_state {
	PROXY_MORE,  /* not complete yet */
	PROXY_DONE,  /* *in starts behind the header */
	PROXY_LOCAL, /* health check of the proxy: keep the real peer */
	PROXY_BAD,   /* close the connection */
};

/* The longest header taken, TLVs of version 2 included. */
enum { PROXY_HEADER_MAX = 4096 };

enum proxy_state proxy_parse(struct span *in, struct net_addr *client);

#endif
