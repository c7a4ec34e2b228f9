#include "common/spool/unit.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/content.h"
#include "common/spool/counters.h"
#include "common/spool/find.h"

static uint64_t *counter_of(struct domain_row *row, enum unit_state state)
{
	switch (state) {
	case UNIT_READY:
		return &row->d.ready;
	case UNIT_DEFERRED:
		return &row->d.deferred;
	case UNIT_HELD:
		break;
	}
	return &row->d.held;
}

/* Take the unit out of the rows that say where it stands. */
static enum mx_err lift(struct batch *b, uint64_t id, struct span domain,
			enum unit_state from, int64_t due_ms)
{
	struct key k;
	enum mx_err err;

	key_ready(&k, domain, id);
	if (from == UNIT_READY)
		return table_del(batch_table(b, T_READY), b->txn, &k);
	err = table_del(batch_table(b, T_PARKED), b->txn, &k);
	if (err != MX_OK || from == UNIT_HELD)
		return err;
	key_deferred(&k, due_ms, domain, id);
	return table_del(batch_table(b, T_DEFERRED), b->txn, &k);
}

static enum mx_err settle_down(struct batch *b, uint64_t id, struct span domain,
			       enum unit_state to, int64_t due_ms)
{
	char value[PARKED_ROW_MAX], *end;
	struct key k;
	enum mx_err err;

	key_ready(&k, domain, id);
	if (to == UNIT_READY)
		return table_put(batch_table(b, T_READY), b->txn, &k,
				 SPAN_LIT(""));
	end = parked_put(value, to == UNIT_HELD ? PARKED_HELD : due_ms,
			 SPAN_LIT(""));
	err = table_put(batch_table(b, T_PARKED), b->txn, &k,
			span_of(value, (size_t)(end - value)));
	if (err != MX_OK || to == UNIT_HELD)
		return err;
	key_deferred(&k, due_ms, domain, id);
	return table_put(batch_table(b, T_DEFERRED), b->txn, &k, SPAN_LIT(""));
}

enum mx_err unit_move(struct batch *b, uint64_t id, struct span domain,
		      enum unit_state to, int64_t due_ms)
{
	enum unit_state from;
	struct domain_row *row;
	int64_t was_due;
	enum mx_err err =
		unit_state_get(b->sp, b->txn, id, domain, &from, &was_due);

	if (err == MX_OK)
		err = counters_get(b, domain, &row);
	if (err != MX_OK || (from == to && was_due == due_ms))
		return err;
	if (*counter_of(row, from) == 0)
		return MX_ECORRUPT;
	err = lift(b, id, domain, from, was_due);
	if (err == MX_OK)
		err = settle_down(b, id, domain, to, due_ms);
	if (err != MX_OK)
		return err;
	(*counter_of(row, from))--;
	(*counter_of(row, to))++;
	if (to == UNIT_READY)
		counters_announce(b, domain);
	return MX_OK;
}

enum mx_err unit_hold_reason(struct batch *b, uint64_t id, struct span domain,
			     struct span reason)
{
	char value[PARKED_ROW_MAX];
	char *end = parked_put(value, PARKED_HELD, reason);
	struct key k;

	key_ready(&k, domain, id);
	return table_put(batch_table(b, T_PARKED), b->txn, &k,
			 span_of(value, (size_t)(end - value)));
}

enum mx_err unit_expiry_put(struct batch *b, uint64_t id, struct span domain,
			    int64_t expires_ms, int64_t warn_ms)
{
	struct table *t = batch_table(b, T_EXPIRY);
	struct key k;
	enum mx_err err;

	key_expiry(&k, expires_ms, id, domain, EXPIRY_END);
	err = table_put(t, b->txn, &k, SPAN_LIT(""));
	if (err != MX_OK || warn_ms <= 0)
		return err;
	key_expiry(&k, warn_ms, id, domain, EXPIRY_WARNING);
	return table_put(t, b->txn, &k, SPAN_LIT(""));
}

enum mx_err unit_expiry_del(struct batch *b, uint64_t id, struct span domain,
			    int64_t expires_ms, int64_t warn_ms)
{
	struct table *t = batch_table(b, T_EXPIRY);
	struct key k;
	enum mx_err err;

	/* either may be gone: struck off when it was dealt with */
	key_expiry(&k, expires_ms, id, domain, EXPIRY_END);
	err = table_del(t, b->txn, &k);
	if ((err != MX_OK && err != MX_ENOENT) || warn_ms <= 0)
		return err == MX_ENOENT ? MX_OK : err;
	key_expiry(&k, warn_ms, id, domain, EXPIRY_WARNING);
	err = table_del(t, b->txn, &k);
	return err == MX_ENOENT ? MX_OK : err;
}

enum mx_err unit_recipient_put(struct batch *b, uint64_t id, struct span domain,
			       const struct recipient_row *row)
{
	size_t n = recipient_size(row);
	char *value = mx_realloc(NULL, n);
	struct key k;
	enum mx_err err;

	recipient_put(value, row);
	key_recipient(&k, id, domain, row->r.number);
	err = table_put(batch_table(b, T_RECIPIENT), b->txn, &k,
			span_of(value, n));
	free(value);
	return err;
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

enum mx_err unit_drop(struct batch *b, uint64_t id, struct span domain,
		      int64_t expires_ms, int64_t warn_ms)
{
	enum unit_state state;
	struct domain_row *row;
	int64_t due_ms;
	uint64_t bytes = 0;
	enum mx_err err =
		unit_state_get(b->sp, b->txn, id, domain, &state, &due_ms);

	if (err == MX_OK)
		err = counters_get(b, domain, &row);
	if (err == MX_OK)
		err = lift(b, id, domain, state, due_ms);
	if (err == MX_OK)
		err = unit_expiry_del(b, id, domain, expires_ms, warn_ms);
	if (err == MX_OK)
		err = leave_message(b, id, &bytes);
	if (err != MX_OK)
		return err == MX_ENOENT ? MX_ECORRUPT : err;
	if (row->d.units == 0 || *counter_of(row, state) == 0 ||
	    row->d.bytes < bytes)
		return MX_ECORRUPT;
	row->d.units--;
	(*counter_of(row, state))--;
	row->d.bytes -= bytes;
	if (id == row->oldest_id)
		counters_oldest_left(b, domain);
	return MX_OK;
}
