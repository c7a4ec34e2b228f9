#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "daemon/mirror/conninfo.h"
#include "daemon/mirror/mirror_priv.h"

enum {
	MAGIC = 0x6d697272,
	TICK_MS = 1000,
	LAST_MS = 5000, /* the writer's last batch waits no longer */
};

/* ---- The writer's hands ---- */

static void on_joined(uint64_t seq, void *arg)
{
	struct mirror *m = arg;

	(void)seq;
	hand_joined(m->hand);
}

static void on_offer(struct parcel *p, uint64_t seq, void *arg)
{
	struct mirror *m = arg;

	hand_offer(m->hand, p, seq);
}

static enum mx_err on_wait(void *arg)
{
	struct mirror *m = arg;

	return hand_wait(m->hand);
}

static const struct spool_mirror_ops ops = { on_joined, on_offer, on_wait };

/* ---- Numbers ---- */

static int64_t left_ms(struct mirror *m)
{
	int64_t until_ms = atomic_load(&m->until_ms);

	return until_ms == 0 ? 0 : until_ms - clock_boot_ms();
}

static uint64_t seconds(int64_t ms)
{
	return ms > 0 ? (uint64_t)ms / 1000 : 0;
}

/* Who has left lacks nothing: what goes from here now is others' already. */
static bool find_lag(struct mirror *m, struct spool_mirror_lag *lag)
{
	bool has_left;

	*lag = (struct spool_mirror_lag){ .is_in_step = true };
	pthread_mutex_lock(&m->lock);
	has_left = m->status.state == MIRROR_LEFT;
	pthread_mutex_unlock(&m->lock);
	if (!has_left)
		(void)spool_mirror_lag(m->opt.spool, lag);
	return !has_left && (!lag->is_in_step || !hand_is_open(m->hand));
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct mirror *m = w->data;
	struct spool_totals totals = { 0 };
	struct spool_mirror_lag lag;
	bool is_behind = find_lag(m, &lag);

	(void)loop, (void)revents;
	if (spool_totals(m->opt.spool, &totals) == MX_OK)
		atomic_store(&m->messages, totals.messages);
	atomic_store(&m->oldest_ms, totals.oldest_ms);
	atomic_store(&m->is_lacking, lag.is_in_step && lag.lacking > 0);
	orders_look(m->orders);
	metrics_set(METRIC_MIRROR_BEHIND, is_behind);
	metrics_set(METRIC_MIRROR_LAG, lag.lacking);
	metrics_set(METRIC_MIRROR_LAG_AGE,
		    lag.oldest_ms == 0
			    ? 0
			    : seconds(clock_wall_ms() - lag.oldest_ms));
	metrics_set(METRIC_MIRROR_LEASE, seconds(left_ms(m)));
}

/* Our own row is what we know better than the database. */
static void fill_self(struct mirror *m, struct mirror_status *out)
{
	for (size_t i = 0; i < out->node_count; i++) {
		struct mirror_node *n = &out->nodes[i];

		if (!n->is_self)
			continue;
		n->messages = atomic_load(&m->messages);
		n->has_left = out->state == MIRROR_LEFT;
		if (out->lease_ms != 0 || n->has_left)
			n->lease_ms = out->lease_ms;
	}
}

bool mirror_status(struct mirror *m, struct mirror_status *out)
{
	struct spool_mirror_lag lag;
	int64_t left;

	if (m == NULL)
		return false;
	pthread_mutex_lock(&m->lock);
	*out = m->status;
	pthread_mutex_unlock(&m->lock);
	(void)find_lag(m, &lag);
	left = left_ms(m);
	out->lag_messages = lag.lacking;
	out->lag_oldest_ms = lag.oldest_ms;
	out->lease_ms = left;
	out->refuses = m->opt.config->mirror.when_away == AWAY_REFUSE;
	if (left <= 0 && left + atomic_load(&m->patience_ms) > 0)
		out->patience_ms = left + atomic_load(&m->patience_ms);
	fill_self(m, out);
	out->taken = atomic_load(&m->taken);
	out->dropped = atomic_load(&m->dropped);
	return true;
}

/* ---- Settings ---- */

static enum spool_mirror_away away_of(const struct config *c)
{
	return c->mirror.when_away == AWAY_REFUSE ? SPOOL_AWAY_REFUSE
						  : SPOOL_AWAY_ACCEPT;
}

static void apply(struct mirror *m, const struct config *c)
{
	atomic_store(&m->lease_ms, c->mirror.lease_ms);
	atomic_store(&m->patience_ms, c->mirror.patience_ms);
	if (!atomic_load(&m->is_stopping))
		hand_set_patience(m->hand,
				  lease_patience_ms(c->mirror.lease_ms));
}

void mirror_reload(struct mirror *m, struct config *config)
{
	struct config *old;

	if (m == NULL)
		return;
	old = m->opt.config;
	m->opt.config = config_ref(config);
	config_unref(&old);
	apply(m, config);
	spool_mirror_set_away(m->opt.spool, away_of(config));
}

bool mirror_is_wrong(const struct config *c, struct buf *why)
{
	struct buf unsaid = { 0 };
	bool can_say = c->mirror.postgresql.n > 0 && pq_load(&unsaid);

	buf_fini(&unsaid); /* mail goes on without: the log says it */
	return can_say && conninfo_is_wrong(c->mirror.postgresql.p, why);
}

/* ---- Life ---- */

/*
 * A copy of a spool, or of a whole machine, has its name and its mail; two that
 * run would take one place in the database from each other again and again, and
 * each deliver all of it.  So who comes from elsewhere waits for the end of the
 * lease.  A machine is known by its boot, since what is stored is copied too.
 */
static void name_place(struct mirror *m)
{
	struct stat st = { .st_ino = 0 };
	char boot[40] = "";
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (f != NULL) {
		if (fscanf(f, "%36[0-9a-f-]", boot) != 1)
			boot[0] = '\0';
		fclose(f);
	}
	(void)stat(m->opt.config->spool.path.p, &st); /* NUL behind it */
	snprintf(m->place, sizeof(m->place), "%s %jx:%jx", boot,
		 (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
}

static void name_us(struct mirror *m)
{
	const struct config *c = m->opt.config;

	m->conninfo = mx_strdup(c->mirror.postgresql.p); /* NUL behind it */
	snprintf(m->node, sizeof(m->node), "%.*s", SPAN_ARG(c->mirror.node));
	name_place(m);
	memcpy(m->status.node, m->node, sizeof(m->node));
	m->status.since_ms = clock_wall_ms();
}

struct mirror *mirror_new(const struct mirror_options *opt)
{
	struct mirror *m;

	if (opt->config->mirror.postgresql.n == 0)
		return NULL;
	m = mx_alloc(sizeof(*m));
	m->magic = MAGIC;
	m->opt = *opt;
	m->opt.config = config_ref(opt->config);
	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->view_lock, NULL);
	m->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	MX_ASSERT(m->stop_fd >= 0);
	m->hand = hand_new();
	m->calls = calls_new(opt->loop, m);
	name_us(m);
	apply(m, opt->config);
	m->first_id = spool_last_id(opt->spool);
	spool_mirror_start(opt->spool, &ops, m, away_of(opt->config));
	spool_mirror_uuid(opt->spool, m->spool_uuid);
	m->view = spool_view(opt->spool);
	m->orders = orders_new(m);
	ev_timer_init(&m->tick, on_tick, 0., TICK_MS / 1000.);
	m->tick.data = m;
	ev_timer_start(opt->loop, &m->tick);
	m->scribe = scribe_start(m);
	m->taker = taker_start(m);
	if (m->scribe == NULL || m->taker == NULL)
		board_error(m, BOARD_SCRIBE, "there is no thread to be had");
	return m;
}

void mirror_stop(struct mirror *m)
{
	if (m == NULL)
		return;
	MX_ASSERT(m->magic == MAGIC);
	atomic_store(&m->is_stopping, true);
	orders_close(m->orders);
	calls_close(m->calls);
	spool_adopt_discard(&m->adoption);
	ev_timer_stop(m->opt.loop, &m->tick);
	hand_set_patience(m->hand, LAST_MS);
	pthread_mutex_lock(&m->view_lock);
	spool_view_free(&m->view);
	pthread_mutex_unlock(&m->view_lock);
}

/* A thread that hangs has what it uses until the process ends. */
void mirror_free(struct mirror **mp)
{
	struct mirror *m = *mp;
	uint64_t one = 1;
	bool is_over;

	*mp = NULL;
	if (m == NULL)
		return;
	MX_ASSERT(m->magic == MAGIC && atomic_load(&m->is_stopping));
	(void)!write(m->stop_fd, &one, sizeof(one));
	is_over = scribe_join(&m->scribe);
	is_over = taker_join(&m->taker) && is_over;
	config_unref(&m->opt.config);
	if (!is_over)
		return;
	orders_free(&m->orders);
	calls_free(&m->calls);
	hand_free(&m->hand);
	close(m->stop_fd);
	pthread_mutex_destroy(&m->view_lock);
	pthread_mutex_destroy(&m->lock);
	m->magic = 0;
	free(m->conninfo);
	free(m);
}
