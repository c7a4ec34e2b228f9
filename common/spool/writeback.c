#include "common/spool/writeback.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/alloc.h"

/*
 * LMDB copies a whole transaction into the page cache, and asks for nothing to
 * be written before the flush at its end: the disk stands still in the one half
 * of the time, and the processor in the other.
 */
enum { PAUSE_NS = 1000000 }; /* about a megabyte of copying */

struct writeback {
	pthread_t thread;
	int fd;
	/* under the lock */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool is_on, stop;
};

/* true: there is something under way.  Lock held. */
static bool await_begin(struct writeback *wb)
{
	while (!wb->is_on && !wb->stop)
		pthread_cond_wait(&wb->wake, &wb->lock);
	return !wb->stop;
}

static void *writeback_main(void *arg)
{
	struct writeback *wb = arg;
	const struct timespec pause = { .tv_nsec = PAUSE_NS };

	pthread_mutex_lock(&wb->lock);
	while (await_begin(wb)) {
		pthread_mutex_unlock(&wb->lock);
		sync_file_range(wb->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
		nanosleep(&pause, NULL);
		pthread_mutex_lock(&wb->lock);
	}
	pthread_mutex_unlock(&wb->lock);
	return NULL;
}

static void fini(struct writeback *wb)
{
	pthread_mutex_destroy(&wb->lock);
	pthread_cond_destroy(&wb->wake);
	free(wb);
}

/* NULL: there are no threads to be had. */
static struct writeback *start(int fd)
{
	struct writeback *wb = mx_alloc(sizeof(*wb));

	wb->fd = fd;
	pthread_mutex_init(&wb->lock, NULL);
	pthread_cond_init(&wb->wake, NULL);
	if (pthread_create(&wb->thread, NULL, writeback_main, wb) == 0)
		return wb;
	fini(wb);
	return NULL;
}

void writeback_begin(struct writeback **wb, int fd)
{
	if (*wb == NULL)
		*wb = start(fd);
	if (*wb == NULL)
		return;
	pthread_mutex_lock(&(*wb)->lock);
	(*wb)->is_on = true;
	pthread_cond_signal(&(*wb)->wake);
	pthread_mutex_unlock(&(*wb)->lock);
}

void writeback_end(struct writeback *wb)
{
	if (wb == NULL)
		return;
	pthread_mutex_lock(&wb->lock);
	wb->is_on = false;
	pthread_mutex_unlock(&wb->lock);
}

void writeback_free(struct writeback **wb)
{
	if (*wb == NULL)
		return;
	pthread_mutex_lock(&(*wb)->lock);
	(*wb)->stop = true;
	pthread_cond_signal(&(*wb)->wake);
	pthread_mutex_unlock(&(*wb)->lock);
	pthread_join((*wb)->thread, NULL);
	fini(*wb);
	*wb = NULL;
}
