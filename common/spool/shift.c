#include "common/spool/shift.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/spool/find.h"
#include "common/spool/internal.h"
#include "common/spool/now.h"
#include "common/spool/queue.h"
#include "common/spool/unit.h"

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
enum { STEP_UNITS = 500 };

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

/* When a unit ends, and when its senders are warned (0: never). */
struct times {
	int64_t ends_ms, warn_ms;
};

static enum mx_err move_recipients(struct batch *b, uint64_t id,
				   struct span domain, const struct times *to)
{
	struct recipient_row row;
	uint32_t number = 0;
	enum mx_err err;

	while ((err = unit_recipient(b->sp, b->txn, id, domain, number,
				     &row)) == MX_OK) {
		number = row.r.number + 1;
		row.expires_ms = to->ends_ms;
		row.warn_ms = to->warn_ms;
		err = unit_recipient_put(b, id, domain, &row);
		if (err != MX_OK || number == 0)
			break;
	}
	return err == MX_ENOENT ? MX_OK : err;
}

/* Its recipients share the times: they are the unit's. */
static enum mx_err move_unit(struct batch *b, const struct shift_row *s,
			     uint64_t id, struct span domain)
{
	struct recipient_row row;
	enum unit_state state;
	struct times from, to;
	int64_t due_ms;
	enum mx_err err =
		unit_state_get(b->sp, b->txn, id, domain, &state, &due_ms);

	if (err != MX_OK)
		return err;
	err = unit_recipient(b->sp, b->txn, id, domain, 0, &row);
	if (err != MX_OK || is_moved(s, row.expires_ms))
		return err;
	from = (struct times){ row.expires_ms, row.warn_ms };
	to = (struct times){ from.ends_ms + s->by_ms,
			     from.warn_ms > 0 ? from.warn_ms + s->by_ms : 0 };
	err = move_recipients(b, id, domain, &to);
	if (err == MX_OK)
		err = unit_expiry_del(b, id, domain, from.ends_ms,
				      from.warn_ms);
	/* what is held has no rows in expiry */
	if (err == MX_OK && state != UNIT_HELD)
		err = unit_expiry_put(b, id, domain, to.ends_ms, to.warn_ms);
	return err;
}

/* The message's domain behind this one; MX_ENOENT: that was the last. */
static enum mx_err next_domain(struct batch *b, uint64_t id, char *name,
			       size_t *n)
{
	struct span domain = { name, *n };
	struct place p;
	struct key k;
	uint64_t at = 0;
	uint32_t number;
	enum mx_err err = place_open(&p, batch_table(b, T_RECIPIENT), b->txn);

	if (err != MX_OK)
		return err;
	if (*n > 0)
		key_recipient(&k, id, domain, UINT32_MAX);
	else
		key_message(&k, id);
	err = place_seek(&p, &k);
	if (err == MX_OK && !key_recipient_parse(p.key, &at, &domain, &number))
		err = MX_ECORRUPT;
	else if (err == MX_OK && at != id)
		err = MX_ENOENT;
	if (err == MX_OK) {
		memcpy(name, domain.p, domain.n);
		*n = domain.n;
	}
	place_close(&p);
	return err;
}

static enum mx_err move_message(struct batch *b, struct shift *s, uint64_t id)
{
	char name[KEY_DOMAIN_MAX];
	size_t n = 0;
	enum mx_err err;

	while ((err = next_domain(b, id, name, &n)) == MX_OK) {
		err = move_unit(b, &s->row, id, span_of(name, n));
		if (err != MX_OK)
			return err == MX_ENOENT ? MX_ECORRUPT : err;
		s->req.count++;
		b->work++;
	}
	return err == MX_ENOENT ? MX_OK : err;
}

/* The first message from this id on. */
static enum mx_err next_message(struct batch *b, uint64_t from, uint64_t *id,
				int64_t *arrived_ms)
{
	struct envelope env;
	struct place p;
	struct key k;
	uint32_t units;
	enum mx_err err = place_open(&p, batch_table(b, T_MESSAGE), b->txn);

	if (err != MX_OK)
		return err;
	key_message(&k, from);
	err = place_seek(&p, &k);
	if (err == MX_OK && (!key_message_parse(p.key, id) ||
			     !envelope_get(p.value, &env, &units)))
		err = MX_ECORRUPT;
	if (err == MX_OK)
		*arrived_ms = env.arrived_ms;
	place_close(&p);
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

	for (; b->work < STEP_UNITS; b->work++) {
		int64_t arrived_ms = 0;
		uint64_t id = 0;

		err = next_message(b, r->pos + 1, &id, &arrived_ms);
		if (err == MX_ENOENT || (err == MX_OK && id > s->row.last_id))
			return forget(b);
		if (err == MX_OK && arrived_ms <= s->row.until_ms)
			err = move_message(b, s, id);
		if (err != MX_OK)
			return err;
		r->pos = id;
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
	free(s);
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
	struct shift *s = mx_alloc(sizeof(*s));

	s->row = sp->shift;
	if (s->row.by_ms == 0)
		s->row = (struct shift_row){
			.by_ms = ahead_ms,
			.until_ms = sp->clock.since_ms,
			.last_id = atomic_load(&sp->last_id),
		};
	s->req.ops = &shift_ops;
	s->req.bytes = sizeof(*s);
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
