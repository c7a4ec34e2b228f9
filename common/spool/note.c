#include "common/spool/note.h"

#include "common/spool/bytes.h"

/*
 *   mirror-absent   id:8      ->  version:1 stamp:8
 *   mirror-stale    id:8      ->  version:1 stamp:8 kind:1 at:8
 *   mirror-holds    domain    ->  version:1 stamp:8
 */
enum {
	ROW_VERSION = 1,
	STAMP_SIZE = 1 + 8,
	STALE_SIZE = STAMP_SIZE + 1 + 8,
};

static bool stamp_get(struct bytes_in *in, uint64_t *stamp)
{
	in->bad = in->bad || bytes_get(in, 1) != ROW_VERSION;
	*stamp = bytes_get(in, 8);
	return !in->bad;
}

static char *stamp_put(char *p, struct batch *b)
{
	p = bytes_put(p, ROW_VERSION, 1);
	return bytes_put(p, mdb_txn_id(b->txn), 8);
}

static bool absent_get(struct span value, struct note *out)
{
	struct bytes_in in = { value, false };

	*out = (struct note){ .kind = NOTE_ABSENT };
	return stamp_get(&in, &out->stamp) && bytes_end(&in);
}

static bool stale_get(struct span value, struct note *out)
{
	struct bytes_in in = { value, false };

	*out = (struct note){ 0 };
	stamp_get(&in, &out->stamp);
	out->kind = (enum note_kind)bytes_get(&in, 1);
	out->at = bytes_get(&in, 8);
	return bytes_end(&in) && out->kind >= NOTE_PART &&
	       out->kind <= NOTE_DRAFT_GONE;
}

enum mx_err note_get(struct spool *sp, MDB_txn *txn, uint64_t id,
		     struct note *out)
{
	struct span value;
	struct key k;
	enum mx_err err;

	*out = (struct note){ 0 };
	key_message(&k, id);
	err = table_get(&sp->tables[T_ABSENT], txn, &k, &value);
	if (err == MX_OK)
		return absent_get(value, out) ? MX_OK : MX_ECORRUPT;
	if (err == MX_ENOENT)
		err = table_get(&sp->tables[T_STALE], txn, &k, &value);
	if (err == MX_OK)
		return stale_get(value, out) ? MX_OK : MX_ECORRUPT;
	return err == MX_ENOENT ? MX_OK : err;
}

static enum mx_err del(struct batch *b, enum table_id t, const struct key *k)
{
	enum mx_err err = table_del(batch_table(b, t), b->txn, k);

	return err == MX_ENOENT ? MX_OK : err;
}

enum mx_err note_put(struct batch *b, uint64_t id, struct note note)
{
	char value[STALE_SIZE];
	enum mx_err err = MX_OK;
	struct key k;
	char *p = stamp_put(value, b);

	key_message(&k, id);
	if (note.kind != NOTE_ABSENT)
		err = del(b, T_ABSENT, &k);
	if (err == MX_OK && note.kind < NOTE_PART)
		err = del(b, T_STALE, &k);
	if (err != MX_OK || note.kind == NOTE_NONE)
		return err;
	if (note.kind == NOTE_ABSENT)
		return table_put(batch_table(b, T_ABSENT), b->txn, &k,
				 span_of(value, STAMP_SIZE));
	p = bytes_put(p, note.kind, 1);
	bytes_put(p, note.at, 8);
	return table_put(batch_table(b, T_STALE), b->txn, &k,
			 span_of(value, STALE_SIZE));
}

static enum mx_err next_in(struct spool *sp, MDB_txn *txn, enum table_id t,
			   uint64_t from, uint64_t *id, struct note *out)
{
	struct scan p;
	struct key k;
	enum mx_err err = scan_open(&p, &sp->tables[t], txn);

	key_message(&k, from);
	if (err == MX_OK)
		err = scan_seek(&p, &k);
	if (err == MX_OK && !(key_message_parse(p.key, id) &&
			      (t == T_ABSENT ? absent_get(p.value, out)
					     : stale_get(p.value, out))))
		err = MX_ECORRUPT;
	scan_close(&p);
	return err;
}

enum mx_err note_next_absent(struct spool *sp, MDB_txn *txn, uint64_t from,
			     uint64_t *id)
{
	struct note note;

	return next_in(sp, txn, T_ABSENT, from, id, &note);
}

enum mx_err note_last_absent(struct spool *sp, MDB_txn *txn, uint64_t from,
			     uint64_t *id)
{
	struct scan p;
	struct key k;
	enum mx_err err = scan_open(&p, &sp->tables[T_ABSENT], txn);

	if (from < UINT64_MAX)
		key_message(&k, from + 1);
	if (err == MX_OK)
		err = scan_seek_before(&p, from < UINT64_MAX ? &k : NULL);
	if (err == MX_OK && !key_message_parse(p.key, id))
		err = MX_ECORRUPT;
	scan_close(&p);
	return err;
}

enum mx_err note_next_stale(struct spool *sp, MDB_txn *txn, uint64_t from,
			    uint64_t *id, struct note *out)
{
	return next_in(sp, txn, T_STALE, from, id, out);
}

/* ---- holds ---- */

enum mx_err note_hold_get(struct spool *sp, MDB_txn *txn, struct span domain,
			  uint64_t *stamp)
{
	struct span value;
	struct key k;
	enum mx_err err;

	*stamp = 0;
	key_domain(&k, domain);
	err = table_get(&sp->tables[T_STALE_HOLD], txn, &k, &value);
	if (err == MX_OK) {
		struct bytes_in in = { value, false };

		if (!stamp_get(&in, stamp) || !bytes_end(&in))
			err = MX_ECORRUPT;
	}
	return err == MX_ENOENT ? MX_OK : err;
}

enum mx_err note_hold_put(struct batch *b, struct span domain)
{
	char value[STAMP_SIZE];
	struct key k;

	key_domain(&k, domain);
	stamp_put(value, b);
	return table_put(batch_table(b, T_STALE_HOLD), b->txn, &k,
			 span_of(value, sizeof(value)));
}

enum mx_err note_hold_del(struct batch *b, struct span domain)
{
	struct key k;

	key_domain(&k, domain);
	return del(b, T_STALE_HOLD, &k);
}

enum mx_err note_count(struct spool *sp, MDB_txn *txn, uint64_t *rows)
{
	static const enum table_id all[] = { T_ABSENT, T_STALE, T_STALE_HOLD };
	enum mx_err err = MX_OK;

	*rows = 0;
	for (size_t i = 0; i < COUNT(all) && err == MX_OK; i++) {
		uint64_t n;

		err = table_rows(&sp->tables[all[i]], txn, &n);
		*rows += n;
	}
	return err;
}

/* ---- the row of meta ---- */

char *mirror_row_put(char *p, const struct mirror_row *row)
{
	p = bytes_put(p, ROW_VERSION, 1);
	memcpy(p, row->uuid, sizeof(row->uuid));
	p = bytes_put(p + sizeof(row->uuid), row->seq, 8);
	p = bytes_put(p, row->low, 8);
	return bytes_put(p, row->walked, 8);
}

bool mirror_row_get(struct span value, struct mirror_row *row)
{
	struct bytes_in in = { value, false };
	struct span uuid;

	in.bad = bytes_get(&in, 1) != ROW_VERSION;
	uuid = bytes_get_n(&in, sizeof(row->uuid));
	row->seq = bytes_get(&in, 8);
	row->low = bytes_get(&in, 8);
	row->walked = bytes_get(&in, 8);
	if (!bytes_end(&in))
		return false;
	memcpy(row->uuid, uuid.p, sizeof(row->uuid));
	return true;
}
