#include "daemon/mirror/taker_priv.h"

#include <poll.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"

enum {
	BATCH = 500,
	KEEP_MS = 3600000,
	LOOK_MOST_MS = 2000,
	LOOK_FIRST_MS = 250,
	CONNECT_MS = 5000,
	PREPARE_MS = 20000
};

/* ---- A round ---- */

static void log_taken(struct taker *t, const struct victim *v, uint64_t n)
{
	if (n > 0)
		log_warn(EV_TAKEN, LOG_STR("node", v->name),
			 LOG_INT("messages", n), LOG_STR("by", t->m->node));
}

/* Each batch is in the spool before the next is taken, so that what is ours
 * and not here is a batch at most. */
static enum mx_err take_all(struct taker *t, struct victim *v)
{
	enum mx_err err = MX_OK;
	uint64_t total = 0;
	size_t n = 1;

	while (err == MX_OK && n > 0 && !atomic_load(&t->m->is_stopping)) {
		err = taker_take(t, v, &n);
		total += n;
		if (err == MX_OK && n > 0)
			err = taker_import(t);
	}
	log_taken(t, v, total);
	return err;
}

static enum mx_err work(struct taker *t)
{
	enum mx_err err = taker_look(t);

	if (err == MX_OK && clock_mono_ms() >= t->keep_ms) {
		t->keep_ms = clock_mono_ms() + KEEP_MS;
		err = taker_keep(t);
	}
	t->id = board_who(t->m);
	if (err != MX_OK || t->id.number == 0)
		return err;
	t->imported = 0;
	err = taker_import(t);
	if (err == MX_OK && t->victim_count > 0)
		err = schema_unfreeze(t->m, t->db, taker_timeout(t));
	for (size_t i = 0; i < t->victim_count && err == MX_OK; i++)
		err = take_all(t, &t->victims[i]);
	/* it renewed its lease, we lost ours, there is no room, or the spool
	 * is not ready: the next look says */
	return err == MX_EBUSY || err == MX_ESPACE || err == MX_ESHARE ? MX_OK
								       : err;
}

/* ---- The thread ---- */

static enum mx_err open_db(struct taker *t)
{
	enum mx_err err;

	/* the scribe makes the tables */
	if (board_who(t->m).owner == 0)
		return MX_EBUSY;
	err = db_open(t->db, CONNECT_MS);
	if (err == MX_OK)
		err = db_prepare(t->db, PREPARE_MS);
	/* nobody is dead for what happened while we could not look */
	memset(t->watches, 0, sizeof(t->watches));
	t->keep_ms = 0;
	return err;
}

static void fail(struct taker *t, enum mx_err err)
{
	if (err != MX_ESTOP && err != MX_EBUSY)
		board_error(t->m, BOARD_TAKER, db_error(t->db));
	if (err != MX_ENOENT)
		db_close(t->db);
}

static int64_t pause_ms(const struct taker *t)
{
	int64_t ms = atomic_load(&t->m->lease_ms) / 5;

	if (!db_is_open(t->db))
		return LOOK_FIRST_MS;
	return ms < LOOK_MOST_MS ? ms : LOOK_MOST_MS;
}

/* True: the end. */
static bool rest(struct taker *t)
{
	struct pollfd fds[] = {
		{ .fd = t->m->stop_fd, .events = POLLIN },
		{ .fd = orders_fd(t->m->orders), .events = POLLIN },
	};

	return poll(fds, COUNT(fds), (int)pause_ms(t)) > 0 &&
	       fds[0].revents != 0;
}

static void *run(void *arg)
{
	struct taker *t = arg;

	while (!rest(t) && !atomic_load(&t->m->is_stopping)) {
		enum mx_err err = MX_OK;

		if (!db_is_open(t->db))
			err = open_db(t);
		orders_work(t->m->orders, t->db);
		if (err == MX_OK)
			err = work(t);
		if (err != MX_OK)
			fail(t, err);
	}
	db_close(t->db);
	return NULL;
}

struct taker *taker_start(struct mirror *m)
{
	struct taker *t = mx_alloc(sizeof(*t));
	struct buf name = { 0 };

	buf_addf(&name, "mx20 %s (taker)", m->node);
	t->m = m;
	t->batch = BATCH;
	t->db = db_new(&(struct db_options){ m->conninfo, buf_cstr(&name),
					     m->stop_fd });
	buf_fini(&name);
	if (mirror_thread(&t->thread, run, t))
		return t;
	db_free(&t->db);
	free(t);
	return NULL;
}

bool taker_join(struct taker **tp)
{
	struct taker *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return true;
	if (!mirror_join(t->thread))
		return false;
	db_free(&t->db);
	free(t);
	return true;
}
