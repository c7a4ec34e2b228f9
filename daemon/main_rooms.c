/* The rooms: opened in the order a mail travels backwards, and closed. */
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/msgid.h"
#include "config/reload.h"
#include "daemon/main_priv.h"

/* ---- What they ask of each other ---- */

static void fact_put(struct span key, struct span value, void *arg)
{
	struct daemon *d = arg;

	spool_fact_put(d->spool, key, value);
}

static enum mx_err fact_get(struct span key, struct buf *out, void *arg)
{
	struct daemon *d = arg;

	return spool_fact_get(d->spool, key, out);
}

static bool is_left(struct span domain, void *arg)
{
	struct daemon *d = arg;
	struct spool_domain row;

	return spool_domain_get(d->spool, domain, &row) == MX_OK &&
	       row.is_unlisted;
}

static bool is_target(const struct net_addr *client, void *arg)
{
	struct daemon *d = arg;

	return drain_goes_to_address(d->drain, client);
}

static bool is_there(struct span domain, size_t *all, void *arg)
{
	struct daemon *d = arg;

	return drain_has_domain(d->drain, domain, all);
}

static uint64_t waiting(struct span domain, void *arg)
{
	struct daemon *d = arg;
	struct spool_domain row;

	if (spool_domain_get(d->spool, domain, &row) != MX_OK)
		return 0;
	return spool_domain_waiting(&row);
}

static enum command_lack lacks(struct span domain, const struct envelope *env,
			       const struct recipient *rcpt, void *arg)
{
	struct daemon *d = arg;

	return drain_lacks(d->drain, domain, env, rcpt);
}

static enum mx_err open_spool(struct daemon *d, struct buf *why)
{
	struct spool_options o = {
		.path = d->config->spool.path.p,
		.size_bytes = d->config->spool.size_bytes,
		.reserve_bytes = d->config->spool.reserve_bytes,
		.is_mirrored = d->config->mirror.postgresql.n > 0,
	};

	return spool_open(&d->spool, d->loop, &o, why);
}

/* What is under way comes to its end; nothing new is begun. */
static void leave(void *arg)
{
	struct daemon *d = arg;

	intake_stop(d->intake);
	drain_stop(d->drain);
}

static bool is_under_way(void *arg)
{
	struct daemon *d = arg;

	return intake_sessions(d->intake) > 0 || drain_busy(d->drain) > 0;
}

/* For `find`: by the id that the client was told, and by who waits. */
static void on_moved(const struct mirror_moved *what, const struct unit *u,
		     void *arg)
{
	struct daemon *d = arg;
	struct traces *kept =
		d->keeper != NULL ? keeper_traces(d->keeper) : NULL;
	struct buf words = { 0 };
	struct trace t = {
		.left_ms = clock_wall_ms(),
		.arrived_ms = u->envelope.arrived_ms,
		.id = what->is_here ? what->there : what->id,
		.how = SPAN_LIT("taken over"),
		.from = u->envelope.from,
		.host = span_str(what->node),
	};

	if (what->there != 0) {
		buf_adds(&words, what->is_here ? "here" : "there");
		buf_adds(&words, " it is ");
		msg_id_add(&words, what->is_here ? what->id : what->there);
	}
	t.reply = buf_span(&words);
	for (size_t i = 0; kept != NULL && i < u->rcpt_count; i++) {
		t.to = u->rcpts[i].path;
		traces_add(kept, &t);
	}
	buf_fini(&words);
}

/* The first that the spool hears of: it is behind from its first change on. */
static void open_mirror(struct daemon *d)
{
	d->mirror = mirror_new(&(struct mirror_options){
		.loop = d->loop,
		.spool = d->spool,
		.config = d->config,
		.leave = leave,
		.is_busy = is_under_way,
		.moved = on_moved,
		.arg = d,
	});
}

static enum mx_err open_router(struct daemon *d, struct buf *why)
{
	struct router_options o = {
		.loop = d->loop,
		.config = d->config,
		.fact_put = fact_put,
		.fact_get = fact_get,
		.is_left = is_left,
		.arg = d,
	};

	o.local = sockets_addrs(d->sockets, &o.local_count);
	return router_new(&d->router, &o, why);
}

static void open_intake(struct daemon *d)
{
	struct intake_hooks hooks;

	d->hooks = (struct hooks){ d->config, d->spool, d->drain, d->router };
	hooks_fill(&hooks, &d->hooks);
	hooks_door(&d->door, d->drain);
	d->policy = policy_new(
		&(struct policy_options){
			.loop = d->loop,
			.is_left = is_left,
			.is_target = is_target,
			.is_there = is_there,
			.waiting = waiting,
			.lacks = lacks,
			.arg = d,
			.router = d->router,
			.known = d->known,
			.primary = hooks_primary(d->drain),
		},
		d->config);
	d->intake = intake_new(&(struct intake_options){
		.loop = d->loop,
		.spool = d->spool,
		.policy = d->policy,
		.config = d->config,
		.hooks = &hooks,
		.door = &d->door,
		.traces = keeper_traces(d->keeper),
		.most_sessions = d->most_sessions,
	});
	sockets_serve(d->sockets, d->intake, d->config);
}

/* Without web.listen there is nothing of it. */
static int open_web(struct daemon *d, struct buf *why)
{
	int fd = d->web_fd;

	d->web_fd = -1;
	if (fd < 0)
		return EX_OK;
	d->web = web_new(
		&(struct web_options){
			.loop = d->loop,
			.spool = d->spool,
			.drain = d->drain,
			.mirror = d->mirror,
			.config = d->config,
		},
		fd, why);
	return d->web != NULL ? EX_OK : EX_OSERR;
}

int daemon_open_rooms(struct daemon *d, struct buf *why)
{
	if (open_spool(d, why) != MX_OK)
		return EX_IOERR;
	open_mirror(d);
	if (open_router(d, why) != MX_OK)
		return EX_OSERR;
	d->keeper = keeper_new(d->loop, d->spool, d->config);
	d->proving = proving_new(d->loop, d->router, d->config);
	d->known = known_new(d->loop, d->spool, d->config);
	d->drain = drain_new(&(struct drain_options){
		.loop = d->loop,
		.spool = d->spool,
		.router = d->router,
		.config = d->config,
		.history = keeper_history(d->keeper),
		.traces = keeper_traces(d->keeper),
		.tally = keeper_tally(d->keeper),
		.proof = proving_hook(d->proving),
		.known = d->known,
		.most_links = d->most_links,
	});
	hooks_ask(d->known, d->drain);
	d->daily = daily_new(d->loop, d->spool, d->config);
	open_intake(d);
	d->control = control_new(
		&(struct control_options){
			.loop = d->loop,
			.spool = d->spool,
			.drain = d->drain,
			.router = d->router,
			.known = d->known,
			.prover = proving_prover(d->proving),
			.policy = d->policy,
			.traces = keeper_traces(d->keeper),
			.mirror = d->mirror,
			.config = d->config,
			.reload = daemon_reload_start,
			.arg = d,
		},
		d->control_fd);
	d->control_fd = -1;
	return open_web(d, why);
}

/* ---- The end ---- */

/* In the reverse order of opening; any of them may be missing.  The spool
 * goes last: what was asked of it is committed before it closes. */
void daemon_close_rooms(struct daemon *d)
{
	web_free(&d->web);
	if (d->control != NULL)
		control_free(&d->control);
	if (d->reload != NULL)
		reload_free(&d->reload);
	tables_free(&d->tables);
	guard_free(&d->guard);
	if (d->intake != NULL)
		intake_free(&d->intake);
	daily_free(&d->daily);
	if (d->known != NULL)
		known_stop(d->known);
	if (d->drain != NULL)
		drain_free(&d->drain);
	if (d->keeper != NULL)
		keeper_stop(d->keeper);
	proving_free(&d->proving);
	if (d->router != NULL)
		router_free(&d->router);
	mirror_stop(d->mirror);
	if (d->spool != NULL)
		spool_close(&d->spool);
	mirror_free(&d->mirror);
	keeper_free(&d->keeper);
	if (d->policy != NULL) /* counts what was being committed */
		policy_free(&d->policy);
	known_free(&d->known); /* the same of what was being learned */
	if (d->control_fd >= 0)
		close(d->control_fd);
	if (d->web_fd >= 0)
		close(d->web_fd);
	sockets_free(&d->sockets);
	config_unref(&d->config);
}
