#include "common/spool/pack.h"

#include "common/spool/bytes.h"
#include "common/spool/domain.h"
#include "common/spool/find.h"

/*
 * A message's row is that of the table.  A unit's state is its row in parked
 * (codec.h), empty while it is ready, and its row has each of its recipients:
 *
 *   number:4 row:str
 */

void pack_gone(struct packing *k, enum parcel_kind kind, uint64_t id,
	       struct span domain)
{
	const struct parcel_item item = { .kind = kind,
					  .id = id,
					  .domain = domain };

	parcel_add(k->out, &item);
}

enum mx_err pack_exists(struct packing *k, uint64_t id, bool *yes)
{
	struct span value;
	struct key key;
	enum mx_err err;

	key_message(&key, id);
	err = table_get(&k->sp->tables[T_MESSAGE], k->txn, &key, &value);
	*yes = err == MX_OK;
	return err == MX_ENOENT ? MX_OK : err;
}

/* MX_ENOENT: it has none. */
static enum mx_err add_recipients(struct packing *k, uint64_t id,
				  struct span domain)
{
	struct scan p;
	struct key unit;
	enum mx_err err = scan_open(&p, &k->sp->tables[T_RECIPIENT], k->txn);

	if (err != MX_OK)
		return err;
	buf_reset(&k->row);
	key_unit(&unit, id, domain);
	for (err = scan_seek(&p, &unit);
	     err == MX_OK && key_starts(p.key, &unit); err = scan_next(&p)) {
		/* the number is the end of the key */
		buf_add(&k->row, span_of(p.key.p + p.key.n - 4, 4));
		bytes_put(buf_reserve(&k->row, 2), p.value.n, 2);
		k->row.n += 2;
		buf_add(&k->row, p.value);
	}
	scan_close(&p);
	if (err != MX_OK && err != MX_ENOENT)
		return err;
	return k->row.n > 0 ? MX_OK : MX_ENOENT;
}

/* MX_ENOENT: there is no such unit. */
static enum mx_err add_unit(struct packing *k, uint64_t id, struct span domain)
{
	struct parcel_item item = { .kind = PARCEL_UNIT,
				    .id = id,
				    .domain = domain };
	struct key key;
	enum mx_err err = add_recipients(k, id, domain);

	if (err != MX_OK)
		return err;
	key_ready(&key, domain, id);
	err = table_get(&k->sp->tables[T_PARKED], k->txn, &key, &item.state);
	if (err == MX_ENOENT)
		item.state = SPAN_LIT("");
	else if (err != MX_OK)
		return err;
	item.row = buf_span(&k->row);
	parcel_add(k->out, &item);
	return MX_OK;
}

enum mx_err pack_unit(struct packing *k, uint64_t id, struct span domain)
{
	enum mx_err err = add_unit(k, id, domain);

	if (err != MX_ENOENT)
		return err;
	pack_gone(k, PARCEL_UNIT_GONE, id, domain);
	return MX_OK;
}

enum mx_err pack_message(struct packing *k, uint64_t id)
{
	struct parcel_item item = { .kind = PARCEL_MESSAGE, .id = id };
	char name[KEY_DOMAIN_MAX];
	size_t n = FIND_FIRST;
	struct key key;
	enum mx_err err;

	key_message(&key, id);
	err = table_get(&k->sp->tables[T_MESSAGE], k->txn, &key, &item.row);
	if (err != MX_OK)
		return err;
	parcel_add(k->out, &item);
	while ((err = find_next_domain(k->sp, k->txn, id, name, &n)) == MX_OK) {
		err = add_unit(k, id, span_of(name, n));
		if (err != MX_OK)
			return err == MX_ENOENT ? MX_ECORRUPT : err;
	}
	return err == MX_ENOENT ? MX_OK : err;
}

static void add_content(struct packing *k, uint64_t id, uint64_t offset,
			struct span row)
{
	const struct parcel_item item = { .kind = PARCEL_CONTENT,
					  .id = id,
					  .offset = offset,
					  .row = row };

	parcel_add(k->out, &item);
}

enum mx_err pack_content(struct packing *k, uint64_t id, uint64_t offset)
{
	struct span row;
	struct key key;
	enum mx_err err;

	key_content(&key, id, offset);
	err = table_get(&k->sp->tables[T_CONTENT], k->txn, &key, &row);
	if (err == MX_OK)
		add_content(k, id, offset, row);
	return err == MX_ENOENT ? MX_OK : err;
}

enum mx_err pack_contents(struct packing *k, uint64_t id, uint64_t *offset,
			  size_t max, bool *is_all)
{
	struct scan p;
	struct key from, message;
	enum mx_err err = scan_open(&p, &k->sp->tables[T_CONTENT], k->txn);

	*is_all = false;
	if (err != MX_OK)
		return err;
	key_message(&message, id); /* what all of its rows begin with */
	key_content(&from, id, *offset);
	err = scan_seek(&p, &from);
	for (size_t n = 0; err == MX_OK && key_starts(p.key, &message); n++) {
		uint64_t of, at;

		if (n > 0 && parcel_bytes(k->out) >= max)
			break;
		if (!key_content_parse(p.key, &of, &at)) {
			err = MX_ECORRUPT;
			break;
		}
		add_content(k, id, at, p.value);
		*offset = at + p.value.n;
		err = scan_next(&p);
	}
	*is_all = err == MX_ENOENT ||
		  (err == MX_OK && !key_starts(p.key, &message));
	scan_close(&p);
	return err == MX_ENOENT ? MX_OK : err;
}

enum mx_err pack_hold(struct packing *k, struct span domain)
{
	struct parcel_item item = { .kind = PARCEL_HOLD, .domain = domain };
	struct domain_row row = { 0 };
	enum mx_err err = find_domain(k->sp, k->txn, domain, &row);

	if (err != MX_OK && err != MX_ENOENT)
		return err;
	if (err == MX_OK && row.d.is_held && !spool_is_held_unlisted(&row.d)) {
		item.row = span_str(row.d.hold_reason);
		parcel_add(k->out, &item);
	} else {
		pack_gone(k, PARCEL_HOLD_GONE, 0, domain);
	}
	return MX_OK;
}
