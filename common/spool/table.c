#include "common/spool/table.h"

#include <errno.h>

#include "common/base/assert.h"

static const char *const names[T_COUNT] = {
	[T_META] = "meta",	   [T_MESSAGE] = "message",
	[T_CONTENT] = "content",   [T_RECIPIENT] = "recipient",
	[T_READY] = "ready",	   [T_PARKED] = "parked",
	[T_DEFERRED] = "deferred", [T_EXPIRY] = "expiry",
	[T_DOMAIN] = "domain",	   [T_TARGET] = "target",
	[T_FACT] = "fact",	   [T_GARBAGE] = "garbage",
	[T_KNOWN] = "known",	   [T_KNOWN_GOOD] = "known-good",
	[T_KNOWN_BAD] = "known-bad", [T_ABSENT] = "mirror-absent",
	[T_STALE] = "mirror-stale", [T_STALE_HOLD] = "mirror-holds",
};

enum mx_err from_mdb(int rc)
{
	switch (rc) {
	case MDB_SUCCESS:
		return MX_OK;
	case MDB_NOTFOUND:
		return MX_ENOENT;
	case MDB_MAP_FULL:
		return MX_ESPACE;
	case MDB_PANIC:
		return MX_EIO;
	case MDB_BAD_VALSIZE:
		return MX_EINVAL;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
	case MDB_INCOMPATIBLE:
	case MDB_BAD_DBI:
	case MDB_CURSOR_FULL:
	case MDB_PAGE_FULL:
		return MX_ECORRUPT;
	default:
		return rc > 0 ? mx_from_errno(rc) : MX_ESYS;
	}
}

static MDB_val val_of(struct span s)
{
	/* LMDB does not write through what it is given to store or find */
	return (MDB_val){ s.n, (void *)(uintptr_t)s.p };
}

static struct span span_of_val(MDB_val v)
{
	return (struct span){ v.mv_data, v.mv_size };
}

static struct span span_of_key(const struct key *k)
{
	return span_of(k->b, k->n);
}

static enum mx_err learn_last(struct table *t, MDB_txn *txn)
{
	struct scan p;
	enum mx_err err = scan_open(&p, t, txn);

	t->last_n = 0;
	if (err != MX_OK)
		return err;
	err = scan_seek_before(&p, NULL);
	if (err == MX_OK && (p.key.n == 0 || p.key.n > sizeof(t->last))) {
		err = MX_ECORRUPT; /* nothing we wrote */
	} else if (err == MX_OK) {
		memcpy(t->last, p.key.p, p.key.n);
		t->last_n = p.key.n;
	}
	scan_close(&p);
	return err == MX_ENOENT ? MX_OK : err;
}

static enum mx_err open_table(struct table *t, MDB_txn *txn, size_t id,
			      bool create)
{
	unsigned flags = create || id >= T_YOUNG ? MDB_CREATE : 0;
	int rc = mdb_dbi_open(txn, names[id], flags, &t->dbi);

	/* what a reader must not make */
	t->is_missing = rc == EACCES && id >= T_YOUNG;
	return t->is_missing ? MX_OK : from_mdb(rc);
}

enum mx_err tables_open(struct table *tables, MDB_txn *txn, bool create)
{
	for (size_t i = 0; i < T_COUNT; i++) {
		enum mx_err err = open_table(&tables[i], txn, i, create);

		if (err == MX_OK && !tables[i].is_missing)
			err = learn_last(&tables[i], txn);
		if (err != MX_OK)
			return err;
	}
	return MX_OK;
}

static bool is_above_last(const struct table *t, struct span key)
{
	return span_cmp(key, span_of(t->last, t->last_n)) > 0;
}

enum mx_err table_put_name(struct table *t, MDB_txn *txn, struct span name,
			   struct span value)
{
	bool append = is_above_last(t, name);
	MDB_val k = val_of(name), v = val_of(value);

	MX_ASSERT(name.n > 0 && name.n <= sizeof(t->last));

	if (append) {
		memcpy(t->last, name.p, name.n);
		t->last_n = name.n;
	}
	return from_mdb(mdb_put(txn, t->dbi, &k, &v, append ? MDB_APPEND : 0));
}

enum mx_err table_put(struct table *t, MDB_txn *txn, const struct key *k,
		      struct span value)
{
	return table_put_name(t, txn, span_of_key(k), value);
}

enum mx_err table_del_name(struct table *t, MDB_txn *txn, struct span name)
{
	MDB_val k = val_of(name);

	return from_mdb(mdb_del(txn, t->dbi, &k, NULL));
}

enum mx_err table_del(struct table *t, MDB_txn *txn, const struct key *k)
{
	return table_del_name(t, txn, span_of_key(k));
}

enum mx_err table_get_name(const struct table *t, MDB_txn *txn,
			   struct span name, struct span *value)
{
	MDB_val k = val_of(name), v = { 0, NULL };
	enum mx_err err = t->is_missing
				  ? MX_ENOENT
				  : from_mdb(mdb_get(txn, t->dbi, &k, &v));

	*value = span_of_val(v);
	return err;
}

enum mx_err table_get(const struct table *t, MDB_txn *txn, const struct key *k,
		      struct span *value)
{
	return table_get_name(t, txn, span_of_key(k), value);
}

enum mx_err table_rows(const struct table *t, MDB_txn *txn, uint64_t *rows)
{
	MDB_stat st = { 0 };
	enum mx_err err = t->is_missing ? MX_OK
					: from_mdb(mdb_stat(txn, t->dbi, &st));

	*rows = st.ms_entries;
	return err;
}

enum mx_err scan_open(struct scan *p, const struct table *t, MDB_txn *txn)
{
	*p = (struct scan){ 0 };
	if (t->is_missing)
		return MX_ENOENT;
	return from_mdb(mdb_cursor_open(txn, t->dbi, &p->cursor));
}

void scan_close(struct scan *p)
{
	if (p->cursor != NULL)
		mdb_cursor_close(p->cursor);
	p->cursor = NULL;
}

static enum mx_err move(struct scan *p, MDB_val *k, MDB_cursor_op op)
{
	MDB_val v = { 0, NULL };
	int rc = mdb_cursor_get(p->cursor, k, &v, op);

	if (rc != MDB_SUCCESS) {
		p->key = p->value = (struct span){ NULL, 0 };
		return from_mdb(rc);
	}
	p->key = span_of_val(*k);
	p->value = span_of_val(v);
	return MX_OK;
}

enum mx_err scan_seek(struct scan *p, const struct key *k)
{
	MDB_val key = { 0, NULL };

	if (k != NULL)
		key = val_of(span_of_key(k));
	return move(p, &key, k != NULL ? MDB_SET_RANGE : MDB_FIRST);
}

enum mx_err scan_seek_name(struct scan *p, struct span name)
{
	MDB_val key = val_of(name);

	return move(p, &key, name.n > 0 ? MDB_SET_RANGE : MDB_FIRST);
}

enum mx_err scan_seek_behind(struct scan *p, struct span key)
{
	enum mx_err err = scan_seek_name(p, key);

	if (err == MX_OK && key.n > 0 && span_eq(p->key, key))
		err = scan_next(p);
	return err;
}

enum mx_err scan_seek_before(struct scan *p, const struct key *k)
{
	MDB_val key = { 0, NULL };
	enum mx_err err;

	if (k == NULL)
		return move(p, &key, MDB_LAST);
	err = scan_seek(p, k);
	if (err == MX_OK)
		return scan_prev(p);
	return err == MX_ENOENT ? move(p, &key, MDB_LAST) : err;
}

enum mx_err scan_next(struct scan *p)
{
	MDB_val key = { 0, NULL };

	return move(p, &key, MDB_NEXT);
}

enum mx_err scan_prev(struct scan *p)
{
	MDB_val key = { 0, NULL };

	return move(p, &key, MDB_PREV);
}

enum mx_err scan_del(struct scan *p)
{
	return from_mdb(mdb_cursor_del(p->cursor, 0));
}

bool key_starts(struct span key, const struct key *k)
{
	return key.n >= k->n && memcmp(key.p, k->b, k->n) == 0;
}
