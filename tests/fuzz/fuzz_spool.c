/*
 * A spool whose rows are damaged: a sound environment is changed as the input
 * says, five bytes a change, and then read, worked on and emptied.
 */
#include "common/spool/table.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/world.h"

enum { CHANGES_MAX = 24 };

/* A row taken out of its table, changed, and perhaps put back. */
static void change_row(struct table *t, MDB_txn *txn, struct scan *p,
		       struct span *in)
{
	struct buf key = { 0 }, value = { 0 };
	unsigned action = fuzz_byte(in) % 6;
	size_t at = fuzz_byte(in);
	char c = (char)fuzz_byte(in);

	buf_add(&key, p->key);
	buf_add(&value, p->value);
	if (action != 5) /* else the row stays, and a changed copy comes */
		scan_del(p);
	scan_close(p);
	if (action == 1 && at < value.n)
		value.p[at] = c;
	else if (action == 2 && at < value.n)
		value.n = at;
	else if (action == 3)
		buf_addc(&value, c);
	else if (action >= 4 && at < key.n)
		key.p[at] = c;
	if (action > 0)
		table_put_name(t, txn, buf_span(&key), buf_span(&value));
	buf_fini(&key);
	buf_fini(&value);
}

static void damage(struct span in)
{
	struct table tables[T_COUNT];
	MDB_env *env;
	MDB_txn *txn;

	FUZZ_CHECK(mdb_env_create(&env) == 0);
	mdb_env_set_maxdbs(env, T_COUNT);
	mdb_env_set_mapsize(env, 1 << 28);
	FUZZ_CHECK(mdb_env_open(env, fuzz_directory(), MDB_NOSYNC, 0600) == 0);
	FUZZ_CHECK(mdb_txn_begin(env, NULL, 0, &txn) == 0);
	FUZZ_CHECK(tables_open(tables, txn, false) == MX_OK);
	for (int i = 0; i < CHANGES_MAX && in.n > 0; i++) {
		struct table *t = &tables[fuzz_byte(&in) % T_COUNT];
		unsigned row = fuzz_byte(&in) % 8;
		struct scan p;
		enum mx_err err;

		FUZZ_CHECK(scan_open(&p, t, txn) == MX_OK);
		err = scan_seek(&p, NULL);
		while (err == MX_OK && row-- > 0)
			err = scan_next(&p);
		if (err == MX_OK)
			change_row(t, txn, &p, &in);
		else
			scan_close(&p);
	}
	FUZZ_CHECK(mdb_txn_commit(txn) == 0);
	mdb_env_close(env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	world_restore();
	damage(span_of(data, size));
	world_run_reader(size == 0);
	world_run_daemon();
	return 0;
}
