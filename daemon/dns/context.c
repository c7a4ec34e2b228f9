#include "daemon/dns/context.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"

static const struct {
	const char *name, *value;
} options[] = {
	/* A resolver on this host is the usual case, and a good one. */
	{ "do-not-query-localhost:", "no" },
	/* The route cache is ours; this one serves shared MX hosts. */
	{ "msg-cache-size:", "4m" },
	{ "rrset-cache-size:", "8m" },
	{ "key-cache-size:", "1m" },
	{ "neg-cache-size:", "256k" },
	/* A server that was away is tried again soon, not in 15 minutes; and a
	 * zone that was gone or broken is asked for again.  Denials that are
	 * made up from cached NSEC records would outlive that. */
	{ "infra-host-ttl:", "10" },
	{ "infra-keep-probing:", "yes" },
	{ "val-bogus-ttl:", "5" },
	{ "cache-max-negative-ttl:", "5" },
	{ "aggressive-nsec:", "no" },
	{ "num-queries-per-thread:", "1024" },
	{ "outgoing-range:", "512" },
	{ "outgoing-num-tcp:", "32" },
	{ "trust-anchor-signaling:", "no" },
};

static enum mx_err context_failed(int err, const char *what, struct buf *why)
{
	buf_addf(why, "dns: %s: %s", what, ub_strerror(err));
	return MX_EINVAL;
}

static int set_servers(struct ub_ctx *ub, const struct config *config,
		       const char **what)
{
	struct buf text = { 0 };
	int err = 0;

	if (config->dns.server_count == 0) {
		*what = CONTEXT_RESOLV_CONF;
		err = ub_ctx_resolvconf(ub, NULL);
		/* Without the file libunbound asks the root itself. */
		return err == UB_READFILE ? 0 : err;
	}
	*what = "dns.servers";
	for (size_t i = 0; i < config->dns.server_count && err == 0; i++) {
		buf_reset(&text);
		buf_add(&text, config->dns.servers[i]);
		err = ub_ctx_set_fwd(ub, buf_cstr(&text));
	}
	buf_fini(&text);
	return err;
}

static void on_readable(EV_P_ ev_io *w, int revents)
{
	struct context *ctx = w->data;

	(void)loop;
	(void)revents;
	(void)ub_process(ctx->ub);
}

static enum mx_err set_up(struct ub_ctx *ub, const struct config *config,
			  int ttl_most_s, const char *anchor, struct buf *why)
{
	const char *what = "memory";
	char ttl[16];
	int err;

	(void)ub_ctx_debugout(ub, NULL); /* stderr is the log's */
	for (size_t i = 0; i < COUNT(options); i++) {
		err = ub_ctx_set_option(ub, options[i].name, options[i].value);
		if (err != 0)
			return context_failed(err, options[i].name, why);
	}
	(void)snprintf(ttl, sizeof(ttl), "%d", ttl_most_s);
	err = ub_ctx_set_option(ub, "cache-max-ttl:", ttl);
	if (err == 0)
		err = set_servers(ub, config, &what);
	if (err != 0)
		return context_failed(err, what, why);
	if (anchor != NULL) {
		err = ub_ctx_add_ta_file(ub, anchor);
		if (err != 0 || access(anchor, R_OK) != 0)
			return context_failed(UB_READFILE, anchor, why);
	}
	err = ub_ctx_async(ub, 1);
	if (err != 0)
		return context_failed(err, "thread", why);
	/* NXDOMAIN for .test is built in: let the configured servers say so.
	 * (The option local-zone "nodefault" does nothing in the library.) */
	err = ub_ctx_zone_remove(ub, "test.");
	if (err != 0) /* it also makes the context final: anchors are read */
		return context_failed(err, anchor ? anchor : "set-up", why);
	return MX_OK;
}

enum mx_err context_open(struct context **out, struct ev_loop *loop,
			 const struct config *config, int ttl_most_s,
			 const char *anchor, struct buf *why)
{
	struct ub_ctx *ub = ub_ctx_create();
	struct context *ctx;
	enum mx_err err;

	*out = NULL;
	if (ub == NULL) { /* its pipes take descriptors */
		buf_addf(why, "dns: set-up: %s", strerrordesc_np(errno));
		return MX_ESYS;
	}
	err = set_up(ub, config, ttl_most_s, anchor, why);
	if (err != MX_OK) {
		ub_ctx_delete(ub);
		return err;
	}
	ctx = mx_alloc(sizeof(*ctx));
	ctx->ub = ub;
	ev_io_init(&ctx->io, on_readable, ub_fd(ub), EV_READ);
	ctx->io.data = ctx;
	ev_io_start(loop, &ctx->io);
	*out = ctx;
	return MX_OK;
}

/* RFC 6303, and the hosts of 172.16.0.0/12. */
void context_ask_reverse(struct context *ctx)
{
	static const char *const zones[] = {
		"0.in-addr.arpa.",	     "127.in-addr.arpa.",
		"10.in-addr.arpa.",	     "168.192.in-addr.arpa.",
		"254.169.in-addr.arpa.",     "2.0.192.in-addr.arpa.",
		"100.51.198.in-addr.arpa.",  "113.0.203.in-addr.arpa.",
		"d.f.ip6.arpa.",	     "8.e.f.ip6.arpa.",
		"9.e.f.ip6.arpa.",	     "a.e.f.ip6.arpa.",
		"b.e.f.ip6.arpa.",	     "8.b.d.0.1.0.0.2.ip6.arpa.",
	};
	char zone[40];

	for (size_t i = 0; i < COUNT(zones); i++)
		(void)ub_ctx_zone_remove(ctx->ub, zones[i]);
	for (int i = 16; i < 32; i++) {
		(void)snprintf(zone, sizeof(zone), "%d.172.in-addr.arpa.", i);
		(void)ub_ctx_zone_remove(ctx->ub, zone);
	}
	for (int i = 64; i < 128; i++) {
		(void)snprintf(zone, sizeof(zone), "%d.100.in-addr.arpa.", i);
		(void)ub_ctx_zone_remove(ctx->ub, zone);
	}
}

static void *nothing(void *arg)
{
	return arg;
}

/*
 * libunbound starts its thread with the first question, does not look whether
 * that worked, and dies when it joins one that never was: so try first.
 */
bool context_can_ask(struct context *ctx)
{
	pthread_t thread;

	if (ctx->can_ask)
		return true;
	if (pthread_create(&thread, NULL, nothing, NULL) != 0)
		return false;
	pthread_join(thread, NULL);
	ctx->can_ask = true;
	return true;
}

/* What is left of a context that the loop knows no more. */
static struct ub_ctx *take_apart(struct context **ctx, struct ev_loop *loop)
{
	struct ub_ctx *ub;

	if (*ctx == NULL)
		return NULL;
	ev_io_stop(loop, &(*ctx)->io);
	ub = (*ctx)->ub;
	free(*ctx);
	*ctx = NULL;
	return ub;
}

void context_close(struct context **ctx, struct ev_loop *loop)
{
	struct ub_ctx *ub = take_apart(ctx, loop);

	if (ub != NULL)
		ub_ctx_delete(ub); /* joins the thread */
}

static void *delete (void *ub)
{
	ub_ctx_delete(ub);
	return NULL;
}

void context_retire(struct context **ctx, struct ev_loop *loop)
{
	struct ub_ctx *ub = take_apart(ctx, loop);
	pthread_t thread;

	if (ub == NULL)
		return;
	if (pthread_create(&thread, NULL, delete, ub) == 0)
		pthread_detach(thread);
	else
		ub_ctx_delete(ub);
}
