#include "common/spool/shift.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/spool/find.h"
#include "common/spool/spool_priv.h"
#include "common/spool/now.h"
#include "common/spool/queue.h"
#include "common/spool/unit.h"
#include "common/spool/walk.h"

/*
 * Mail that came while the clock was a year behind has a lifetime that ended a
 * year ago when the clock is set.  When the new time has proved itself
 * (trusted_clock.h), all that came before ends later by what the clock was
 * ahead of the believed time; only then is it believed.  What came behind the
 * jump has its time from the new clock.
 *
 * A walk by id, some hundred units a transaction; how far it is stands in the
 * row "shift" of meta, so that no unit is moved twice.
 */
/* A machine whose clock begins behind at each boot comes here each time.  Who
 * was moved by so much before ends behind the new time by itself. */
#define SURELY_MOVED DAYS(30)

struct shift {
	struct request req; /* pos: the last message done; count: units */
	struct shift_row row;
};

/* ---- The writer's side ---- */

static bool is_moved(const struct shift_row *s, int64_t expires_ms)
{
	return s->by_ms > SURELY_MOVED && expires_ms >= s->until_ms + s->by_ms;
}

struct moving {
	const struct shift_row *shift;
	struct ends to;
};

/* Who was parked behind the jump, or again, has his time from the new clock. */
static enum keep set_ends(struct recipient_row *row, void *arg)
{
	const struct moving *m = arg;

	row->expires_ms = m->to.expires_ms;
	row->warn_ms = m->to.warn_ms;
	if (recipient_is_parked(&row->r) &&
	    row->r.attempt_ms <= m->shift->until_ms &&
	    !is_moved(m->shift, row->r.until_ms))
		row->r.until_ms += m->shift->by_ms;
	return KEEP_CHANGED;
}

static enum mx_err move_unit(struct batch *b, struct request *r,
			     struct found *u)
{
	const struct shift_row *s = &CONTAINER_OF(r, struct shift, req)->row;
	struct moving m = { .shift = s };
	struct ends from;
	enum mx_err err = unit_ends(b, u, &from);

	r->count++;
	if (err != MX_OK || is_moved(s, from.expires_ms))
		return err;
	m.to.expires_ms = from.expires_ms + s->by_ms;
	m.to.warn_ms = from.warn_ms > 0 ? from.warn_ms + s->by_ms : 0;
	err = unit_recipients(b, u, set_ends, &m, &from);
	if (err == MX_OK)
		err = unit_expiry_del(b, u, &from);
	/* what is held or refused has no lifetime */
	if (err == MX_OK && u->state != UNIT_HELD && u->state != UNIT_REFUSED)
		err = unit_expiry_put(b, u, &m.to);
	return err;
}

static enum mx_err remember(struct batch *b, struct shift *s)
{
	char value[SHIFT_ROW_SIZE];

	s->row.pos = s->req.pos;
	shift_row_put(value, &s->row);
	return table_put_name(batch_table(b, T_META), b->txn, SPAN_LIT("shift"),
			      span_of(value, sizeof(value)));
}

static enum mx_err forget(struct batch *b)
{
	enum mx_err err = table_del_name(batch_table(b, T_META), b->txn,
					 SPAN_LIT("shift"));

	return err == MX_ENOENT ? MX_OK : err;
}

static enum mx_err apply_shift(struct batch *b, struct request *r)
{
	struct shift *s = CONTAINER_OF(r, struct shift, req);
	enum mx_err err;

	for (; b->work < WALK_STEP; b->work++) {
		struct envelope env = { 0 };
		size_t n;

		err = find_next_message(b->sp, b->txn, r->pos + 1, &env);
		if (err == MX_ENOENT ||
		    (err == MX_OK && env.id > s->row.last_id))
			return forget(b);
		if (err == MX_OK && env.arrived_ms <= s->row.until_ms)
			err = walk_message(b, r, env.id, move_unit, &n);
		if (err != MX_OK)
			return err;
		r->pos = env.id;
	}
	err = remember(b, s);
	r->again = err == MX_OK;
	return err;
}

/* ---- The loop's side ---- */

/* A walk that a restart interrupted was for this jump, or for another. */
static void finish_shift(struct spool *sp, struct request *r)
{
	struct shift *s = CONTAINER_OF(r, struct shift, req);
	int64_t wall_ms = clock_wall_ms(), mono_ms = clock_mono_ms();
	int64_t ahead_ms =
		wall_ms - trusted_clock_now(&sp->clock, wall_ms, mono_ms);

	MX_ASSERT(sp->is_shifting);
	sp->is_shifting = false;
	sp->shift = s->row;
	sp->shift.pos = r->pos;
	if (r->err == MX_OK) {
		sp->shift = (struct shift_row){ 0 };
		if (ahead_ms <= s->row.by_ms + DAYS(1))
			trusted_clock_believe(&sp->clock, wall_ms, mono_ms);
		log_warn(EV_SPOOL, LOG_STR("clock", "believed"),
			 LOG_INT("ahead_s", s->row.by_ms / 1000),
			 LOG_INT("moved", r->count));
	} else if (r->err != MX_ESTOP) {
		log_error(EV_SPOOL, LOG_STR("what", r->ops->name),
			  LOG_STR("error", mx_strerror(r->err)));
	}
	request_finish(sp, r);
}

static const struct request_ops shift_ops = {
	.name = "shift",
	.order = ORDER_ANY,
	.apply = apply_shift,
	.finish = finish_shift,
};

/* Go on with what was begun, or begin. */
static void shift_start(struct spool *sp, int64_t ahead_ms)
{
	struct shift *s = request_new(&shift_ops, sizeof(*s), NULL, 0);

	MX_ASSERT(!sp->is_shifting);
	s->row = sp->shift;
	if (s->row.by_ms == 0)
		s->row = (struct shift_row){
			.by_ms = ahead_ms,
			.until_ms = sp->clock.since_ms,
			.last_id = atomic_load(&sp->last_id),
		};
	s->req.pos = s->row.pos;
	sp->is_shifting = true;
	queue_push(sp, &s->req);
}

int64_t shift_look(struct spool *sp, int64_t wall_ms)
{
	int64_t now_ms = now_trusted(sp, wall_ms);

	if (!sp->is_shifting &&
	    (sp->shift.by_ms != 0 ||
	     trusted_clock_is_steady(&sp->clock, clock_mono_ms())))
		shift_start(sp, wall_ms - now_ms);
	return now_ms;
}

enum mx_err shift_learn(struct spool *sp, MDB_txn *txn)
{
	struct span value;
	enum mx_err err = table_get_name(&sp->tables[T_META], txn,
					 SPAN_LIT("shift"), &value);

	if (err == MX_OK && !shift_row_get(value, &sp->shift))
		err = MX_ECORRUPT;
	return err == MX_ENOENT ? MX_OK : err;
}
