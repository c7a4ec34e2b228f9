#include "daemon/tables/tables.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "config/allow/copy.h"
#include "daemon/tables/due.h"
#include "daemon/tables/job.h"

/* Downloads at once; how much later than the loop the thread gets a busy
 * processor; how often it looks at nothing. */
enum { AT_ONCE = 4, NICE = 10, IDLE_MS = 60000 };

static const struct download_limits limits = {
	.total_ms = 600000,
	.connect_ms = 30000,
	.bytes = UINT64_C(1) << 30,
};

TAILQ_HEAD(jobs, job);

struct tables {
	struct ev_loop *loop;
	ev_async offered;
	pthread_t thread;
	bool has_thread;
	struct downloads *downloads; /* while there is a thread */
	atomic_bool is_stopping;
	/* under the lock */
	pthread_mutex_t lock;
	struct config *next; /* to be taken over; NULL: nothing new */
	bool is_forced;
	struct job *offers[AT_ONCE], *taken[AT_ONCE]; /* to the loop, and back */
	size_t offer_count, taken_count;
	/* the thread's */
	struct config *config;
	struct jobs jobs;
	uint64_t random;
};

/* ---- The loop ---- */

static void put_in_force(struct job *j)
{
	struct feed_state s;

	feed_swap(j->feed, &j->table, &j->head);
	feed_confirm(j->feed, clock_wall_ms());
	feed_state(j->feed, SPAN_LIT(""), &s);
	log_info(EV_TABLE, LOG_STR("source", feed_shown(j->feed)),
		 LOG_INT("recipients", s.count),
		 LOG_INT("before", table_count(j->table)),
		 LOG_STR("changed", "yes"));
}

/* The thread frees the former ones. */
static void on_offered(struct ev_loop *loop, ev_async *w, int revents)
{
	struct tables *t = w->data;

	(void)loop, (void)revents;
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->offer_count; i++) {
		put_in_force(t->offers[i]);
		t->taken[t->taken_count++] = t->offers[i];
	}
	t->offer_count = 0;
	pthread_mutex_unlock(&t->lock);
	downloads_wake(t->downloads);
}

/* ---- The thread ---- */

static void offer(struct tables *t, struct job *j)
{
	j->is_offered = true;
	pthread_mutex_lock(&t->lock);
	MX_ASSERT(t->offer_count < AT_ONCE);
	t->offers[t->offer_count++] = j;
	pthread_mutex_unlock(&t->lock);
	ev_async_send(t->loop, &t->offered);
}

static void on_done(struct job *j, int64_t retry_after_ms, void *arg)
{
	struct tables *t = arg;

	j->due_ms = clock_mono_ms();
	if (!j->wants_again) /* somebody has asked since it began */
		j->due_ms += due_wait_ms(t->config->policy.refresh_ms,
					 j->failures, retry_after_ms,
					 random_next(&t->random));
	j->wants_again = false;
	if (j->table != NULL)
		offer(t, j);
}

/* What was offered is in force, and what was before it can go. */
static void take_back(struct tables *t)
{
	struct job *taken[AT_ONCE];
	size_t count;

	pthread_mutex_lock(&t->lock);
	count = t->taken_count;
	memcpy(taken, t->taken, sizeof(taken));
	t->taken_count = 0;
	pthread_mutex_unlock(&t->lock);
	for (size_t i = 0; i < count; i++) {
		job_forget(taken[i]);
		taken[i]->is_offered = false;
	}
}

static struct job *job_of(struct tables *t, const struct feed *feed)
{
	struct job *j;

	TAILQ_FOREACH(j, &t->jobs, link)
		if (j->feed == feed)
			return j;
	return NULL;
}

static bool is_busy(const struct job *j)
{
	return j->download != NULL || j->is_offered;
}

static void want(struct tables *t, struct feed *feed, bool is_forced)
{
	struct job *j = job_of(t, feed);

	if (j == NULL) {
		j = job_new(feed, t->config->spool.path, &t->is_stopping);
		TAILQ_INSERT_TAIL(&t->jobs, j, link);
	}
	j->is_listed = true;
	j->reserve_bytes = t->config->spool.reserve_bytes;
	j->wants_force = is_forced;
	j->wants_again = is_busy(j);
	j->failures = 0;
	j->due_ms = clock_mono_ms();
}

static void drop_unlisted(struct tables *t)
{
	struct job *j, *next;

	for (j = TAILQ_FIRST(&t->jobs); j != NULL; j = next) {
		next = TAILQ_NEXT(j, link);
		if (j->is_listed || j->is_offered) /* the next time, then */
			continue;
		TAILQ_REMOVE(&t->jobs, j, link);
		job_free(&j);
	}
}

/* Does a copy of this name, with or without ".new", belong to a job? */
static bool is_used(const struct tables *t, const char *name)
{
	const struct job *j;

	TAILQ_FOREACH(j, &t->jobs, link) {
		struct span base = job_copy_name(j);

		if (span_starts(span_str(name), base))
			return true;
	}
	return false;
}

static int is_copy(const struct dirent *e)
{
	return copy_is_name(span_str(e->d_name));
}

/* Copies of URLs that no line names any more.  A reload that was taken says so;
 * a start may be with a list that somebody is still mending. */
static void remove_unlisted(struct tables *t)
{
	struct dirent **list;
	int n = scandir(t->config->spool.path.p, &list, is_copy, alphasort);
	struct buf path = { 0 };

	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name;

		buf_reset(&path);
		buf_addf(&path, "%s/%s", t->config->spool.path.p, name);
		if (!is_used(t, name) && unlink(buf_cstr(&path)) == 0)
			log_info(EV_TABLE, LOG_STR("removed", name),
				 LOG_STR("why", "no domain names its URL"));
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	buf_fini(&path);
}

static void take_over(struct tables *t, struct config *c, bool is_forced)
{
	struct feed *feed;
	struct job *j;
	bool is_first = t->config == NULL;
	size_t at = 0;

	config_unref(&t->config);
	t->config = c;
	TAILQ_FOREACH(j, &t->jobs, link)
		j->is_listed = false;
	while ((feed = domains_feed(c->domains, &at)) != NULL)
		want(t, feed, is_forced);
	drop_unlisted(t);
	if (!is_first)
		remove_unlisted(t);
}

/* False: it is time to leave. */
static bool look_around(struct tables *t)
{
	struct config *c;
	bool is_forced;

	pthread_mutex_lock(&t->lock);
	c = t->next;
	is_forced = t->is_forced;
	t->next = NULL;
	t->is_forced = false;
	pthread_mutex_unlock(&t->lock);
	take_back(t);
	if (c != NULL)
		take_over(t, c, is_forced);
	return !atomic_load(&t->is_stopping);
}

/* Returns how long there is nothing more to begin. */
static int64_t begin_due(struct tables *t)
{
	int64_t now_ms = clock_mono_ms(), next_ms = now_ms + IDLE_MS;
	unsigned busy = 0;
	struct job *j;

	TAILQ_FOREACH(j, &t->jobs, link)
		busy += is_busy(j);
	TAILQ_FOREACH(j, &t->jobs, link) {
		if (is_busy(j) || !j->is_listed)
			continue;
		if (j->due_ms <= now_ms && busy < AT_ONCE) {
			job_start(j, t->downloads, t->config->tls_client,
				  on_done, t);
			busy++;
		} else if (j->due_ms > now_ms && j->due_ms < next_ms) {
			next_ms = j->due_ms;
		}
	}
	return next_ms - now_ms;
}

static void *run(void *arg)
{
	struct tables *t = arg;

	/* On Linux this is the thread's own; without it, no harm. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	while (look_around(t))
		downloads_run(t->downloads, begin_due(t));
	return NULL;
}

/* ---- The module ---- */

static bool has_feeds(const struct config *c)
{
	size_t at = 0;

	return domains_feed(c->domains, &at) != NULL;
}

static void start(struct tables *t)
{
	int errnum;

	t->downloads = downloads_new(limits);
	errnum = pthread_create(&t->thread, NULL, run, t);
	t->has_thread = errnum == 0;
	if (t->has_thread)
		return;
	downloads_free(&t->downloads);
	log_warn(EV_TABLE, LOG_STR("error", strerrordesc_np(errnum)),
		 LOG_STR("remedy", "no thread to fetch tables of recipients: "
				   "mx20ctl reload tries again"));
}

void tables_reload(struct tables *t, struct config *config, bool forced)
{
	struct config *former;

	if (!t->has_thread && !has_feeds(config))
		return;
	pthread_mutex_lock(&t->lock);
	former = t->next;
	t->next = config_ref(config);
	t->is_forced |= forced;
	pthread_mutex_unlock(&t->lock);
	config_unref(&former);
	if (!t->has_thread)
		start(t);
	else
		downloads_wake(t->downloads);
}

struct tables *tables_new(struct ev_loop *loop, struct config *config)
{
	struct tables *t = mx_alloc(sizeof(*t));

	t->loop = loop;
	t->random = random_secret();
	TAILQ_INIT(&t->jobs);
	pthread_mutex_init(&t->lock, NULL);
	ev_async_init(&t->offered, on_offered);
	t->offered.data = t;
	ev_async_start(loop, &t->offered);
	tables_reload(t, config, false);
	return t;
}

static void stop(struct tables *t)
{
	atomic_store(&t->is_stopping, true);
	downloads_wake(t->downloads);
	pthread_join(t->thread, NULL);
}

void tables_free(struct tables **tp)
{
	struct tables *t = *tp;
	struct job *j;

	*tp = NULL;
	if (t == NULL)
		return;
	if (t->has_thread)
		stop(t);
	while ((j = TAILQ_FIRST(&t->jobs)) != NULL) {
		TAILQ_REMOVE(&t->jobs, j, link);
		job_free(&j);
	}
	if (t->downloads != NULL)
		downloads_free(&t->downloads);
	ev_async_stop(t->loop, &t->offered);
	config_unref(&t->next);
	config_unref(&t->config);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
