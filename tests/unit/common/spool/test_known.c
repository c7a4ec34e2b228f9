/* What is known of recipients: bounded rows, the oldest of which go first. */
#include "common/spool/env.h"
#include "common/spool/table.h"
#include "tests/unit/common/spool/fixture.h"

static struct fixture f;
static unsigned told;

static void setup(void)
{
	fixture_open(&f);
}

static void teardown(void)
{
	fixture_audit(&f);
	fixture_close(&f);
}

TestSuite(spool_known, .init = setup, .fini = teardown, .timeout = 60);

struct name {
	unsigned char key[SPOOL_KNOWN_KEY_SIZE];
};

static struct name name_of(unsigned n)
{
	struct name k = { { 0 } };

	memcpy(k.key, &n, sizeof(n));
	return k;
}

static void learn(unsigned n, enum spool_known_what what, int64_t at,
		  uint64_t max)
{
	struct spool_known row = { .what = what, .at_ms = at,
				   .destination = 7, .down_ms = 3,
				   .is_asked = true };
	struct name k = name_of(n);

	snprintf(row.reply, sizeof(row.reply), "250 2.1.5 %u", n);
	spool_known_put(f.sp, k.key, &row, max, on_counted, &f);
	told++;
}

/* Written behind, within a second: once for many. */
static void is_written(void)
{
	turn_until(&f, &f.counted, told);
	cr_assert_eq(f.err, MX_OK);
}

static bool has(unsigned n, struct spool_known *row)
{
	struct name k = name_of(n);
	enum mx_err err;

	is_written();
	err = spool_known_get(f.sp, k.key, row);
	cr_assert(err == MX_OK || err == MX_ENOENT);
	return err == MX_OK;
}

static uint64_t rows(void)
{
	uint64_t n;

	is_written();
	cr_assert_eq(spool_known_count(f.sp, &n), MX_OK);
	return n;
}

Test(spool_known, kept_across_a_restart_and_forgotten)
{
	struct name k = name_of(1);
	struct spool_known row;

	learn(1, KNOWN_YES, NOW, 10);
	spool_close(&f.sp);
	fixture_reopen(&f);
	cr_assert(has(1, &row));
	cr_expect_eq(row.what, KNOWN_YES);
	cr_expect_eq(row.at_ms, NOW);
	cr_expect_eq(row.destination, 7);
	cr_expect_eq(row.down_ms, 3);
	cr_expect(row.is_asked);
	cr_expect_str_eq(row.reply, "250 2.1.5 1");
	spool_known_forget(f.sp, k.key, on_counted, &f);
	told++;
	cr_expect(!has(1, &row));
	cr_expect_eq(rows(), 0);
}

Test(spool_known, the_oldest_go_first)
{
	struct spool_known row;

	for (unsigned n = 1; n <= 10; n++)
		learn(n, KNOWN_YES, NOW + n, 10);
	learn(1, KNOWN_YES, NOW + 11, 10); /* again: it is the youngest now */
	learn(11, KNOWN_YES, NOW + 12, 10);
	cr_expect_eq(rows(), 10);
	cr_expect(has(1, &row) && !has(2, &row) && has(3, &row) &&
		  has(11, &row));
	learn(12, KNOWN_YES, NOW + 13, 4); /* there may be fewer now */
	cr_expect_eq(rows(), 4);
	cr_expect(has(1, &row) && has(10, &row) && has(12, &row));
}

/* Strangers make up names: they drive out each other. */
Test(spool_known, who_is_none_has_half)
{
	struct spool_known row;

	for (unsigned n = 1; n <= 5; n++)
		learn(n, KNOWN_YES, NOW + n, 10);
	for (unsigned n = 100; n < 150; n++)
		learn(n, KNOWN_NO, NOW + n, 10);
	for (unsigned n = 1; n <= 5; n++)
		cr_expect(has(n, &row), "%u", n);
	cr_expect_eq(rows(), 10);
	cr_expect(has(149, &row) && has(145, &row) && !has(144, &row));
	/* from none to one: nothing is left of the old row */
	learn(149, KNOWN_YES, NOW + 150, 10);
	learn(149, KNOWN_NO, NOW + 151, 10);
	cr_expect_eq(rows(), 10);
}

/* A spool of an earlier version has no such tables. */
Test(spool_known, in_a_spool_that_lacks_them)
{
	struct buf why = { 0 };
	struct spool *reader;
	struct spool_known row;
	struct name k = name_of(1);
	MDB_env *env;
	MDB_txn *txn;

	spool_close(&f.sp);
	cr_assert_eq(env_open(&env, f.dir, 0, 0), 0);
	cr_assert_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
	for (enum table_id t = T_YOUNG; t < T_COUNT; t++) {
		static struct table tables[T_COUNT];

		cr_assert_eq(tables_open(tables, txn, false), MX_OK);
		cr_assert_eq(mdb_drop(txn, tables[t].dbi, 1), 0);
	}
	cr_assert_eq(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	cr_assert_eq(spool_open_reader(&reader, f.dir, &why), MX_OK, "%s",
		     buf_cstr(&why));
	cr_expect_eq(spool_known_get(reader, k.key, &row), MX_ENOENT);
	spool_close(&reader);
	buf_fini(&why);
	fixture_reopen(&f);
	learn(1, KNOWN_NO, NOW, 10);
	cr_expect(has(1, &row));
}
