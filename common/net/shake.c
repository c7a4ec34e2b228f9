#include "common/net/shake.h"

#include <ev.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/busy.h"
#include "common/base/hash.h"
#include "common/net/addr.h"
#include "common/net/tls.h"

/* The loop and the spool's writer go before: with few processors a flood of
 * handshakes must not cost them theirs. */
enum { NICE = 5, THREADS_MAX = 16 };

/*
 * While more jobs wait than there are threads, the loop looks for packets no
 * more often than this: each time that it wakes it takes a processor from a
 * handshake, and a session of nine replies woke it three times and more.  A
 * client whose handshake waits loses nothing by it, others two milliseconds.
 */
static const double ROUND_S = 0.002;

STAILQ_HEAD(shake_list, shake);

struct lane {
	struct shake_list jobs;
	TAILQ_ENTRY(lane) turn; /* while it has jobs */
};

static struct {
	struct ev_loop *loop;
	pthread_t threads[THREADS_MAX];
	unsigned thread_count; /* loop: 0: handshakes are done inline */
	ev_async done_async;
	bool is_paced; /* loop: in rounds */
	/* under the lock */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct lane lanes[SHAKE_LANES];
	TAILQ_HEAD(, lane) turns; /* whose turn it is stands first */
	unsigned waiting; /* jobs that no thread has taken */
	struct shake_list done;
	bool stop;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER,
	   .wake = PTHREAD_COND_INITIALIZER };

bool shake_is_offered(void)
{
	return pool.thread_count > 0;
}

/* An IPv6 /64 is one client's. */
unsigned shake_lane(const struct net_addr *peer)
{
	const struct net_addr client = net_addr_client(peer);

	return (unsigned)(hash_keyed(span_of(client.ip, sizeof(client.ip))) %
			  SHAKE_LANES);
}

/* ---- The threads ---- */

/* The first job of the lane whose turn it is; lock held, there is one. */
static struct shake *take(void)
{
	struct lane *lane = TAILQ_FIRST(&pool.turns);
	struct shake *job = STAILQ_FIRST(&lane->jobs);

	STAILQ_REMOVE_HEAD(&lane->jobs, link);
	pool.waiting--;
	TAILQ_REMOVE(&pool.turns, lane, turn);
	if (!STAILQ_EMPTY(&lane->jobs))
		TAILQ_INSERT_TAIL(&pool.turns, lane, turn);
	return job;
}

static void work(struct shake *job)
{
	job->rest = buf_span(&job->in);
	job->step = tls_engine_handshake(job->engine, &job->rest, &job->out);
}

/* The loop is called without the lock, which it takes at once. */
static void give_back(struct shake *job)
{
	bool is_first;

	pthread_mutex_lock(&pool.lock);
	is_first = STAILQ_EMPTY(&pool.done);
	STAILQ_INSERT_TAIL(&pool.done, job, link);
	pthread_mutex_unlock(&pool.lock);
	if (is_first)
		ev_async_send(pool.loop, &pool.done_async);
}

static void *run(void *arg)
{
	(void)arg;
	/* On Linux this is the thread's own; without it, no harm. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	pthread_mutex_lock(&pool.lock);
	for (;;) {
		struct shake *job;

		while (TAILQ_EMPTY(&pool.turns) && !pool.stop)
			pthread_cond_wait(&pool.wake, &pool.lock);
		if (pool.stop)
			break;
		job = take();
		pthread_mutex_unlock(&pool.lock);
		work(job);
		give_back(job);
		pthread_mutex_lock(&pool.lock);
	}
	pthread_mutex_unlock(&pool.lock);
	return NULL;
}

/* ---- The loop ---- */

static void shake_free(struct shake *job)
{
	if (job->done == NULL)
		tls_engine_free(&job->engine);
	buf_fini(&job->in);
	buf_fini(&job->out);
	free(job);
}

static void finish(struct shake_list *list)
{
	struct shake *job;

	while ((job = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, link);
		if (job->done != NULL)
			job->done(job, job->arg);
		shake_free(job);
	}
}

/* From one job too many until none waits. */
static void pace(bool is_busy)
{
	if (pool.is_paced == is_busy)
		return;
	pool.is_paced = is_busy;
	busy_set(is_busy);
	ev_set_io_collect_interval(pool.loop, is_busy ? ROUND_S : 0.0);
}

static void on_done(struct ev_loop *loop, ev_async *w, int revents)
{
	struct shake_list list = STAILQ_HEAD_INITIALIZER(list);
	bool is_over;

	(void)loop;
	(void)w;
	(void)revents;
	pthread_mutex_lock(&pool.lock);
	STAILQ_CONCAT(&list, &pool.done);
	is_over = pool.waiting == 0;
	pthread_mutex_unlock(&pool.lock);
	if (is_over)
		pace(false);
	finish(&list);
}

struct shake *shake_submit(struct tls_engine *engine, struct span in,
			   unsigned lane, shake_cb *done, void *arg)
{
	struct shake *job = mx_alloc(sizeof(*job));
	struct lane *l = &pool.lanes[lane];
	bool is_busy;

	MX_ASSERT(shake_is_offered() && lane < SHAKE_LANES);
	job->done = done;
	job->arg = arg;
	job->engine = engine;
	buf_add(&job->in, in);
	pthread_mutex_lock(&pool.lock);
	if (STAILQ_EMPTY(&l->jobs))
		TAILQ_INSERT_TAIL(&pool.turns, l, turn);
	STAILQ_INSERT_TAIL(&l->jobs, job, link);
	is_busy = ++pool.waiting > pool.thread_count;
	pthread_mutex_unlock(&pool.lock);
	pthread_cond_signal(&pool.wake);
	if (is_busy)
		pace(true);
	return job;
}

void shake_abandon(struct shake **job)
{
	(*job)->done = NULL;
	*job = NULL;
}

static unsigned processors(void)
{
	cpu_set_t set;
	unsigned n = 1;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = (unsigned)CPU_COUNT(&set);
	return n > THREADS_MAX ? THREADS_MAX : n;
}

void tls_threads_start(struct ev_loop *loop)
{
	unsigned want = processors();

	MX_ASSERT(pool.thread_count == 0);
	pool.loop = loop;
	pool.stop = false;
	TAILQ_INIT(&pool.turns);
	STAILQ_INIT(&pool.done);
	for (size_t i = 0; i < SHAKE_LANES; i++)
		STAILQ_INIT(&pool.lanes[i].jobs);
	ev_async_init(&pool.done_async, on_done);
	ev_async_start(loop, &pool.done_async);
	while (pool.thread_count < want &&
	       pthread_create(&pool.threads[pool.thread_count], NULL, run,
			      NULL) == 0)
		pool.thread_count++;
}

void tls_threads_stop(void)
{
	if (pool.loop == NULL)
		return;
	pthread_mutex_lock(&pool.lock);
	pool.stop = true;
	pthread_cond_broadcast(&pool.wake);
	pthread_mutex_unlock(&pool.lock);
	while (pool.thread_count > 0)
		pthread_join(pool.threads[--pool.thread_count], NULL);
	/* connections are gone before their threads: nobody waits */
	for (size_t i = 0; i < SHAKE_LANES; i++)
		finish(&pool.lanes[i].jobs);
	finish(&pool.done);
	pool.waiting = 0;
	pace(false);
	ev_async_stop(pool.loop, &pool.done_async);
	pool.loop = NULL;
}
