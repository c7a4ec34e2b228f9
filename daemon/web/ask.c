#include "daemon/web/ask.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/status/status.h"
#include "config/allow/domains.h"
#include "daemon/mirror/tell.h"

enum { MAGIC = 0x77656261, TARGETS_COPIED = 64 };

struct ask {
	unsigned magic;
	struct web_options opt;
	struct config *config;
	ev_async asked;
	ev_timer turn;
	pthread_mutex_t lock; /* the loop holds it for one turn at most */
	pthread_cond_t answered;
	struct question *q; /* NULL: none is asked */
	bool is_begun, is_closed;
};

void question_fini(struct question *q)
{
	json_decref(q->overview);
	q->overview = NULL;
	arena_reset(&q->arena);
}

/* ---- The loop: a copy of what may be gone in its next turn ---- */

static struct status_target *copy_targets(struct arena *a,
					  const struct status_destination *d)
{
	struct status_target *out =
		arena_alloc_array(a, d->target_count + 1, sizeof(*out));

	for (size_t i = 0; i < d->target_count; i++) {
		out[i] = d->targets[i];
		out[i].name = arena_span(a, d->targets[i].name);
		out[i].last_reply = arena_span(a, d->targets[i].last_reply);
	}
	return out;
}

static struct braked *copy_braked(struct arena *a, const struct braked *b)
{
	struct braked *out = arena_alloc(a, sizeof(*out));

	*out = *b;
	return out;
}

static void copy_state(struct arena *a, struct status_destination *out,
		       const struct status_destination *d)
{
	*out = *d;
	if (out->target_count > TARGETS_COPIED)
		out->target_count = TARGETS_COPIED;
	out->last_reply = arena_span(a, d->last_reply);
	out->name = arena_span(a, d->name);
	out->targets = copy_targets(a, out);
	if (d->braked != NULL)
		out->braked = copy_braked(a, d->braked);
	if (d->hold_name != NULL)
		out->hold_name = arena_str(a, span_str(d->hold_name));
	if (d->hold_reason != NULL)
		out->hold_reason = arena_str(a, span_str(d->hold_reason));
}

static void add_other(const struct status_destination *d, void *arg)
{
	struct question *q = arg;

	copy_state(&q->arena, &q->others[q->other_count++], d);
}

static void note_gauges(const struct ask *a, const struct question *q)
{
	const struct spool_totals *t = &q->totals;
	int64_t age_ms = t->oldest_ms > 0 ? q->now_ms - t->oldest_ms : 0;

	metrics_set(METRIC_SPOOL_MESSAGES, t->messages);
	metrics_set(METRIC_SPOOL_BYTES, t->bytes);
	metrics_set(METRIC_SPOOL_USED, t->space.used_bytes);
	metrics_set(METRIC_SPOOL_SIZE, t->space.size_bytes);
	metrics_set(METRIC_OLDEST, age_ms > 0 ? (uint64_t)(age_ms / 1000) : 0);
	metrics_set(METRIC_CERTIFICATE,
		    (uint64_t)(config_certificate_end_ms(a->config) / 1000));
}

static void begin(struct ask *a, struct question *q)
{
	a->is_begun = true;
	q->now_ms = clock_wall_ms();
	q->hostname = arena_span(&q->arena, a->config->hostname);
	if (spool_totals(a->opt.spool, &q->totals) == MX_OK)
		q->overview = status_overview(a->config, &q->totals);
	if (q->overview != NULL)
		mirror_tell_into(q->overview, a->opt.mirror, a->config);
	note_gauges(a, q);
	metrics_read(&q->metrics);
	q->states =
		arena_alloc_array(&q->arena, q->count + 1, sizeof(*q->states));
	q->others = arena_alloc_array(&q->arena, q->most_others + 1,
				      sizeof(*q->others));
	drain_destinations(a->opt.drain, q->most_others, add_other, q);
}

static void answer_one(struct ask *a, struct question *q, size_t i)
{
	bool is_listed = domains_find(a->config->domains, q->names[i]) != NULL;
	struct status_destination d;

	(void)drain_status(a->opt.drain, q->names[i], &d);
	d.listed = is_listed ? STATUS_LISTED : STATUS_UNLISTED;
	if (d.name.n == 0) /* nothing is known of where it goes */
		d.is_strangers = !is_listed;
	copy_state(&q->arena, &q->states[i], &d);
}

/* True: there is more. */
static bool answer_some(struct ask *a, struct question *q)
{
	int64_t until_us = clock_mono_us() + ASK_US;

	if (!a->is_begun) {
		begin(a, q);
		return true;
	}
	do {
		for (int n = 0; n < ASK_SOME && q->done < q->count; n++)
			answer_one(a, q, q->done++);
	} while (q->done < q->count && clock_mono_us() < until_us);
	if (q->done < q->count)
		return true;
	a->q = NULL;
	pthread_cond_broadcast(&a->answered);
	return false;
}

static void on_turn(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct ask *a = w->data;
	bool has_more;

	(void)revents;
	MX_ASSERT(a->magic == MAGIC);
	pthread_mutex_lock(&a->lock);
	has_more = a->q != NULL && answer_some(a, a->q);
	pthread_mutex_unlock(&a->lock);
	if (!has_more)
		return;
	ev_timer_set(w, 0., 0.);
	ev_timer_start(loop, w);
}

static void on_asked(struct ev_loop *loop, ev_async *w, int revents)
{
	struct ask *a = w->data;

	(void)revents;
	if (ev_is_active(&a->turn))
		return;
	ev_timer_set(&a->turn, 0., 0.);
	ev_timer_start(loop, &a->turn);
}

/* ---- The other thread ---- */

static struct timespec deadline_of(int64_t timeout_ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += (time_t)(timeout_ms / 1000);
	at.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_nsec -= 1000000000;
		at.tv_sec++;
	}
	return at;
}

bool ask_loop(struct ask *a, struct question *q, int64_t timeout_ms)
{
	struct timespec at = deadline_of(timeout_ms);
	bool is_answered;
	int rc = 0;

	MX_ASSERT(a->magic == MAGIC);
	pthread_mutex_lock(&a->lock);
	MX_ASSERT(a->q == NULL);
	if (!a->is_closed) {
		a->q = q;
		a->is_begun = false;
		ev_async_send(a->opt.loop, &a->asked);
	}
	while (a->q != NULL && !a->is_closed && rc == 0)
		rc = pthread_cond_timedwait(&a->answered, &a->lock, &at);
	is_answered = a->q == NULL && !a->is_closed;
	a->q = NULL;
	pthread_mutex_unlock(&a->lock);
	return is_answered;
}

/* ---- Life ---- */

struct ask *ask_new(const struct web_options *opt)
{
	struct ask *a = mx_alloc(sizeof(*a));
	pthread_condattr_t attr;

	a->magic = MAGIC;
	a->opt = *opt;
	a->config = config_ref(opt->config);
	pthread_mutex_init(&a->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->answered, &attr);
	pthread_condattr_destroy(&attr);
	ev_async_init(&a->asked, on_asked);
	ev_timer_init(&a->turn, on_turn, 0., 0.);
	a->asked.data = a->turn.data = a;
	ev_async_start(opt->loop, &a->asked);
	return a;
}

void ask_set_config(struct ask *a, struct config *config)
{
	struct config *old = a->config;

	a->config = config_ref(config);
	config_unref(&old);
}

void ask_close(struct ask *a)
{
	pthread_mutex_lock(&a->lock);
	a->is_closed = true;
	pthread_cond_broadcast(&a->answered);
	pthread_mutex_unlock(&a->lock);
}

void ask_free(struct ask **ap)
{
	struct ask *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	MX_ASSERT(a->magic == MAGIC && a->is_closed && a->q == NULL);
	ev_async_stop(a->opt.loop, &a->asked);
	ev_timer_stop(a->opt.loop, &a->turn);
	pthread_cond_destroy(&a->answered);
	pthread_mutex_destroy(&a->lock);
	config_unref(&a->config);
	a->magic = 0;
	free(a);
}
