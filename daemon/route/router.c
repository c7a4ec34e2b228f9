/* The router, from its start to its end: resolvers, policies, this host. */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/route/router_priv.h"

enum { FILES_S = 5 }; /* how often the system's files are looked at */

static void show_found(struct router *r)
{
	r->self.found = r->found.at;
	r->self.found_count = r->found.count;
	r->self.findings = r->findings;
}

static void learn_self(struct router *r)
{
	struct net_addr *host = NULL;
	size_t count = 0;

	if (net_addr_local(&host, &count) != MX_OK) {
		if (r->self.host_count > 0)
			return; /* those of the last look go on */
		log_warn(EV_ROUTE,
			 LOG_STR("error",
				 "cannot list the addresses "
				 "of this host: it is known by name only"));
	}
	self_fini(&r->self);
	self_init(&r->self, r->config, r->local, r->opt.local_count, host,
		  count);
	show_found(r);
	free(host);
}

/* Ours come from the spool again: nothing is lost by a new cache.  Those of
 * strangers have no place there. */
static void renew_policies(struct router *r)
{
	for (int i = 0; i < SIDES; i++) {
		struct sts_options opt = {
			.loop = r->loop,
			.resolver = r->sides[i].resolver,
			.self = &r->self,
			.port = r->config->tls.sts_port,
			.tls = r->config->tls_client,
			.for_strangers = i == STRANGERS,
		};

		if (i == OURS)
			opt.facts = (struct sts_facts){ r->opt.fact_put,
							r->opt.fact_get,
							r->opt.arg };
		r->sides[i].sts = sts_new(&opt);
	}
}

/* Nobody tells us when name servers, hosts or our own addresses change: a
 * laptop that moves, a container whose files are filled in after its start. */
static void on_files(EV_P_ ev_timer *w, int revents)
{
	struct router *r = w->data;

	(void)loop;
	(void)revents;
	MX_ASSERT(r->magic == ROUTER_MAGIC);
	hosts_refresh(&r->hosts, HOSTS_FILE);
	for (int i = 0; i < SIDES; i++)
		resolver_refresh(r->sides[i].resolver);
	found_expire(&r->found, clock_mono_ms());
	learn_self(r);
	show_found(r);
}

static void files_start(struct router *r)
{
	hosts_refresh(&r->hosts, HOSTS_FILE);
	ev_timer_init(&r->files, on_files, FILES_S, FILES_S);
	r->files.data = r;
	ev_timer_start(r->loop, &r->files);
}

enum mx_err router_check(struct ev_loop *loop, const struct config *config,
			 struct buf *why)
{
	return resolver_check(loop, config, why);
}

enum mx_err router_new(struct router **out, const struct router_options *opt,
		       struct buf *why)
{
	struct router *r = mx_alloc(sizeof(*r));
	enum mx_err err;

	*out = NULL;
	r->magic = ROUTER_MAGIC;
	r->loop = opt->loop;
	r->opt = *opt;
	r->config = config_ref(opt->config);
	router_listens(r, opt->local, opt->local_count);
	router_cache_init(r);
	learn_self(r);
	files_start(r);
	for (int i = 0; i < SIDES; i++) {
		err = resolver_new(&r->sides[i].resolver, r->loop, r->config,
				   i == STRANGERS ? RESOLVER_STRANGERS
						 : RESOLVER_OURS,
				   why);
		if (err != MX_OK) {
			router_free(&r);
			return err;
		}
	}
	renew_policies(r);
	*out = r;
	return MX_OK;
}

struct resolver *router_strangers(struct router *r)
{
	return r->sides[STRANGERS].resolver;
}

void router_free(struct router **rp)
{
	struct router *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	router_cache_fini(r);
	for (int i = 0; i < SIDES; i++) {
		sts_free(&r->sides[i].sts);
		resolver_free(&r->sides[i].resolver);
	}
	self_fini(&r->self);
	ev_timer_stop(r->loop, &r->files);
	hosts_fini(&r->hosts);
	config_unref(&r->config);
	arena_reset(&r->scratch);
	free(r->local);
	r->magic = 0;
	free(r);
}

void router_listens(struct router *r, const struct net_addr *local,
		    size_t count)
{
	free(r->local);
	r->local = mx_alloc_array(count + 1, sizeof(*r->local));
	for (size_t i = 0; i < count; i++)
		r->local[i] = local[i];
	r->opt.local_count = count;
}

void router_found_here(struct router *r, const struct net_addr *at)
{
	if (found_add(&r->found, at, clock_mono_ms()))
		r->findings++;
	show_found(r);
}

void router_forget_found(struct router *r)
{
	r->found.count = 0;
	show_found(r);
}

unsigned router_findings(const struct router *r)
{
	return r->findings;
}

/* A new context: libunbound's cache is dropped as well, and a changed
 * /etc/resolv.conf is read. */
static void renew_resolver(struct router *r, int side)
{
	struct resolver *resolver;
	struct buf why = { 0 };

	if (resolver_new(&resolver, r->loop, r->config,
			 side == STRANGERS ? RESOLVER_STRANGERS : RESOLVER_OURS,
			 &why) == MX_OK) {
		resolver_retire(&r->sides[side].resolver);
		r->sides[side].resolver = resolver;
	} else {
		log_error(EV_ROUTE, LOG_SPAN("error", buf_span(&why)),
			  LOG_STR("note", "the old name servers stay"));
	}
	buf_fini(&why);
}

void router_reload(struct router *r, struct config *config)
{
	struct config *old = r->config;
	struct sts *old_sts[SIDES];

	router_cache_drop(r);
	r->config = config_ref(config);
	r->found.count = 0; /* whoever reloads may have mended it */
	learn_self(r);
	hosts_refresh(&r->hosts, HOSTS_FILE);
	for (int i = 0; i < SIDES; i++) {
		old_sts[i] = r->sides[i].sts;
		sts_stop(old_sts[i]); /* it asks the old resolver */
		renew_resolver(r, i);
	}
	renew_policies(r); /* before the last user of libcurl goes */
	for (int i = 0; i < SIDES; i++)
		sts_free(&old_sts[i]);
	config_unref(&old);
	router_cache_ask_again(r);
}
