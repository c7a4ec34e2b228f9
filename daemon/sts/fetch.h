/*
 * One file over HTTPS, by libcurl's multi interface on the loop.  Made for
 * MTA-STS policies (RFC 8461 section 3.3): no redirects, no cache, no proxy,
 * a small body, a minute in all at most.  Names are resolved by the caller, so
 * curl starts no thread and asks no other resolver.
 */
#ifndef MX_STS_FETCH_H
#define MX_STS_FETCH_H

#include <ev.h>

#include "common/base/err.h"
#include "common/net/addr.h"
#include "common/net/tls.h"

struct fetcher;
struct fetch; /* one under way */

/* How much at a time, and how long each. */
struct fetch_limits {
	unsigned at_once; /* connections; the others queue up */
	unsigned connect_ms, total_ms;
};

struct fetcher *fetcher_new(struct ev_loop *loop, struct tls_client_ctx *tls,
			    struct fetch_limits limits);
void fetcher_free(struct fetcher **f); /* fetches under way end silently */

struct fetch_request {
	struct span host;             /* also for SNI and the certificate */
	in_port_t port;
	const char *path;             /* "/.well-known/..." */
	const struct net_addr *addrs; /* of host; their port is not looked at */
	size_t addr_count;
};

/* why is NULL when the body is there; else a phrase for people. */
typedef void fetch_cb(struct span body, const char *why, void *arg);

/* cb runs once, never before return. */
struct fetch *fetch_start(struct fetcher *f, const struct fetch_request *req,
			  fetch_cb *cb, void *arg);
void fetch_cancel(struct fetch **f); /* *f may be NULL */

#endif
