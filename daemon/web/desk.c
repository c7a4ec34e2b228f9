#include "daemon/web/desk.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/web/response.h"

enum {
	MAGIC = 0x6465736b,
	FRESH_MS = 1000,
	FRESH_TIMES = 5, /* of what it cost: a fifth of the time at most */
};

struct document {
	struct MHD_Response *response; /* NULL: never made */
	int64_t until_ms;	       /* monotonic: fresh */
};

struct desk {
	unsigned magic;
	pthread_mutex_t lock;
	pthread_cond_t asked;
	struct document docs[DOC_COUNT];
	unsigned wanted;
	struct MHD_Connection *waiting[DESK_READERS];
	size_t waiting_count;
	bool is_closed;
};

struct desk *desk_new(void)
{
	struct desk *d = mx_alloc(sizeof(*d));
	pthread_condattr_t attr;

	d->magic = MAGIC;
	pthread_mutex_init(&d->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&d->asked, &attr);
	pthread_condattr_destroy(&attr);
	return d;
}

static void wake_all(struct desk *d)
{
	for (size_t i = 0; i < d->waiting_count; i++)
		MHD_resume_connection(d->waiting[i]);
	d->waiting_count = 0;
}

void desk_close(struct desk *d)
{
	pthread_mutex_lock(&d->lock);
	d->is_closed = true;
	wake_all(d);
	pthread_cond_broadcast(&d->asked);
	pthread_mutex_unlock(&d->lock);
}

void desk_free(struct desk **dp)
{
	struct desk *d = *dp;

	*dp = NULL;
	if (d == NULL)
		return;
	MX_ASSERT(d->magic == MAGIC && d->waiting_count == 0);
	for (size_t i = 0; i < DOC_COUNT; i++)
		if (d->docs[i].response != NULL)
			MHD_destroy_response(d->docs[i].response);
	pthread_cond_destroy(&d->asked);
	pthread_mutex_destroy(&d->lock);
	d->magic = 0;
	free(d);
}

/* ---- Readers ---- */

static void wait_for(struct desk *d, enum web_doc doc,
		     struct MHD_Connection *conn)
{
	MX_ASSERT(d->waiting_count < DESK_READERS);
	d->waiting[d->waiting_count++] = conn;
	d->wanted |= 1U << doc;
	MHD_suspend_connection(conn);
	pthread_cond_signal(&d->asked);
}

static bool is_fresh(const struct document *doc)
{
	return doc->response != NULL && clock_mono_ms() < doc->until_ms;
}

/* Queued under the lock: it may be replaced at any other time. */
enum desk_answer desk_ask(struct desk *d, enum web_doc doc, bool is_again,
			  struct MHD_Connection *conn, enum MHD_Result *result)
{
	const struct document *slot = &d->docs[doc];
	enum desk_answer answer = DESK_NONE;

	MX_ASSERT(d->magic == MAGIC && doc < DOC_COUNT);
	*result = MHD_YES;
	pthread_mutex_lock(&d->lock);
	if (!is_fresh(slot) && !is_again && !d->is_closed) {
		wait_for(d, doc, conn);
		answer = DESK_WAITS;
	} else if (slot->response != NULL) {
		*result = MHD_queue_response(conn, MHD_HTTP_OK, slot->response);
		answer = DESK_QUEUED;
	}
	pthread_mutex_unlock(&d->lock);
	return answer;
}

/* ---- The gatherer ---- */

unsigned desk_wait(struct desk *d, int64_t timeout_ms)
{
	struct timespec at;
	unsigned wanted;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += (time_t)(timeout_ms / 1000);
	pthread_mutex_lock(&d->lock);
	if (d->wanted == 0 && !d->is_closed)
		(void)pthread_cond_timedwait(&d->asked, &d->lock, &at);
	wanted = d->wanted;
	d->wanted = 0;
	pthread_mutex_unlock(&d->lock);
	return wanted;
}

bool desk_is_closed(struct desk *d)
{
	bool is_closed;

	pthread_mutex_lock(&d->lock);
	is_closed = d->is_closed;
	pthread_mutex_unlock(&d->lock);
	return is_closed;
}

void desk_put(struct desk *d, enum web_doc doc, struct buf *text,
	      const char *content_type, int64_t cost_ms)
{
	struct document *slot = &d->docs[doc];
	struct MHD_Response *r, *old;
	int64_t fresh_ms = cost_ms * FRESH_TIMES;

	r = response_new(text, content_type);
	pthread_mutex_lock(&d->lock);
	old = slot->response;
	slot->response = r;
	slot->until_ms =
		clock_mono_ms() + (fresh_ms > FRESH_MS ? fresh_ms : FRESH_MS);
	pthread_mutex_unlock(&d->lock);
	if (old != NULL) /* who reads it still has it */
		MHD_destroy_response(old);
}

void desk_wake(struct desk *d)
{
	pthread_mutex_lock(&d->lock);
	wake_all(d);
	pthread_mutex_unlock(&d->lock);
}
