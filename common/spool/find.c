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

enum mx_err find_next_message(struct spool *sp, MDB_txn *txn, uint64_t from,
			      struct envelope *env)
{
	struct scan p;
	struct key k;
	uint32_t units;
	enum mx_err err = scan_open(&p, &sp->tables[T_MESSAGE], txn);

	if (err != MX_OK)
		return err;
	key_message(&k, from);
	err = scan_seek(&p, &k);
	if (err == MX_OK && (!envelope_get(p.value, env, &units) ||
			     !key_message_parse(p.key, &env->id)))
		err = MX_ECORRUPT;
	scan_close(&p);
	return err;
}

enum mx_err find_next_domain(struct spool *sp, MDB_txn *txn, uint64_t id,
			     char name[KEY_DOMAIN_MAX], size_t *n)
{
	struct span domain = { name, *n != FIND_FIRST ? *n : 0 }, next;
	struct scan p;
	struct key k;
	uint64_t at;
	uint32_t number;
	enum mx_err err = scan_open(&p, &sp->tables[T_RECIPIENT], txn);

	MX_ASSERT(*n == FIND_FIRST || *n <= KEY_DOMAIN_MAX);
	if (err != MX_OK)
		return err;
	if (*n == FIND_FIRST)
		key_message(&k, id);
	else
		key_recipient(&k, id, domain, UINT32_MAX);
	err = scan_seek(&p, &k);
	if (err == MX_OK && !key_recipient_parse(p.key, &at, &next, &number))
		err = MX_ECORRUPT;
	if (err == MX_OK && at != id)
		err = MX_ENOENT;
	if (err == MX_OK && *n != FIND_FIRST && span_eq(next, domain))
		err = MX_ECORRUPT; /* a number nobody has */
	if (err == MX_OK) {
		memcpy(name, next.p, next.n);
		*n = next.n;
	}
	scan_close(&p);
	return err;
}

enum mx_err find_domain(struct spool *sp, MDB_txn *txn, struct span domain,
			struct domain_row *row)
{
	struct span value;
	struct key k;
	enum mx_err err;

	key_domain(&k, domain);
	err = table_get(&sp->tables[T_DOMAIN], txn, &k, &value);
	if (err == MX_OK && !domain_row_get(value, row))
		err = MX_ECORRUPT;
	return err;
}

bool found_stands(struct span parked, struct found *out)
{
	if (!parked_get(parked, &out->due_ms, &out->reason))
		return false;
	out->state = out->due_ms == PARKED_HELD	     ? UNIT_HELD
		     : out->due_ms == PARKED_REFUSED ? UNIT_REFUSED
						     : UNIT_DEFERRED;
	if (out->state != UNIT_DEFERRED)
		out->due_ms = 0;
	return true;
}

enum mx_err find_unit(struct spool *sp, MDB_txn *txn, uint64_t id,
		      struct span domain, struct found *out)
{
	struct span value;
	struct key k;
	enum mx_err err;

	*out = (struct found){ .id = id,
			       .domain = domain,
			       .state = UNIT_READY };
	key_ready(&k, domain, id);
	err = table_get(&sp->tables[T_READY], txn, &k, &value);
	if (err != MX_ENOENT)
		return err;
	err = table_get(&sp->tables[T_PARKED], txn, &k, &value);
	if (err != MX_OK)
		return err;
	return found_stands(value, out) ? MX_OK : MX_ECORRUPT;
}

/* Both tables have the keys of ready. */
static enum mx_err first_in(struct spool *sp, MDB_txn *txn, enum table_id t,
			    const struct key *from, struct span domain,
			    uint64_t *id)
{
	struct scan p;
	struct span name;
	enum mx_err err = scan_open(&p, &sp->tables[t], txn);

	*id = UINT64_MAX;
	if (err == MX_OK)
		err = scan_seek(&p, from);
	if (err == MX_OK && !key_ready_parse(p.key, &name, id))
		err = MX_ECORRUPT;
	else if (err == MX_OK && !span_eq(name, domain))
		*id = UINT64_MAX;
	scan_close(&p);
	return err == MX_ENOENT ? MX_OK : err;
}

enum mx_err find_first(struct spool *sp, MDB_txn *txn, unsigned where,
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

enum mx_err find_recipient(struct spool *sp, MDB_txn *txn, uint64_t id,
			   struct span domain, uint32_t number,
			   struct recipient_row *row)
{
	struct key from, unit;
	struct scan p;
	struct span name;
	uint64_t at;
	enum mx_err err = scan_open(&p, &sp->tables[T_RECIPIENT], txn);

	if (err != MX_OK)
		return err;
	key_unit(&unit, id, domain);
	key_recipient(&from, id, domain, number);
	err = scan_seek(&p, &from);
	if (err == MX_OK && !key_starts(p.key, &unit))
		err = MX_ENOENT;
	if (err == MX_OK && !recipient_get(p.value, row))
		err = MX_ECORRUPT;
	if (err == MX_OK &&
	    !key_recipient_parse(p.key, &at, &name, &row->r.number))
		err = MX_ECORRUPT;
	if (err == MX_OK)
		row->r.domain = domain;
	scan_close(&p);
	return err;
}
