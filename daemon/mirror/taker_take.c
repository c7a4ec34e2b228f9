
#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "daemon/mirror/taker_priv.h"

/*
 * Messages change their owner in one transaction, which says first that we are
 * still who we were, and that the other one has still not been heard of.  They
 * get ids of ours, so that those of two nodes cannot collide, and what they
 * were called is left behind for their former owner to read.
 */

enum { MOVE_BYTES = 32 << 20, LEAST_BATCH = 1 };

struct room {
	struct call call;
	size_t count;
	uint64_t bytes;
};

/* Fresh ids, if there is room for what is to come. */
static void run_room(struct call *c)
{
	struct room *r = (struct room *)c;
	struct mirror *m = c->arg;
	enum mx_err err = spool_room(m->opt.spool, r->bytes);

	if (err == MX_OK)
		spool_mirror_ids(m->opt.spool, clock_wall_ms(), r->count,
				 call_counted, c);
	else
		call_done(c, err, 0);
}

static enum mx_err ask_room(struct taker *t, size_t n, uint64_t bytes,
			    uint64_t *first_id)
{
	struct room *r = call_new(run_room, NULL, sizeof(*r));
	enum mx_err err;

	r->count = n;
	r->bytes = bytes;
	err = calls_wait(t->m->calls, &r->call);
	*first_id = r->call.count;
	call_release(&r->call);
	return err;
}

/* Not from the first on: what was taken a moment ago is still in the way
 * there, until it is vacuumed. */
static enum mx_err ask_ids(struct taker *t, struct victim *v)
{
	struct param p[] = { PARAM_INT(v->owner), PARAM_INT(v->after),
			     PARAM_INT(t->batch) };
	enum mx_err err;

	db_send(t->db, SQL_VICTIM_IDS, p);
	err = db_run(t->db, taker_timeout(t));
	if (err != MX_OK || db_rows(t->db, 0) > 0 || v->after == 0)
		return err;
	v->after = 0; /* is there really nothing more? */
	return ask_ids(t, v);
}

/* Which, and how much they are: no more than one transaction should move. */
static enum mx_err choose(struct taker *t, struct victim *v, struct array *ids,
			  uint64_t *bytes)
{
	enum mx_err err = ask_ids(t, v);

	*bytes = 0;
	if (err != MX_OK)
		return err;
	for (size_t i = 0; i < db_rows(t->db, 0); i++) {
		*bytes += (uint64_t)db_number(t->db, 0, i, 1);
		if (i > 0 && *bytes > MOVE_BYTES)
			break;
		v->after = db_number(t->db, 0, i, 0);
		array_add_int(ids, v->after);
	}
	return MX_OK;
}

/* We are who we were; the other is gone.  Both undo all that follows. */
static void begin(struct taker *t, const struct victim *v, size_t n)
{
	struct param we[] = { PARAM_INT(t->id.owner), PARAM_INT(t->id.fence) };
	struct param other[] = { PARAM_INT(v->owner), PARAM_INT(n),
				 PARAM_SPAN(span_str(t->m->node)) };

	db_begin(t->db);
	db_send(t->db, SQL_STAND, we);
	db_send(t->db, SQL_VICTIM, other);
}

enum { MOVED = 5 }; /* the statement that moves the messages */

static enum mx_err move(struct taker *t, const struct victim *v,
			struct array *ids, uint64_t first_id, size_t *n)
{
	struct array fresh;
	enum mx_err err;

	array_init(&fresh, ARRAY_INT8);
	for (size_t i = 0; i < ids->count; i++)
		array_add_int(&fresh, (int64_t)(first_id + i));
	struct param p[] = { PARAM_INT(v->owner), PARAM_INT(t->id.owner),
			     PARAM_ARRAY(ids), PARAM_ARRAY(&fresh) };

	begin(t, v, ids->count);
	db_send(t->db, SQL_MOVE_UNIT, p);
	db_send(t->db, SQL_MOVE_CONTENT, p);
	db_send(t->db, SQL_MOVE_MESSAGE, p);
	err = db_commit(t->db, taker_timeout(t));
	*n = err == MX_OK ? (size_t)db_changed(t->db, MOVED) : 0;
	buf_fini(&fresh.bytes);
	metrics_add(METRIC_MIRROR_TAKEN, 0, *n);
	atomic_fetch_add(&t->m->taken, *n);
	return err;
}

/* There is no message of it any more: nor need anything else be. */
static enum mx_err sweep(struct taker *t, const struct victim *v)
{
	begin(t, v, 0);
	db_send(t->db, SQL_VICTIM_REST, &PARAM_INT(v->owner));
	return db_commit(t->db, taker_timeout(t));
}

enum mx_err taker_take(struct taker *t, struct victim *v, size_t *n)
{
	uint64_t bytes, first_id = 0;
	struct array ids;
	enum mx_err err;

	*n = 0;
	array_init(&ids, ARRAY_INT8);
	err = choose(t, v, &ids, &bytes);
	if (err == MX_OK && ids.count == 0) {
		err = sweep(t, v);
	} else if (err == MX_OK) {
		err = ask_room(t, ids.count, bytes, &first_id);
		if (err == MX_OK)
			err = move(t, v, &ids, first_id, n);
	}
	if (err == MX_ETIME && t->batch > LEAST_BATCH)
		t->batch = t->batch / 4 + 1;
	buf_fini(&ids.bytes);
	return err;
}
