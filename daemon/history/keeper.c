#include "daemon/history/keeper.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"

struct keeper {
	struct ev_loop *loop;
	struct spool *spool;
	struct history *history;
	struct traces *traces;
	ev_timer tick;
	int64_t gone_ms;
};

static void put(struct span key, struct span value, void *arg)
{
	struct keeper *k = arg;

	spool_fact_put(k->spool, key, value);
}

static bool load(struct span key, struct span value, void *arg)
{
	struct keeper *k = arg;

	history_load(k->history, key, value);
	return true;
}

/* The first key is that of the newest row. */
static bool take_serial(struct span key, struct span value, void *arg)
{
	(void)value;
	return !trace_key_parse(key, arg);
}

static uint64_t last_trace(struct spool *sp)
{
	uint64_t serial = 0;

	if (spool_facts(sp, TRACE_PREFIX, SPAN_LIT(""), take_serial, &serial) !=
	    MX_OK)
		log_warn(EV_SPOOL, LOG_STR("what", "traces are not read"));
	return serial;
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct keeper *k = w->data;

	(void)loop;
	(void)revents;
	history_tick(k->history, k->gone_ms, clock_wall_ms());
	traces_tick(k->traces);
}

/* A destination is said to be down once a minute. */
void keeper_reload(struct keeper *k, const struct config *config)
{
	k->gone_ms = config_stale_ms(config) + MINUTES(2);
}

struct keeper *keeper_new(struct ev_loop *loop, struct spool *sp,
			  const struct config *config)
{
	struct keeper *k = mx_alloc(sizeof(*k));
	enum mx_err err;

	k->loop = loop;
	k->spool = sp;
	k->history = history_new(&(struct history_options){ put, k });
	err = spool_facts(sp, OUTAGE_PREFIX, SPAN_LIT(""), load, k);
	if (err != MX_OK)
		log_warn(EV_SPOOL, LOG_STR("what", "past outages are not read"),
			 LOG_STR("error", mx_strerror(err)));
	k->traces = traces_new(last_trace(sp), put, k);
	keeper_reload(k, config);
	ev_timer_init(&k->tick, on_tick, HISTORY_TICK_MS / 1000.,
		      HISTORY_TICK_MS / 1000.);
	k->tick.data = k;
	ev_timer_start(loop, &k->tick);
	return k;
}

void keeper_free(struct keeper **kp)
{
	struct keeper *k = *kp;

	*kp = NULL;
	if (k == NULL)
		return;
	ev_timer_stop(k->loop, &k->tick);
	history_free(&k->history);
	traces_free(&k->traces);
	free(k);
}

struct history *keeper_history(struct keeper *k)
{
	return k->history;
}

struct traces *keeper_traces(struct keeper *k)
{
	return k->traces;
}
