/*
 * lmdbrate: how fast this disk lets LMDB commit: the limit beside mx20's rate.
 *
 *   lmdbrate FOLDER      prints one JSON object: commits a second of one
 *                        4 KiB value each, values a second in batches of 32
 */
#include <lmdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VALUE_BYTES = 4096, BATCH = 32 };

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void must(int rc, const char *what)
{
	if (rc == MDB_SUCCESS)
		return;
	fprintf(stderr, "lmdbrate: %s: %s\n", what, mdb_strerror(rc));
	exit(1);
}

/* Append `batch` values in one transaction; keys only ever rise. */
static void commit(MDB_env *env, MDB_dbi dbi, int batch)
{
	static char value[VALUE_BYTES];
	static uint64_t next;
	MDB_txn *txn;

	must(mdb_txn_begin(env, NULL, 0, &txn), "begin");
	for (int i = 0; i < batch; i++) {
		uint64_t key = __builtin_bswap64(next++);
		MDB_val k = { sizeof(key), &key }, v = { sizeof(value), value };

		must(mdb_put(txn, dbi, &k, &v, MDB_APPEND), "put");
	}
	must(mdb_txn_commit(txn), "commit");
}

static double rate(MDB_env *env, MDB_dbi dbi, int batch)
{
	double began = now_s(), seconds;
	long values = 0;

	do {
		commit(env, dbi, batch);
		values += batch;
		seconds = now_s() - began;
	} while (seconds < 1);
	return (double)values / seconds;
}

int main(int argc, char **argv)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	if (argc != 2) {
		fprintf(stderr, "usage: lmdbrate FOLDER\n");
		return 2;
	}
	must(mdb_env_create(&env), "create");
	must(mdb_env_set_mapsize(env, (size_t)4 << 30), "size");
	must(mdb_env_open(env, argv[1], 0, 0600), argv[1]);
	must(mdb_txn_begin(env, NULL, 0, &txn), "begin");
	must(mdb_dbi_open(txn, NULL, 0, &dbi), "open");
	must(mdb_txn_commit(txn), "commit");
	printf("{\"commits\": %.0f,", rate(env, dbi, 1));
	printf(" \"batched\": %.0f}\n", rate(env, dbi, BATCH));
	mdb_env_close(env);
	return 0;
}
