#include "daemon/web/web.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/net/listen.h"
#include "common/net/local.h"
#include "config/value/value.h"
#include "daemon/web/gather.h"
#include "daemon/web/turn.h"

enum { MAGIC = 0x77656221, BACKLOG = 64 };

struct web {
	unsigned magic;
	struct web_options opt;
	struct health health;
	ev_timer beat;
	struct turn turn;
	struct desk *desk;
	struct ask *ask;
	struct serve *serve;
	struct gather *gather;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* or "" */
};

enum mx_err web_bind(struct span at, int *fd, struct buf *why)
{
	struct net_addr addr;
	enum mx_err err;

	*fd = -1;
	if (at.n == 0)
		return MX_OK;
	if (!value_is_endpoint(at))
		return local_listen(at, fd, why);
	err = net_endpoint_parse(at, ':', 0, &addr);
	if (err == MX_OK)
		err = listen_open(&addr, fd, why);
	if (err != MX_OK)
		buf_adds(why, " (web.listen)");
	return err;
}

static void on_beat(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct web *web = w->data;

	(void)loop;
	(void)revents;
	MX_ASSERT(web->magic == MAGIC);
	health_beat(&web->health, clock_mono_ms(),
		    spool_has_failed(web->opt.spool));
}

/* Signals are the loop's: no thread of ours shall be interrupted. */
static void hold_signals(int how, sigset_t *old)
{
	sigset_t all;

	sigfillset(&all);
	if (how == SIG_SETMASK)
		pthread_sigmask(SIG_SETMASK, old, NULL);
	else
		pthread_sigmask(how, &all, old);
}

static bool start_threads(struct web *w, int fd)
{
	sigset_t old;

	hold_signals(SIG_BLOCK, &old);
	w->serve = serve_new(fd, w->desk, &w->health);
	if (w->serve != NULL)
		w->gather = gather_new(&(struct gather_options){
			.desk = w->desk,
			.serve = w->serve,
			.ask = w->ask,
			.view = spool_view(w->opt.spool),
		});
	hold_signals(SIG_SETMASK, &old);
	return w->gather != NULL;
}

struct web *web_new(const struct web_options *opt, int fd, struct buf *why)
{
	struct span at = opt->config->web.listen;
	struct web *w;

	if (fd < 0)
		return NULL;
	w = mx_alloc(sizeof(*w));
	w->magic = MAGIC;
	w->opt = *opt;
	if (!value_is_endpoint(at))
		memcpy(w->path, at.p, at.n);
	ev_timer_init(&w->beat, on_beat, 0., HEALTH_BEAT_MS / 1000.);
	w->beat.data = w;
	ev_timer_start(opt->loop, &w->beat);
	turn_start(&w->turn, opt->loop);
	health_beat(&w->health, clock_mono_ms(), false);
	w->desk = desk_new();
	w->ask = ask_new(opt);
	if (!start_threads(w, fd)) {
		buf_adds(why, "web.listen: no thread or memory for it");
		web_free(&w);
	}
	return w;
}

void web_free(struct web **wp)
{
	struct web *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	MX_ASSERT(w->magic == MAGIC);
	ev_timer_stop(w->opt.loop, &w->beat);
	turn_stop(&w->turn, w->opt.loop);
	desk_close(w->desk);
	ask_close(w->ask);
	gather_free(&w->gather);
	serve_free(&w->serve);
	ask_free(&w->ask);
	desk_free(&w->desk);
	if (w->path[0] != '\0')
		unlink(w->path);
	w->magic = 0;
	free(w);
}

void web_set_config(struct web *w, struct config *config)
{
	if (w != NULL)
		ask_set_config(w->ask, config);
}
