#include "common/spool/look.h"

#include "common/spool/env.h"
#include "common/spool/spool_priv.h"

/*
 * After a write of the meta page failed LMDB refuses even to read.  Nothing
 * will be written any more, so a second look at the file, without locks, is
 * safe, and what waits can still be listed.
 */
static int reopen_to_read(struct spool *sp)
{
	MDB_txn *txn = NULL;
	struct buf dir = { 0 };
	int rc;

	buf_add(&dir, span_of(sp->path.p, sp->path.n - strlen("/data.mdb")));
	/* beside sp->env, which the writer goes on looking at */
	rc = env_open(&sp->read_env, buf_cstr(&dir),
		      MDB_RDONLY | MDB_NOTLS | MDB_NOLOCK, 0);
	buf_fini(&dir);
	if (rc == MDB_SUCCESS)
		rc = mdb_txn_begin(sp->read_env, NULL, MDB_RDONLY, &txn);
	if (rc == MDB_SUCCESS && tables_open(sp->tables, txn, false) != MX_OK)
		rc = MDB_CORRUPTED;
	if (txn != NULL)
		mdb_txn_commit(txn); /* keeps the tables open */
	return rc;
}

int read_txn_new(MDB_env *env, MDB_txn **txn)
{
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, txn);

	if (rc == MDB_READERS_FULL) {
		mdb_reader_check(env, NULL);
		rc = mdb_txn_begin(env, NULL, MDB_RDONLY, txn);
	}
	if (rc != MDB_SUCCESS)
		*txn = NULL;
	return rc;
}

static int begin(struct spool *sp)
{
	MDB_env *env = sp->read_env != NULL ? sp->read_env : sp->env;

	if (sp->read_txn != NULL)
		return mdb_txn_renew(sp->read_txn);
	return read_txn_new(env, &sp->read_txn);
}

enum mx_err read_begin(struct spool *sp, MDB_txn **txn)
{
	int rc = MDB_SUCCESS;

	if (sp->reading == 0)
		rc = begin(sp);
	if (rc == MDB_PANIC && sp->read_env == NULL) {
		mdb_txn_abort(sp->read_txn);
		sp->read_txn = NULL;
		rc = reopen_to_read(sp);
		if (rc == MDB_SUCCESS)
			rc = begin(sp);
	}
	*txn = sp->read_txn;
	if (rc == MDB_SUCCESS)
		sp->reading++; /* more than 1: from a callback of a look */
	return from_mdb(rc);
}

void read_end(struct spool *sp)
{
	MX_ASSERT(sp->reading > 0);
	if (--sp->reading == 0)
		mdb_txn_reset(sp->read_txn);
}
