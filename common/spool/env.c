#include "common/spool/env.h"

#include "common/base/log.h"
#include "common/spool/table.h"

enum { MAX_READERS = 126 };

/*
 * One digit.  Versions that know only lower ones would take what is stored for
 * damaged, and return the mail at the end of its lifetime.
 */
static char schema_of(struct span value)
{
	return (char)(value.n == 1 ? value.p[0] - '0' : 0);
}

/* LMDB found what cannot be; it stops the process when this returns. */
static void on_assert(MDB_env *env, const char *msg)
{
	const char *path = "";

	mdb_env_get_path(env, &path);
	log_error(EV_SPOOL, LOG_STR("path", path), LOG_STR("error", "damaged"),
		  LOG_STR("lmdb", msg));
	log_stop();
}

int env_open(MDB_env **out, const char *dir, unsigned flags, uint64_t map)
{
	MDB_env *env;
	int rc = mdb_env_create(&env);

	*out = NULL;
	if (rc != MDB_SUCCESS)
		return rc;
	mdb_env_set_assert(env, on_assert);
	mdb_env_set_maxdbs(env, T_COUNT);
	mdb_env_set_maxreaders(env, MAX_READERS);
	if (map > 0)
		mdb_env_set_mapsize(env, map);
	rc = mdb_env_open(env, dir, flags, 0600);
	if (rc == MDB_SUCCESS)
		*out = env;
	else
		mdb_env_close(env);
	return rc;
}

bool env_knows_schema(struct span value)
{
	return schema_of(value) >= ENV_PLAIN && schema_of(value) <= ENV_MIRRORED;
}

static enum mx_err put_schema(struct table *meta, MDB_txn *txn,
			      enum env_schema to)
{
	const char digit = (char)('0' + (int)to);

	return table_put_name(meta, txn, SPAN_LIT("schema"),
			      span_of(&digit, 1));
}

enum mx_err env_raise_schema(struct table *meta, MDB_txn *txn,
			     enum env_schema to)
{
	struct span value;
	enum mx_err err =
		table_get_name(meta, txn, SPAN_LIT("schema"), &value);

	if (err != MX_OK)
		return err == MX_ENOENT ? MX_ECORRUPT : err;
	return schema_of(value) >= (char)to ? MX_OK : put_schema(meta, txn, to);
}

/* All tables, empty, and what kind of spool it is. */
static enum mx_err fill_new(MDB_env *env)
{
	struct table tables[T_COUNT];
	MDB_txn *txn = NULL;
	enum mx_err err = from_mdb(mdb_txn_begin(env, NULL, 0, &txn));

	if (err == MX_OK)
		err = tables_open(tables, txn, true);
	if (err == MX_OK)
		err = put_schema(&tables[T_META], txn, ENV_PLAIN);
	if (err == MX_OK)
		return from_mdb(mdb_txn_commit(txn));
	if (txn != NULL)
		mdb_txn_abort(txn);
	return err;
}

enum mx_err env_make(const char *dir)
{
	MDB_env *env;
	int rc = env_open(&env, dir, MDB_NOLOCK, 0);
	enum mx_err err = rc == MDB_SUCCESS ? fill_new(env) : from_mdb(rc);

	if (env != NULL)
		mdb_env_close(env);
	return err;
}
