#include "common/spool/find.h"

enum mx_err find_message(struct spool *sp, MDB_txn *txn, uint64_t id,
			 struct envelope *env, uint32_t *units)
{
	struct span value;
	struct key k;
	enum mx_err err;

	key_message(&k, id);
	err = table_get(&sp->tables[T_MESSAGE], txn, &k, &value);
	if (err == MX_OK && !envelope_get(value, env, units))
		err = MX_ECORRUPT;
	env->id = id;
	return err;
}

enum mx_err unit_state_get(struct spool *sp, MDB_txn *txn, uint64_t id,
			   struct span domain, enum unit_state *state,
			   int64_t *due_ms)
{
	struct span value, reason;
	struct key k;
	enum mx_err err;

	*due_ms = 0;
	*state = UNIT_READY;
	key_ready(&k, domain, id);
	err = table_get(&sp->tables[T_READY], txn, &k, &value);
	if (err != MX_ENOENT)
		return err;
	err = table_get(&sp->tables[T_PARKED], txn, &k, &value);
	if (err != MX_OK)
		return err;
	if (!parked_get(value, due_ms, &reason))
		return MX_ECORRUPT;
	*state = *due_ms == PARKED_HELD ? UNIT_HELD : UNIT_DEFERRED;
	if (*state == UNIT_HELD)
		*due_ms = 0;
	return MX_OK;
}

/* Both tables have the keys of ready. */
static enum mx_err first_in(struct spool *sp, MDB_txn *txn, enum table_id t,
			    const struct key *from, struct span domain,
			    uint64_t *id)
{
	struct place p;
	struct span name;
	enum mx_err err = place_open(&p, &sp->tables[t], txn);

	*id = UINT64_MAX;
	if (err == MX_OK)
		err = place_seek(&p, from);
	if (err == MX_OK && !key_ready_parse(p.key, &name, id))
		err = MX_ECORRUPT;
	else if (err == MX_OK && !span_eq(name, domain))
		*id = UINT64_MAX;
	place_close(&p);
	return err == MX_ENOENT ? MX_OK : err;
}

enum mx_err unit_first(struct spool *sp, MDB_txn *txn, unsigned where,
		       struct span domain, uint64_t from, uint64_t *id)
{
	uint64_t ready = UINT64_MAX, parked = UINT64_MAX;
	struct key k;
	enum mx_err err = MX_OK;

	key_ready(&k, domain, from);
	if (where & IN_READY)
		err = first_in(sp, txn, T_READY, &k, domain, &ready);
	if (err == MX_OK && where & IN_PARKED)
		err = first_in(sp, txn, T_PARKED, &k, domain, &parked);
	*id = ready < parked ? ready : parked;
	return err;
}

enum mx_err unit_hold_reason_get(struct spool *sp, MDB_txn *txn, uint64_t id,
				 struct span domain, struct span *reason)
{
	struct span value;
	int64_t due_ms;
	struct key k;
	enum mx_err err;

	key_ready(&k, domain, id);
	err = table_get(&sp->tables[T_PARKED], txn, &k, &value);
	if (err == MX_OK && !parked_get(value, &due_ms, reason))
		err = MX_ECORRUPT;
	return err;
}

enum mx_err unit_recipient(struct spool *sp, MDB_txn *txn, uint64_t id,
			   struct span domain, uint32_t number,
			   struct recipient_row *row)
{
	struct key from, unit;
	struct place p;
	struct span name;
	uint64_t at;
	enum mx_err err = place_open(&p, &sp->tables[T_RECIPIENT], txn);

	if (err != MX_OK)
		return err;
	key_unit(&unit, id, domain);
	key_recipient(&from, id, domain, number);
	err = place_seek(&p, &from);
	if (err == MX_OK && !key_starts(p.key, &unit))
		err = MX_ENOENT;
	if (err == MX_OK && !recipient_get(p.value, row))
		err = MX_ECORRUPT;
	if (err == MX_OK &&
	    !key_recipient_parse(p.key, &at, &name, &row->r.number))
		err = MX_ECORRUPT;
	if (err == MX_OK)
		row->r.domain = domain;
	place_close(&p);
	return err;
}
