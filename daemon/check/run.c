/* Many domains: some dozens at a time, told in order. */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "daemon/check/check.h"
#include "daemon/check/exam.h"

enum { WINDOW = 32 };

struct run {
	struct world world;
	const struct check_options *opt;
	/* A ring of what is under way or waits to be told. */
	struct {
		struct exam *exam;
		bool is_done;
	} slots[WINDOW];
	size_t begun, told, done;
	ev_timer turn;
};

static void on_done(struct exam *e, void *arg)
{
	struct run *r = arg;

	for (size_t i = 0; i < WINDOW; i++)
		if (r->slots[i].exam == e)
			r->slots[i].is_done = true;
	r->done++;
	ev_timer_stop(r->world.loop, &r->turn);
	ev_timer_set(&r->turn, 0., 0.);
	ev_timer_start(r->world.loop, &r->turn);
}

static void tell(struct run *r)
{
	for (; r->told < r->begun; r->told++) {
		const size_t at = r->told % WINDOW;
		struct exam *e = r->slots[at].exam;

		if (!r->slots[at].is_done)
			return;
		r->opt->found(e->domain, &e->findings, r->opt->arg);
		exam_free(&r->slots[at].exam);
		r->slots[at].is_done = false;
	}
}

static void begin(struct run *r)
{
	while (r->begun < r->opt->domain_count &&
	       r->begun < r->told + WINDOW) {
		const size_t at = r->begun % WINDOW;

		r->slots[at].exam = exam_new(&r->world,
					     r->opt->domains[r->begun++],
					     on_done, r);
	}
}

static void on_turn(EV_P_ ev_timer *w, int revents)
{
	struct run *r = w->data;

	(void)revents;
	tell(r);
	begin(r);
	if (r->opt->progress != NULL)
		r->opt->progress(r->done, r->opt->arg);
	if (r->told == r->opt->domain_count)
		ev_break(loop, EVBREAK_ALL);
}

/* ---- The world ---- */

/* Where mx20.conf has it listen, whether or not a daemon does. */
static size_t listens(const struct config *c, struct net_addr *out)
{
	size_t n = 0;

	for (size_t i = 0; i < c->listen_count; i++) {
		const struct config_listen *l = &c->listen[i];

		if (net_addr_parse(l->address, &out[n]) != MX_OK) { /* "*" */
			out[n] = (struct net_addr){ .family = AF_INET };
			out[n++].port = l->port;
			out[n] = (struct net_addr){ .family = AF_INET6 };
		}
		out[n++].port = l->port;
	}
	return n;
}

static void learn_self(struct world *w)
{
	const struct config *c = w->config;
	struct net_addr *listen =
		mx_alloc_array(2 * c->listen_count + 1, sizeof(*listen));
	struct net_addr *host = NULL;
	size_t count = 0;

	if (net_addr_local(&host, &count) != MX_OK)
		count = 0;
	self_init(&w->self, c, listen, listens(c, listen), host, count);
	free(listen);
	free(host);
}

static enum mx_err world_open(struct world *w, const struct check_options *opt,
			      struct buf *why)
{
	struct sts_options sts = { .self = &w->self };
	enum mx_err err;

	w->loop = ev_loop_new(EVFLAG_AUTO);
	w->opt = opt;
	w->config = config_ref(opt->config);
	TAILQ_INIT(&w->owns);
	learn_self(w);
	hosts_refresh(&w->hosts, HOSTS_FILE);
	err = resolver_new(&w->resolver, w->loop, w->config, RESOLVER_DOCTOR,
			   why);
	if (err != MX_OK)
		return err;
	sts.loop = w->loop;
	sts.resolver = w->resolver;
	sts.port = w->config->tls.sts_port;
	sts.tls = w->config->tls_client;
	w->sts = sts_new(&sts);
	/* most domains name it by this, and it takes its time, too */
	(void)own_get(w, w->config->hostname);
	return MX_OK;
}

static void world_close(struct world *w)
{
	server_free_all(w);
	own_free_all(w);
	sts_free(&w->sts);
	resolver_free(&w->resolver);
	resolver_free(&w->fresh);
	self_fini(&w->self);
	hosts_fini(&w->hosts);
	config_unref(&w->config);
	ev_loop_destroy(w->loop);
}

enum mx_err check_run(const struct check_options *opt, struct buf *why)
{
	struct run r = { .opt = opt };
	enum mx_err err;

	log_set_level(LOG_LEVEL_ERROR); /* findings say it all */
	err = world_open(&r.world, opt, why);
	if (err == MX_OK) {
		ev_timer_init(&r.turn, on_turn, 0., 0.);
		r.turn.data = &r;
		ev_timer_start(r.world.loop, &r.turn);
		ev_run(r.world.loop, 0);
	}
	world_close(&r.world);
	return err;
}
