#include <inttypes.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/random.h"
#include "daemon/mirror/moved.h"
#include "daemon/mirror/scribe_priv.h"

/* Making tables may take a while, connecting to a host that does not answer
 * should not. */
enum { SCHEMA_MS = 20000, CONNECT_LEAST_MS = 1000, CONNECT_MOST_MS = 5000 };

/* ---- Connecting ---- */

static int64_t connect_ms(const struct scribe *s)
{
	int64_t ms = scribe_timeout(s);

	if (ms < CONNECT_LEAST_MS)
		return CONNECT_LEAST_MS;
	return ms < CONNECT_MOST_MS ? ms : CONNECT_MOST_MS;
}

enum mx_err scribe_connect(struct scribe *s)
{
	struct buf why = { 0 };
	enum mx_err err = MX_ESYS;

	if (!pq_load(&why)) {
		board_error(s->m, BOARD_SCRIBE, buf_cstr(&why));
		buf_fini(&why);
		return err;
	}
	err = db_open(s->db, connect_ms(s));
	if (err == MX_OK)
		err = schema_ready(s->db, SCHEMA_MS);
	if (err == MX_OK) {
		metrics_count(METRIC_MIRROR_CONNECTS);
		board_server(s->m, s->db);
		return MX_OK;
	}
	if (err != MX_ESTOP)
		board_error(s->m, BOARD_SCRIBE, db_error(s->db));
	db_close(s->db);
	return err;
}

/* ---- Registering ---- */

struct greeting {
	struct call call;
	uint64_t last_id, seq;
	bool is_ahead;
};

/* Ids that are in the database must not be given out again: what has them may
 * be mail that this spool has lost. */
static void run_greeting(struct call *c)
{
	struct greeting *g = (struct greeting *)c;
	struct mirror *m = c->arg;

	spool_mirror_past(m->opt.spool, g->last_id);
	g->is_ahead = g->seq <= INT64_MAX && /* above: it has none */
		      g->seq > spool_mirror_seq(m->opt.spool);
	call_done(c, MX_OK, spool_mirror_knows(m->opt.spool, g->seq));
}

static enum mx_err greet(struct scribe *s, uint64_t last_id)
{
	struct greeting *g = call_new(run_greeting, NULL, sizeof(*g));
	enum mx_err err;

	g->last_id = last_id;
	g->seq = s->seq;
	err = calls_wait(s->m->calls, &g->call);
	s->is_same = err == MX_OK && g->call.count != 0;
	s->is_ahead = err == MX_OK && g->is_ahead;
	call_release(&g->call);
	return err;
}

static enum mx_err enter(struct scribe *s)
{
	struct param p[] = {
		PARAM_SPAN(span_str(s->m->node)),
		PARAM_SPAN(span_str(s->m->spool_uuid)),
		PARAM_SPAN(SPAN_LIT(MX_VERSION)),
		PARAM_INT(scribe_ask(s)),
		PARAM_SPAN(span_str(s->m->place)),
	};
	enum mx_err err;

	s->told = UINT64_MAX; /* it is not said here */
	db_begin(s->db);
	db_send(s->db, SQL_REGISTER, p);
	err = db_commit(s->db, scribe_timeout(s));
	if (err != MX_OK)
		return err;
	if (db_rows(s->db, 1) == 0) {
		db_refuse(s->db, "a copy of this spool elsewhere has its place "
				 "in the database, or had a moment ago");
		return MX_EBUSY;
	}
	s->id.owner = db_number(s->db, 1, 0, 0);
	s->id.fence = db_number(s->db, 1, 0, 1);
	if (s->last_fence != 0 && s->id.fence != s->last_fence + 1)
		s->is_touched = true;
	s->last_fence = s->id.fence;
	s->seq = (uint64_t)db_number(s->db, 1, 0, 2);
	db_send(s->db, SQL_LAST_ID, &PARAM_INT(s->id.owner));
	return db_run(s->db, scribe_timeout(s));
}

static enum turn register_us(struct scribe *s)
{
	enum mx_err err = schema_unfreeze(s->m, s->db, scribe_timeout(s));

	if (err == MX_OK)
		err = enter(s);
	if (err == MX_OK)
		err = greet(s, (uint64_t)db_number(s->db, 0, 0, 0));
	if (err != MX_OK)
		return scribe_failed(s, err);
	board_identity(s->m, &s->id);
	return TURN_REGISTERED;
}

enum turn scribe_away(struct scribe *s)
{
	int64_t lease_ms = atomic_load(&s->m->lease_ms);

	if (s->tries++ > 0 &&
	    mirror_sleep(s->m, lease_backoff_ms(s->tries - 1, lease_ms,
						random_next(&s->random))))
		return TURN_LOST;
	if (scribe_connect(s) != MX_OK)
		return TURN_LOST;
	return register_us(s);
}

/* ---- What was taken of us ---- */

/* The loop says something of each. */
enum { DROP_PAGE = 200 };

struct dropped {
	uint64_t now; /* what it is called there */
	char by[MIRROR_NAME];
};

struct drop {
	struct call call;
	uint64_t ids[DROP_PAGE];
	struct dropped what[DROP_PAGE];
	size_t count;
};

static void run_drop(struct call *c)
{
	struct drop *d = (struct drop *)c;
	struct mirror *m = c->arg;

	for (size_t i = 0; i < d->count; i++)
		moved_away(m, d->ids[i], d->what[i].now, d->what[i].by);
	spool_mirror_drop(m->opt.spool, d->ids, d->count, call_counted, c);
}

/* The log has one line for each page and who has it. */
static void log_dropped(struct scribe *s, const char *by, uint64_t count)
{
	metrics_add(METRIC_MIRROR_DROPPED, 0, count);
	atomic_fetch_add(&s->m->dropped, count);
	log_warn(EV_DROPPED, LOG_INT("messages", count), LOG_STR("by", by),
		 LOG_STR("why", "taken over while our lease was over"));
}

/* The page of tombstones that was read. */
static struct drop *drop_new(struct db *db, struct array *gone)
{
	struct drop *d = call_new(run_drop, NULL, sizeof(*d));

	d->count = db_rows(db, 0);
	MX_ASSERT(d->count <= DROP_PAGE);
	for (size_t i = 0; i < d->count; i++) {
		struct span by = db_column(db, 0, i, 1);

		d->ids[i] = (uint64_t)db_number(db, 0, i, 0);
		d->what[i].now = (uint64_t)db_number(db, 0, i, 2);
		snprintf(d->what[i].by, sizeof(d->what[i].by), "%.*s",
			 SPAN_ARG(by));
		array_add_int(gone, (int64_t)d->ids[i]);
	}
	return d;
}

static enum mx_err drop_here(struct scribe *s, struct drop *d)
{
	enum mx_err err = calls_wait(s->m->calls, &d->call);

	if (err == MX_OK && d->call.count > 0)
		log_dropped(s, d->what[d->count - 1].by, d->call.count);
	call_release(&d->call);
	return err;
}

/* They are in our spool no more: the database can forget that. */
static enum mx_err forget(struct scribe *s, struct array *ids)
{
	struct param p[] = { PARAM_INT(s->id.owner), PARAM_ARRAY(ids) };
	struct param n[] = { PARAM_INT(s->id.owner), PARAM_INT(ids->count) };

	db_begin(s->db);
	db_send(s->db, SQL_TOMBSTONES_READ, p);
	db_send(s->db, SQL_READ_COUNT, n);
	return db_commit(s->db, scribe_timeout(s));
}

enum mx_err scribe_drop_taken(struct scribe *s, size_t *n)
{
	struct param p[] = { PARAM_INT(s->id.owner), PARAM_INT(0),
			     PARAM_INT(DROP_PAGE) };
	struct array gone;
	struct drop *d;
	enum mx_err err;

	*n = 0;
	db_send(s->db, SQL_TOMBSTONES, p);
	err = db_run(s->db, scribe_timeout(s));
	if (err != MX_OK || db_rows(s->db, 0) == 0)
		return err;
	*n = db_rows(s->db, 0);
	array_init(&gone, ARRAY_INT8);
	d = drop_new(s->db, &gone);
	err = drop_here(s, d);
	if (err == MX_OK)
		err = forget(s, &gone);
	buf_fini(&gone.bytes);
	return err;
}

/* Nothing that is in the mirror is delivered before the last of it is gone. */
enum turn scribe_return(struct scribe *s)
{
	enum turn turn = scribe_renew(s);
	enum mx_err err;
	size_t n;

	if (turn != TURN_NONE)
		return turn;
	err = scribe_drop_taken(s, &n);
	if (err != MX_OK)
		return scribe_failed(s, err);
	if (n > 0) {
		s->is_touched = true;
		return TURN_NONE;
	}
	/* who took what was whole has thrown away what was not yet */
	if (!s->is_same || s->is_touched)
		return TURN_UNKNOWN;
	scribe_has_lease(s);
	return TURN_KNOWN;
}
