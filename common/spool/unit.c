#include "common/spool/unit.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/content.h"
#include "common/spool/counters.h"
#include "common/spool/env.h"
#include "common/spool/touch.h"

/* ---- Where it stands ---- */

static uint64_t *counter_of(struct domain_row *row, enum unit_state state)
{
	switch (state) {
	case UNIT_READY:
		return &row->d.ready;
	case UNIT_DEFERRED:
		return &row->d.deferred;
	case UNIT_REFUSED:
		return &row->d.refused;
	case UNIT_HELD:
		break;
	}
	return &row->d.held;
}

static void stands(struct domain_row *row, enum unit_state state,
		   uint64_t bytes)
{
	(*counter_of(row, state))++;
	if (state == UNIT_REFUSED)
		row->d.refused_bytes += bytes;
}

/* What was refused before these bytes were counted is not among them. */
static void stands_no_more(struct domain_row *row, enum unit_state state,
			   uint64_t bytes)
{
	(*counter_of(row, state))--;
	if (state == UNIT_REFUSED && row->d.refused_bytes > bytes)
		row->d.refused_bytes -= bytes;
	else if (state == UNIT_REFUSED)
		row->d.refused_bytes = 0;
}

/* Only what is refused is counted in bytes, too. */
static enum mx_err bytes_refused(struct batch *b, const struct found *u,
				 enum unit_state to, uint64_t *bytes)
{
	struct envelope env = { .bytes = 0 };
	enum mx_err err = MX_OK;
	uint32_t units;

	if (u->state == UNIT_REFUSED || to == UNIT_REFUSED)
		err = find_message(b->sp, b->txn, u->id, &env, &units);
	*bytes = env.bytes;
	return err == MX_ENOENT ? MX_ECORRUPT : err;
}

/* Take the unit out of the rows that say where it stands. */
static enum mx_err lift(struct batch *b, const struct found *u)
{
	struct key k;
	enum mx_err err;

	key_ready(&k, u->domain, u->id);
	if (u->state == UNIT_READY)
		return table_del(batch_table(b, T_READY), b->txn, &k);
	err = table_del(batch_table(b, T_PARKED), b->txn, &k);
	if (err != MX_OK || u->state != UNIT_DEFERRED)
		return err;
	key_deferred(&k, u->due_ms, u->domain, u->id);
	return table_del(batch_table(b, T_DEFERRED), b->txn, &k);
}

static enum mx_err park(struct batch *b, const struct found *u)
{
	char value[PARKED_ROW_MAX];
	char *end = parked_put(value,
			       u->state == UNIT_HELD	  ? PARKED_HELD
			       : u->state == UNIT_REFUSED ? PARKED_REFUSED
							  : u->due_ms,
			       u->reason);
	struct key k;

	key_ready(&k, u->domain, u->id);
	return table_put(batch_table(b, T_PARKED), b->txn, &k,
			 span_of(value, (size_t)(end - value)));
}

static enum mx_err put_down(struct batch *b, const struct found *u)
{
	struct key k;
	enum mx_err err;

	MX_ASSERT(u->state == UNIT_HELD || u->reason.n == 0);
	key_ready(&k, u->domain, u->id);
	if (u->state == UNIT_READY)
		return table_put(batch_table(b, T_READY), b->txn, &k,
				 SPAN_LIT(""));
	err = park(b, u);
	if (err != MX_OK || u->state != UNIT_DEFERRED)
		return err;
	MX_ASSERT(u->due_ms < PARKED_REFUSED);
	key_deferred(&k, u->due_ms, u->domain, u->id);
	return table_put(batch_table(b, T_DEFERRED), b->txn, &k, SPAN_LIT(""));
}

enum mx_err unit_move(struct batch *b, struct found *u, enum unit_state to,
		      int64_t due_ms)
{
	const struct found from = *u;
	struct domain_row *row;
	uint64_t bytes;
	enum mx_err err = counters_get(b, u->domain, &row);

	MX_ASSERT(to == UNIT_DEFERRED || due_ms == 0);
	if (err != MX_OK || (from.state == to && from.due_ms == due_ms))
		return err;
	if (*counter_of(row, from.state) == 0)
		return MX_ECORRUPT;
	err = bytes_refused(b, &from, to, &bytes);
	if (err != MX_OK)
		return err;
	touch_unit(b, u->id, u->domain);
	u->state = to;
	u->due_ms = due_ms;
	u->reason = SPAN_LIT("");
	err = lift(b, &from);
	if (err == MX_OK)
		err = put_down(b, u);
	if (err != MX_OK)
		return err;
	stands_no_more(row, from.state, bytes);
	stands(row, to, bytes);
	if (to == UNIT_READY)
		counters_announce(b, u->domain);
	return MX_OK;
}

enum mx_err unit_hold_reason(struct batch *b, const struct found *u,
			     struct span reason)
{
	struct found held = *u;

	MX_ASSERT(u->state == UNIT_HELD);
	held.reason = reason;
	touch_unit(b, u->id, u->domain);
	return park(b, &held);
}

/* ---- When it ends ---- */

static enum keep look_on(struct recipient_row *row, void *arg)
{
	(void)row;
	(void)arg;
	return KEEP_AS_IT_IS;
}

enum mx_err unit_ends(struct batch *b, const struct found *u, struct ends *ends)
{
	struct recipient_row row;
	enum mx_err err =
		find_recipient(b->sp, b->txn, u->id, u->domain, 0, &row);

	return err == MX_OK ? unit_recipients(b, u, look_on, NULL, ends) : err;
}

enum mx_err unit_expiry_put(struct batch *b, const struct found *u,
			    const struct ends *ends)
{
	struct table *t = batch_table(b, T_EXPIRY);
	struct key k;
	enum mx_err err;

	key_expiry(&k, ends->expires_ms, u->id, u->domain, EXPIRY_END);
	err = table_put(t, b->txn, &k, SPAN_LIT(""));
	if (err != MX_OK || ends->warn_ms <= 0)
		return err;
	key_expiry(&k, ends->warn_ms, u->id, u->domain, EXPIRY_WARNING);
	return table_put(t, b->txn, &k, SPAN_LIT(""));
}

enum mx_err unit_expiry_del(struct batch *b, const struct found *u,
			    const struct ends *ends)
{
	struct table *t = batch_table(b, T_EXPIRY);
	struct key k;
	enum mx_err err;

	/* either may be gone: struck off when it was dealt with */
	key_expiry(&k, ends->expires_ms, u->id, u->domain, EXPIRY_END);
	err = table_del(t, b->txn, &k);
	if ((err == MX_OK || err == MX_ENOENT) && ends->warn_ms > 0) {
		key_expiry(&k, ends->warn_ms, u->id, u->domain, EXPIRY_WARNING);
		err = table_del(t, b->txn, &k);
	}
	return err == MX_ENOENT ? MX_OK : err;
}

/* ---- Its recipients ---- */

static enum mx_err recipient_write(struct batch *b, const struct key *k,
				   const struct recipient_row *row)
{
	size_t n = recipient_size(row);
	char *value = mx_realloc(NULL, n);
	enum mx_err err;

	recipient_put(value, row);
	err = table_put(batch_table(b, T_RECIPIENT), b->txn, k,
			span_of(value, n));
	free(value);
	if (err == MX_OK && recipient_is_parked(&row->r))
		err = env_raise_schema(batch_table(b, T_META), b->txn,
				       ENV_PARKED);
	return err;
}

static void first_of(int64_t *first_ms, const struct recipient *r)
{
	if (recipient_is_parked(r) &&
	    (*first_ms == 0 || r->until_ms < *first_ms))
		*first_ms = r->until_ms;
}

/* The row of a unit's parked recipients; it may have been struck off. */
static enum mx_err move_parked(struct batch *b, const struct found *u,
			       int64_t from_ms, int64_t to_ms)
{
	struct table *t = batch_table(b, T_EXPIRY);
	enum mx_err err = MX_OK;
	struct key k;

	if (from_ms != 0 && from_ms != to_ms) {
		key_expiry(&k, from_ms, u->id, u->domain, EXPIRY_PARKED);
		err = table_del(t, b->txn, &k);
	}
	if (to_ms == 0 || (err != MX_OK && err != MX_ENOENT))
		return err == MX_ENOENT ? MX_OK : err;
	key_expiry(&k, to_ms, u->id, u->domain, EXPIRY_PARKED);
	return table_put(t, b->txn, &k, SPAN_LIT(""));
}

static enum mx_err apply_keep(struct batch *b, const struct key *k,
			      const struct recipient_row *row, enum keep keep)
{
	switch (keep) {
	case KEEP_AS_IT_IS:
		break;
	case KEEP_CHANGED:
		return recipient_write(b, k, row);
	case KEEP_NOT:
		return table_del(batch_table(b, T_RECIPIENT), b->txn, k);
	}
	return MX_OK;
}

enum mx_err unit_recipients(struct batch *b, const struct found *u,
			    unit_recipient_fn *fn, void *arg, struct ends *ends)
{
	struct recipient_row row;
	uint32_t number = 0;
	int64_t before_ms = 0, after_ms = 0;
	bool is_changed = false;
	enum keep keep;
	struct key k;
	enum mx_err err;

	*ends = (struct ends){ 0 };
	while ((err = find_recipient(b->sp, b->txn, u->id, u->domain, number,
				     &row)) == MX_OK) {
		*ends = (struct ends){ row.expires_ms, row.warn_ms, 0 };
		first_of(&before_ms, &row.r);
		key_recipient(&k, u->id, u->domain, row.r.number);
		number = row.r.number + 1;
		keep = fn(&row, arg);
		is_changed = is_changed || keep != KEEP_AS_IT_IS;
		if (keep != KEEP_NOT)
			first_of(&after_ms, &row.r);
		err = apply_keep(b, &k, &row, keep);
		if (err != MX_OK || number == 0)
			break;
	}
	ends->parked_ms = after_ms;
	if (err != MX_OK && err != MX_ENOENT)
		return err;
	if (!is_changed)
		return MX_OK;
	touch_unit(b, u->id, u->domain);
	return move_parked(b, u, before_ms, after_ms);
}

/* ---- It comes, it goes ---- */

enum mx_err unit_put(struct batch *b, const struct found *u,
		     const struct ends *ends, int64_t arrived_ms,
		     uint64_t bytes)
{
	struct domain_row *row;
	enum mx_err err = put_down(b, u);

	MX_ASSERT(u->id != 0 && u->state != UNIT_DEFERRED);
	if (err == MX_OK && u->state != UNIT_HELD)
		err = unit_expiry_put(b, u, ends);
	if (err == MX_OK)
		err = counters_get(b, u->domain, &row);
	if (err != MX_OK)
		return err;
	if (row->d.units == 0 || u->id < row->oldest_id) {
		row->oldest_id = u->id;
		row->d.oldest_ms = arrived_ms;
	}
	row->d.units++;
	stands(row, u->state, bytes);
	row->d.bytes += bytes;
	if (u->state == UNIT_READY)
		counters_announce(b, u->domain);
	return MX_OK;
}

/* One unit less: the message's row, or the whole message. */
static enum mx_err leave_message(struct batch *b, uint64_t id, uint64_t *bytes)
{
	struct envelope env;
	struct span value;
	struct key k;
	uint32_t units;
	char *copy;
	enum mx_err err;

	key_message(&k, id);
	err = table_get(batch_table(b, T_MESSAGE), b->txn, &k, &value);
	if (err != MX_OK)
		return err == MX_ENOENT ? MX_ECORRUPT : err;
	if (!envelope_get(value, &env, &units) || units == 0)
		return MX_ECORRUPT;
	*bytes = env.bytes;
	if (units == 1) {
		if (b->state.bytes < env.bytes)
			return MX_ECORRUPT;
		b->state.bytes -= env.bytes;
		err = table_del(batch_table(b, T_MESSAGE), b->txn, &k);
		return err == MX_OK ? content_drop(b, id, env.bytes) : err;
	}
	/* LMDB wants what it stores to lie outside its pages */
	copy = mx_realloc(NULL, value.n);
	memcpy(copy, value.p, value.n);
	envelope_set_units(copy, units - 1);
	err = table_put(batch_table(b, T_MESSAGE), b->txn, &k,
			span_of(copy, value.n));
	free(copy);
	return err;
}

enum mx_err unit_drop(struct batch *b, const struct found *u,
		      const struct ends *ends)
{
	struct domain_row *row;
	uint64_t bytes = 0;
	enum mx_err err = counters_get(b, u->domain, &row);

	if (err == MX_OK)
		err = lift(b, u);
	if (err == MX_OK)
		err = unit_expiry_del(b, u, ends);
	if (err == MX_OK)
		err = leave_message(b, u->id, &bytes);
	if (err != MX_OK)
		return err == MX_ENOENT ? MX_ECORRUPT : err;
	touch_unit(b, u->id, u->domain);
	if (row->d.units == 0 || *counter_of(row, u->state) == 0 ||
	    row->d.bytes < bytes)
		return MX_ECORRUPT;
	row->d.units--;
	stands_no_more(row, u->state, bytes);
	row->d.bytes -= bytes;
	if (u->id == row->oldest_id)
		counters_oldest_left(b, u->domain);
	return MX_OK;
}

static enum keep let_go(struct recipient_row *row, void *arg)
{
	(void)row;
	(void)arg;
	return KEEP_NOT;
}

enum mx_err unit_remove(struct batch *b, const struct found *u)
{
	struct ends ends;
	enum mx_err err = unit_recipients(b, u, let_go, NULL, &ends);

	return err == MX_OK ? unit_drop(b, u, &ends) : err;
}
