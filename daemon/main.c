/*
 * mx20d, from start to stop.  Read it from the bottom up, or in this order:
 * before privileges are dropped, after, running, reload, stop.
 */
#include <ev.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "common/base/msgid.h"
#include "common/base/processors.h"
#include "common/net/local.h"
#include "common/net/wire.h"
#include "config/options.h"
#include "config/reload.h"
#include "config/value/error.h"
#include "config/value/value.h"
#include "daemon/check.h"
#include "daemon/control/control.h"
#include "daemon/guard.h"
#include "daemon/history/keeper.h"
#include "daemon/hooks.h"
#include "daemon/load.h"
#include "daemon/mirror/mirror.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "daemon/privileges.h"
#include "daemon/proving.h"
#include "daemon/report/daily.h"
#include "daemon/sockets.h"
#include "daemon/tables/tables.h"
#include "daemon/watch.h"
#include "daemon/web/web.h"

/* Sessions and deliveries have so long for their last replies when we stop. */
enum { STOP_MS = 3000, STOP_LOOK_MS = 20 };

/* Descriptors beside those of the sessions: deliveries, LMDB, DNS, HTTPS. */
enum { OTHER_FILES = 4096, OTHER_FILES_MIN = 64 };

struct daemon {
	struct ev_loop *loop;
	struct config *config;
	struct sockets *sockets;
	int control_fd, web_fd;
	uint64_t files; /* descriptors we may have open */

	struct spool *spool;
	struct mirror *mirror; /* NULL: none */
	struct router *router;
	struct keeper *keeper;
	struct proving *proving;
	struct known *known;
	struct drain *drain;
	struct policy *policy;
	struct intake *intake;
	struct control *control;
	struct web *web;
	struct daily *daily;
	struct reload *reload;
	struct guard *guard;
	struct tables *tables;
	struct hooks hooks;
	struct relay_door door;

	ev_signal on_term, on_int, on_hup;
	ev_timer stop_look;
	bool is_stopping;
	int64_t stop_by_ms; /* monotonic */
};

/* ---- Before privileges are dropped ---- */

/* Sockets must not end up where the log is written. */
static void have_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* Of a Unix socket: ours, so that the socket can be removed at the end. */
static enum mx_err make_folder_of(const struct privileges *p, struct span path,
				  struct buf *why)
{
	while (path.n > 0 && path.p[path.n - 1] != '/')
		path.n--;
	if (path.n > 1)
		path.n--;
	return privileges_folder(p, path, 0755, why);
}

static enum mx_err make_folders(const struct privileges *p,
				const struct config *c, struct buf *why)
{
	enum mx_err err = privileges_folder(p, c->spool.path, 0700, why);

	if (err == MX_OK)
		err = make_folder_of(p, c->control_path, why);
	if (err == MX_OK && !value_is_endpoint(c->web.listen))
		err = make_folder_of(p, c->web.listen, why);
	return err;
}

static uint64_t raise_files(const struct config *c)
{
	uint64_t wanted = (uint64_t)c->limits.connections + OTHER_FILES;
	uint64_t have = privileges_raise_files(wanted);

	if (have < wanted)
		log_warn(EV_CONFIG, LOG_INT("files", have),
			 LOG_INT("wanted", wanted),
			 LOG_STR("warning", "limits.connections cannot be "
					    "reached with so few descriptors"));
	return have;
}

/* Clients must not take the descriptors that mail needs to leave. */
static size_t most_sessions(uint64_t files)
{
	uint64_t other = files / 4;

	if (other < OTHER_FILES_MIN)
		other = OTHER_FILES_MIN;
	if (other > OTHER_FILES)
		other = OTHER_FILES;
	if (other > files / 2)
		other = files / 2;
	return (size_t)(files - other);
}

/* Of what clients do not have; the rest is the resolver's and the spool's. */
static unsigned most_links(uint64_t files)
{
	return (unsigned)((files - most_sessions(files)) / 4 * 3);
}

/* What only root may do, and then root no more. */
static int prepare(struct daemon *d, struct buf *why)
{
	const struct config *c = d->config;
	struct privileges p;

	if (privileges_plan(&p, c, why) != MX_OK)
		return EX_CONFIG;
	if (sockets_open(&d->sockets, c, why) != MX_OK ||
	    make_folders(&p, c, why) != MX_OK ||
	    local_listen(c->control_path, &d->control_fd, why) != MX_OK ||
	    web_bind(c->web.listen, &d->web_fd, why) != MX_OK)
		return EX_OSERR;
	d->files = raise_files(c);
	if (privileges_drop(&p, why) != MX_OK)
		return EX_OSERR;
	return EX_OK;
}

/* ---- After: the rooms, in the order a mail travels backwards ---- */

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
		.most_sessions = most_sessions(d->files),
	});
	sockets_serve(d->sockets, d->intake, d->config);
}

/* Not while we stop: then nobody is answered. */
static unsigned start_reload(unsigned flags, void *arg)
{
	struct daemon *d = arg;

	if (d->is_stopping)
		return UINT_MAX;
	if (!(flags & RELOAD_DRY))
		notify_reloading();
	return reload_start(d->reload, flags);
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

static int open_rooms(struct daemon *d, struct buf *why)
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
		.most_links = most_links(d->files),
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
			.reload = start_reload,
			.arg = d,
		},
		d->control_fd);
	d->control_fd = -1;
	return open_web(d, why);
}

/* ---- Reload ---- */

static void log_errors(const struct config_errors *errors)
{
	struct span rest = buf_span(&errors->text);

	while (rest.n > 0)
		log_error(EV_RELOAD, LOG_SPAN("error", span_cut(&rest, '\n')));
}

static void log_notes(struct span text)
{
	while (text.n > 0) {
		struct span what = span_cut(&text, '\n');
		struct span key = span_cut(&what, ':');

		log_warn(EV_RELOAD, LOG_SPAN("key", key),
			 LOG_SPAN("remedy", span_trim(what)));
	}
}

static void swap_config(struct daemon *d, struct config *c)
{
	struct config *old = d->config;
	const struct net_addr *local;
	size_t local_count;

	d->config = c;
	d->hooks.config = c;
	log_set_level(c->log_level);
	spool_set_limits(d->spool, c->spool.size_bytes, c->spool.reserve_bytes);
	policy_reload(d->policy, c);
	intake_reload(d->intake, c);
	local = sockets_addrs(d->sockets, &local_count);
	router_listens(d->router, local, local_count);
	proving_pause(d->proving);
	router_reload(d->router, c);
	keeper_reload(d->keeper, c);
	proving_resume(d->proving, c);
	known_reload(d->known, c);
	drain_reload(d->drain, c);
	daily_reload(d->daily, c);
	control_set_config(d->control, c);
	web_set_config(d->web, c);
	mirror_reload(d->mirror, c);
	config_unref(&old);
}

static void log_taken(const struct config *c, const struct change *ch)
{
	struct buf text = { 0 };
	struct span head;

	change_text(&text, ch);
	head = buf_span(&text);
	config_warn(c);
	guard_log_forced(ch);
	log_info(EV_RELOAD, LOG_INT("domains", c->domain_count),
		 LOG_INT("recipients", c->recipient_count),
		 LOG_SPAN("changes", span_cut(&head, '\n')));
	buf_fini(&text);
}

/* Before anything is replaced: this may still fail. */
static bool listen_as(struct daemon *d, const struct config *c,
		      struct config_errors *errors)
{
	struct buf why = { 0 };
	bool ok = sockets_reload(d->sockets, d->intake, d->config, c, &why) ==
		  MX_OK;

	if (!ok)
		config_fail(errors, c->path, 0, "listen: %.*s",
			    SPAN_ARG(buf_span(&why)));
	buf_fini(&why);
	return ok;
}

/* All or nothing: with a single error the old one stays, and with what looks
 * like an accident. */
static bool take(struct daemon *d, const struct reload_result *result,
		 struct config_errors *late)
{
	const struct change *ch = result->change;

	if (ch->refusals.count > 0 && !result->is_forced) {
		guard_log_refused(ch);
		return false;
	}
	if (!listen_as(d, result->config, late))
		return false;
	swap_config(d, config_ref(result->config));
	guard_taken(d->guard, result->config);
	tables_reload(d->tables, result->config, result->is_forced);
	log_taken(result->config, ch);
	return true;
}

static void conclude(struct daemon *d, const struct reload_result *result)
{
	struct config_errors late = { 0 };
	struct buf notes = { 0 };
	struct control_reload ended = {
		.number = result->number,
		.config = result->config,
		.errors = result->errors,
		.change = result->change,
		.notes = &notes,
	};

	if (ended.config != NULL && load_check(d->loop, ended.config, &late)) {
		options_need_restart(d->config, ended.config, &notes);
		if (result->is_real)
			ended.is_taken = take(d, result, &late);
	}
	if (late.count > 0) {
		ended.config = NULL;
		ended.errors = &late;
	}
	if (ended.config == NULL && result->is_real)
		log_errors(ended.errors);
	if (result->is_real)
		metrics_set(METRIC_RELOAD, ended.is_taken);
	if (ended.is_taken)
		log_notes(buf_span(&notes));
	control_reloaded(d->control, &ended);
	if (result->is_last)
		notify_ready(d->config);
	buf_fini(&notes);
	config_errors_fini(&late);
}

static void on_reloaded(const struct reload_result *result, void *arg)
{
	struct config *c = result->config;
	struct daemon *d = arg;

	if (!d->is_stopping)
		conclude(d, result);
	config_unref(&c);
}

static struct config *current_config(void *arg)
{
	struct daemon *d = arg;

	return d->config;
}

static void look_at_mail(struct change *ch, void *arg)
{
	struct daemon *d = arg;

	guard_mail(d->guard, ch);
}

static void on_sighup(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)loop;
	(void)revents;
	(void)start_reload(0, w->data);
}

/* ---- Stop ---- */

/* Gone when the last session is answered, or patience is at its end. */
static void on_stop_look(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct daemon *d = w->data;

	(void)revents;
	if ((intake_sessions(d->intake) == 0 && drain_busy(d->drain) == 0) ||
	    clock_mono_ms() >= d->stop_by_ms)
		ev_break(loop, EVBREAK_ALL);
}

static void on_stop(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct daemon *d = w->data;

	(void)revents;
	if (d->is_stopping) { /* asked twice: no patience at all */
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	d->is_stopping = true;
	d->stop_by_ms = clock_mono_ms() + STOP_MS;
	notify_stopping();
	intake_stop(d->intake);
	drain_stop(d->drain);
	ev_timer_init(&d->stop_look, on_stop_look, 0., STOP_LOOK_MS / 1000.);
	d->stop_look.data = d;
	ev_timer_start(loop, &d->stop_look);
}

/* In the reverse order of opening; any of them may be missing.  The spool
 * goes last: what was asked of it is committed before it closes. */
static void close_rooms(struct daemon *d)
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

/* ---- Running ---- */

static void watch_signal(struct daemon *d, ev_signal *w, int signum,
			 void (*cb)(struct ev_loop *, ev_signal *, int))
{
	ev_signal_init(w, cb, signum);
	w->data = d;
	ev_signal_start(d->loop, w);
}

/* A reload that is asked for while we start waits; it does not end us. */
static void hold_sighup(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigprocmask(how, &set, NULL);
}

static void log_started(struct daemon *d, int64_t begin_ms)
{
	struct buf at = { 0 };

	sockets_list(d->sockets, &at);
	log_info(EV_START, LOG_STR("version", MX_VERSION),
		 LOG_SPAN("hostname", d->config->hostname),
		 LOG_SPAN("listen", buf_span(&at)),
		 LOG_SPAN("web", d->config->web.listen),
		 LOG_INT("domains", d->config->domain_count),
		 LOG_INT("recipients", d->config->recipient_count),
		 LOG_INT("ms", clock_mono_ms() - begin_ms));
	buf_fini(&at);
}

static void run(struct daemon *d, int64_t begin_ms)
{
	watch_signal(d, &d->on_term, SIGTERM, on_stop);
	watch_signal(d, &d->on_int, SIGINT, on_stop);
	watch_signal(d, &d->on_hup, SIGHUP, on_sighup);
	hold_sighup(SIG_UNBLOCK);
	d->guard = guard_new(d->spool, d->config);
	d->reload = reload_new(d->loop, d->config->path.p,
			       &(struct reload_hooks){ current_config,
						       look_at_mail,
						       on_reloaded, d });
	d->tables = tables_new(d->loop, d->config);
	metrics_set(METRIC_RELOAD, 1);
	config_warn(d->config);
	check_reload(d->config);
	log_started(d, begin_ms);
	notify_watchdog_start(d->loop);
	watch_start(d->loop, d->spool);
	notify_ready(d->config);
	ev_now_update(d->loop); /* loading took a while: timers start now */
	ev_run(d->loop, 0);
	notify_watchdog_stop(d->loop);
	watch_stop();
}

static void start_threads(struct daemon *d)
{
	unsigned n = d->config->limits.processors;

	if (n == 0)
		n = processors();
	tls_threads_start(d->loop, n);
	wire_threads_start(d->loop, wire_threads_for(n));
}

/* What the loop cannot have ends as our own allocations do. */
static void *loop_alloc(void *p, long size)
{
	if (size > 0)
		return mx_realloc(p, (size_t)size);
	free(p);
	return NULL;
}

int main(int argc, char **argv)
{
	struct options o = options_parse(argc, argv);
	struct daemon d = { .control_fd = -1, .web_fd = -1 };
	int64_t begin_ms = clock_mono_ms();
	struct buf why = { 0 };
	int status;

	have_standard_files();
	signal(SIGPIPE, SIG_IGN);
	hold_sighup(SIG_BLOCK); /* before there are threads */
	ev_set_allocator(loop_alloc);
	d.loop = ev_default_loop(0);
	MX_ASSERT(d.loop != NULL);
	d.config = load_or_exit(&o, d.loop);
	log_set_level(d.config->log_level);
	status = prepare(&d, &why);
	if (status == EX_OK) {
		log_start(); /* threads from here on, and no fork */
		start_threads(&d);
		status = open_rooms(&d, &why);
	}
	if (status == EX_OK)
		run(&d, begin_ms);
	else
		log_error(EV_START, LOG_SPAN("error", buf_span(&why)));
	close_rooms(&d);
	wire_threads_stop();
	tls_threads_stop();
	log_info(EV_STOP, LOG_INT("status", status));
	log_stop();
	buf_fini(&why);
	return status;
}
