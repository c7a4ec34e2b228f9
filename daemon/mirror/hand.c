#include "daemon/mirror/hand.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"

struct hand {
	pthread_mutex_t lock;
	pthread_cond_t answered; /* or what is waited for has changed */
	int fd;
	int64_t patience_ms;
	bool is_open; /* the spool is in step */
	enum { HAND_EMPTY, HAND_OFFERED, HAND_TAKEN, HAND_ANSWERED } state;
	struct parcel *parcel; /* offered */
	uint64_t seq;
	int64_t offered_ms;
	enum mx_err answer;
};

struct hand *hand_new(void)
{
	struct hand *h = mx_alloc(sizeof(*h));
	pthread_condattr_t attr;

	pthread_mutex_init(&h->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&h->answered, &attr);
	pthread_condattr_destroy(&attr);
	h->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	MX_ASSERT(h->fd >= 0);
	return h;
}

void hand_free(struct hand **hp)
{
	struct hand *h = *hp;

	*hp = NULL;
	if (h == NULL)
		return;
	parcel_free(&h->parcel);
	close(h->fd);
	pthread_cond_destroy(&h->answered);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

void hand_set_patience(struct hand *h, int64_t patience_ms)
{
	pthread_mutex_lock(&h->lock);
	h->patience_ms = patience_ms;
	pthread_cond_broadcast(&h->answered);
	pthread_mutex_unlock(&h->lock);
}

/* ---- The writer ---- */

void hand_joined(struct hand *h)
{
	pthread_mutex_lock(&h->lock);
	MX_ASSERT(h->state == HAND_EMPTY || h->state == HAND_ANSWERED);
	h->state = HAND_EMPTY;
	h->is_open = true;
	pthread_mutex_unlock(&h->lock);
}

void hand_offer(struct hand *h, struct parcel *p, uint64_t seq)
{
	uint64_t one = 1;

	pthread_mutex_lock(&h->lock);
	parcel_free(&h->parcel);
	h->parcel = p;
	h->seq = seq;
	h->offered_ms = clock_mono_ms();
	h->state = h->is_open ? HAND_OFFERED : HAND_ANSWERED;
	h->answer = MX_ENOENT;
	pthread_mutex_unlock(&h->lock);
	(void)!write(h->fd, &one, sizeof(one));
}

/* Lock held; false: the time is over. */
static bool sleep_on(struct hand *h)
{
	int64_t until_ms = h->offered_ms + h->patience_ms;
	struct timespec ts = { .tv_sec = until_ms / 1000,
			       .tv_nsec = until_ms % 1000 * 1000000 };

	return clock_mono_ms() < until_ms &&
	       (pthread_cond_timedwait(&h->answered, &h->lock, &ts), true);
}

enum mx_err hand_wait(struct hand *h)
{
	enum mx_err err = MX_ETIME;

	pthread_mutex_lock(&h->lock);
	while (h->state != HAND_ANSWERED && sleep_on(h))
		;
	if (h->state == HAND_ANSWERED)
		err = h->answer;
	else if (h->state == HAND_OFFERED)
		err = MX_ENOENT; /* nobody takes it any more */
	if (err != MX_OK)
		h->is_open = false;
	h->state = HAND_EMPTY;
	parcel_free(&h->parcel);
	pthread_mutex_unlock(&h->lock);
	return err;
}

/* ---- The scribe ---- */

int hand_fd(const struct hand *h)
{
	return h->fd;
}

struct parcel *hand_take(struct hand *h, uint64_t *seq)
{
	struct parcel *p = NULL;
	uint64_t count;

	(void)!read(h->fd, &count, sizeof(count));
	pthread_mutex_lock(&h->lock);
	if (h->state == HAND_OFFERED) {
		p = h->parcel;
		h->parcel = NULL;
		*seq = h->seq;
		h->state = HAND_TAKEN;
	}
	pthread_mutex_unlock(&h->lock);
	return p;
}

/* Lock held. */
static void answer(struct hand *h, enum mx_err err)
{
	if (h->state != HAND_TAKEN && h->state != HAND_OFFERED)
		return; /* the writer has not waited for it */
	if (h->state == HAND_OFFERED)
		err = MX_ENOENT; /* it was not taken */
	h->state = HAND_ANSWERED;
	h->answer = err;
	pthread_cond_broadcast(&h->answered);
}

void hand_answer(struct hand *h, enum mx_err err)
{
	pthread_mutex_lock(&h->lock);
	if (err != MX_OK)
		h->is_open = false;
	answer(h, err);
	pthread_mutex_unlock(&h->lock);
}

bool hand_is_open(struct hand *h)
{
	bool is_open;

	pthread_mutex_lock(&h->lock);
	is_open = h->is_open;
	pthread_mutex_unlock(&h->lock);
	return is_open;
}

void hand_close(struct hand *h)
{
	pthread_mutex_lock(&h->lock);
	h->is_open = false;
	answer(h, MX_ENET);
	pthread_mutex_unlock(&h->lock);
}
