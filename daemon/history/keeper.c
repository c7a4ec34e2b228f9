#include "daemon/history/keeper.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/history/plotter.h"

struct keeper {
	struct ev_loop *loop;
	struct spool *spool;
	struct history *history;
	struct traces *traces;
	struct tally *tally;
	struct plotter *plotter;
	int64_t plotted_ms; /* wall */
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

static enum mx_err get(struct span key, struct buf *out, void *arg)
{
	struct keeper *k = arg;

	return spool_fact_get(k->spool, key, out);
}

static bool load_hour(struct span key, struct span value, void *arg)
{
	struct keeper *k = arg;

	plotter_load(k->plotter, key, value, clock_wall_ms());
	return true;
}

/* Once a minute. */
static void plot(struct keeper *k, int64_t now_ms)
{
	struct spool_totals t;

	if (now_ms / MINUTES(1) == k->plotted_ms / MINUTES(1) ||
	    spool_totals(k->spool, &t) != MX_OK)
		return;
	k->plotted_ms = now_ms;
	plotter_add(k->plotter,
		    &(struct curve_sample){ now_ms, t.space.used_bytes,
					    t.messages });
}

static void look_at_counters(struct keeper *k)
{
	struct metrics now;

	metrics_read(&now);
	tally_look(k->tally, &now, clock_wall_ms());
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct keeper *k = w->data;

	(void)loop;
	(void)revents;
	history_tick(k->history, k->gone_ms, clock_wall_ms());
	traces_tick(k->traces);
	plot(k, clock_wall_ms());
	look_at_counters(k);
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
	struct metrics now;
	enum mx_err err;

	k->loop = loop;
	k->spool = sp;
	k->history = history_new(&(struct history_options){ put, k });
	err = spool_facts(sp, OUTAGE_PREFIX, SPAN_LIT(""), load, k);
	k->plotter = plotter_new(&(struct plotter_options){ put, get, k });
	if (err == MX_OK)
		err = spool_facts(sp, CURVE_PREFIX, SPAN_LIT(""), load_hour, k);
	if (err != MX_OK)
		log_warn(EV_SPOOL, LOG_STR("what", "past outages are not read"),
			 LOG_STR("error", mx_strerror(err)));
	k->traces = traces_new(last_trace(sp), put, k);
	metrics_read(&now);
	k->tally = tally_new(&(struct tally_options){ put, get, k }, &now,
			     clock_wall_ms());
	keeper_reload(k, config);
	ev_timer_init(&k->tick, on_tick, HISTORY_TICK_MS / 1000.,
		      HISTORY_TICK_MS / 1000.);
	k->tick.data = k;
	ev_timer_start(loop, &k->tick);
	return k;
}

/* All that was being committed is, and was counted. */
static void hand_over(void *arg)
{
	struct keeper *k = arg;

	look_at_counters(k);
	history_free(&k->history);
	traces_free(&k->traces);
	plotter_free(&k->plotter);
}

void keeper_stop(struct keeper *k)
{
	ev_timer_stop(k->loop, &k->tick);
	spool_at_close(k->spool, hand_over, k);
}

void keeper_free(struct keeper **kp)
{
	struct keeper *k = *kp;

	*kp = NULL;
	if (k == NULL)
		return;
	MX_ASSERT(k->history == NULL);
	tally_free(&k->tally);
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

struct tally *keeper_tally(struct keeper *k)
{
	return k->tally;
}
