/* mx20d: start, run, stop.  Read it from the bottom up. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/processors.h"
#include "common/net/wire.h"
#include "daemon/check.h"
#include "daemon/load.h"
#include "daemon/main_priv.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "daemon/watch.h"

/* Sessions and deliveries have so long for their last replies when we stop. */
enum { STOP_MS = 3000, STOP_LOOK_MS = 20 };

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

/* ---- Running ---- */

static void on_sighup(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)loop;
	(void)revents;
	(void)daemon_reload_start(0, w->data);
}

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
	daemon_reload_open(d);
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
	signal(SIGUSR1, SIG_IGN); /* what rotates logs sends these */
	signal(SIGUSR2, SIG_IGN);
	hold_sighup(SIG_BLOCK); /* before there are threads */
	ev_set_allocator(loop_alloc);
	d.loop = ev_default_loop(0);
	MX_ASSERT(d.loop != NULL);
	d.config = load_or_exit(&o, d.loop);
	log_set_level(d.config->log_level);
	status = daemon_prepare(&d, &why);
	if (status == EX_OK) {
		log_start(); /* threads from here on, and no fork */
		start_threads(&d);
		status = daemon_open_rooms(&d, &why);
	}
	if (status == EX_OK)
		run(&d, begin_ms);
	else
		log_error(EV_START, LOG_SPAN("error", buf_span(&why)));
	daemon_close_rooms(&d);
	wire_threads_stop();
	tls_threads_stop();
	log_info(EV_STOP, LOG_INT("status", status));
	log_stop();
	buf_fini(&why);
	return status;
}
