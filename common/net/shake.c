#include "common/net/shake.h"

#include <ev.h>
#include <pthread.h>
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
 * While more of its jobs wait than there are threads, the loop looks for packets
 * no more often than this: each time that it wakes it takes a processor from a
 * handshake, and a session of nine replies woke it three times and more.  A
 * client whose handshake waits loses nothing by it, others two milliseconds.
 */
static const double ROUND_S = 0.002;

struct lane {
	struct shake_list jobs;
	TAILQ_ENTRY(lane) turn; /* while it has jobs */
};

static struct {
	struct shake_port port; /* the loop's */
	pthread_t threads[THREADS_MAX];
	unsigned thread_count; /* loop: 0: handshakes are done inline */
	bool is_paced; /* loop: in rounds */
	/* under the lock */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct lane lanes[SHAKE_LANES];
	TAILQ_HEAD(, lane) turns; /* whose turn it is stands first */
	bool stop;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER,
	   .wake = PTHREAD_COND_INITIALIZER };

static _Thread_local struct shake_port *here;

bool shake_is_offered(void)
{
	return here != NULL && pool.thread_count > 0;
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
	job->port->waiting--;
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

/* With the lock, or the port might close.  What comes back to one that is
 * closed is wanted by nobody. */
static void give_back(struct shake *job)
{
	struct shake_port *port = job->port;

	pthread_mutex_lock(&pool.lock);
	if (port->loop == NULL)
		port = &pool.port;
	if (STAILQ_EMPTY(&port->done))
		ev_async_send(port->loop, &port->done_async);
	STAILQ_INSERT_TAIL(&port->done, job, link);
	pthread_mutex_unlock(&pool.lock);
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

/* From one job of its own too many until none waits: whoever has none hears
 * nothing of others'.  A thread with connections is there since there are
 * processors enough. */
static void pace(const struct shake_port *port, bool is_busy)
{
	if (port != &pool.port || pool.is_paced == is_busy)
		return;
	pool.is_paced = is_busy;
	busy_set(is_busy);
	ev_set_io_collect_interval(port->loop, is_busy ? ROUND_S : 0.0);
}

static void on_done(struct ev_loop *loop, ev_async *w, int revents)
{
	struct shake_list list = STAILQ_HEAD_INITIALIZER(list);
	struct shake_port *port = w->data;
	bool is_over;

	(void)loop;
	(void)revents;
	pthread_mutex_lock(&pool.lock);
	STAILQ_CONCAT(&list, &port->done);
	is_over = port->waiting == 0;
	pthread_mutex_unlock(&pool.lock);
	if (is_over)
		pace(port, false);
	finish(&list);
}

struct shake *shake_submit(struct tls_engine *engine, struct span in,
			   unsigned lane, shake_cb *done, void *arg)
{
	struct shake *job = mx_alloc(sizeof(*job));
	struct lane *l = &pool.lanes[lane];
	bool is_busy;

	MX_ASSERT(shake_is_offered() && lane < SHAKE_LANES);
	job->port = here;
	job->done = done;
	job->arg = arg;
	job->engine = engine;
	buf_add(&job->in, in);
	pthread_mutex_lock(&pool.lock);
	if (STAILQ_EMPTY(&l->jobs))
		TAILQ_INSERT_TAIL(&pool.turns, l, turn);
	STAILQ_INSERT_TAIL(&l->jobs, job, link);
	is_busy = ++here->waiting > pool.thread_count;
	pthread_mutex_unlock(&pool.lock);
	pthread_cond_signal(&pool.wake);
	if (is_busy)
		pace(here, true);
	return job;
}

void shake_abandon(struct shake **job)
{
	(*job)->done = NULL;
	*job = NULL;
}

void shake_port_open(struct shake_port *port, struct ev_loop *loop)
{
	port->loop = loop;
	STAILQ_INIT(&port->done);
	ev_async_init(&port->done_async, on_done);
	port->done_async.data = port;
	ev_async_start(loop, &port->done_async);
	here = port;
}

void shake_port_close(struct shake_port *port)
{
	ev_async_stop(port->loop, &port->done_async);
	pthread_mutex_lock(&pool.lock);
	if (port != &pool.port)
		STAILQ_CONCAT(&pool.port.done, &port->done);
	port->loop = NULL;
	pthread_mutex_unlock(&pool.lock);
	here = NULL;
}

void tls_threads_start(struct ev_loop *loop, unsigned count)
{
	unsigned want = count > THREADS_MAX ? THREADS_MAX : count;

	MX_ASSERT(pool.thread_count == 0);
	shake_port_open(&pool.port, loop);
	pool.stop = false;
	TAILQ_INIT(&pool.turns);
	for (size_t i = 0; i < SHAKE_LANES; i++)
		STAILQ_INIT(&pool.lanes[i].jobs);
	while (pool.thread_count < want &&
	       pthread_create(&pool.threads[pool.thread_count], NULL, run,
			      NULL) == 0)
		pool.thread_count++;
}

void tls_threads_stop(void)
{
	if (pool.port.loop == NULL)
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
	finish(&pool.port.done);
	pool.port.waiting = 0;
	pace(&pool.port, false);
	shake_port_close(&pool.port);
}
