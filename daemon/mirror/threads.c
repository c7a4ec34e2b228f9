#include <poll.h>
#include <signal.h>
#include <time.h>

#include "daemon/mirror/mirror_priv.h"

enum { JOIN_MS = 3000 }; /* a thread may hang in a look-up of names */

bool mirror_sleep(struct mirror *m, int64_t ms)
{
	struct pollfd fd = { .fd = m->stop_fd, .events = POLLIN };

	return poll(&fd, 1, (int)ms) > 0;
}

bool mirror_thread(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc == 0;
}

bool mirror_join(pthread_t thread)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += JOIN_MS / 1000;
	return pthread_timedjoin_np(thread, NULL, &at) == 0;
}
