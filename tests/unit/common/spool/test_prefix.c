/* Header lines that are known at the end, and mail that comes held. */
#include "common/spool/content.h"
#include "common/spool/look.h"
#include "common/spool/pieces.h"
#include "tests/unit/common/spool/fixture.h"

static struct fixture f;

static void setup(void)
{
	fixture_open(&f);
	spool_subscribe(f.sp, on_ready, &f);
}

static void teardown(void)
{
	fixture_close(&f);
}

TestSuite(spool_prefix, .init = setup, .fini = teardown, .timeout = 60);

static enum mx_err commit(struct spool_draft *d, const struct spool_rcpt *r,
			  size_t count)
{
	struct envelope env = an_envelope();
	unsigned want = f.committed + 1;

	spool_commit(&d, &env, r, count, on_commit, &f);
	turn_until(&f, &f.committed, want);
	return f.err;
}

/* It stands in front, whatever had gone to the writer by then. */
Test(spool_prefix, is_in_front)
{
	const size_t chunk = f.sp->chunk_bytes;
	const size_t prefixes[] = { 1, 400, 4096, chunk };
	const size_t contents[] = { 0,     1,         4000,      8176,
				    chunk, chunk - 1, chunk - 400, 300000 };
	struct spool_rcpt r = a_rcpt("b@example.com", "example.com");

	for (size_t i = 0; i < COUNT(prefixes); i++)
		for (size_t k = 0; k < COUNT(contents); k++) {
			size_t n = prefixes[i] + contents[k];
			struct unit *u;

			cr_assert_eq(commit(draft_behind(&f, k, prefixes[i], n),
					    &r, 1),
				     MX_OK);
			check_content(&f, f.id, k, n, 1000);
			check_content(&f, f.id, k, n, 1 << 20);
			cr_assert_eq(spool_unit_load(f.sp, f.id,
						     SPAN_LIT("example.com"),
						     &u),
				     MX_OK);
			cr_expect_eq(u->envelope.bytes, n);
			unit_free(&u);
		}
	fixture_audit(&f);
	cr_expect_eq(f.sp->room.reserved_bytes, 0);
	cr_expect_eq(f.sp->draft_bytes, 0);
}

/* An ordinary message is still one row of content. */
Test(spool_prefix, of_a_small_message_costs_no_row)
{
	struct spool_rcpt r = a_rcpt("b@example.com", "example.com");
	struct key k;
	struct span row;
	MDB_txn *txn;

	cr_assert_eq(commit(draft_behind(&f, 1, 400, 5000), &r, 1), MX_OK);
	key_content(&k, f.id, 0);
	cr_assert_eq(read_begin(f.sp, &txn), MX_OK);
	cr_assert_eq(table_get(&f.sp->tables[T_CONTENT], txn, &k, &row), MX_OK);
	cr_expect_eq(row.n, 5000);
	read_end(f.sp);
}

/* Refused, it leaves the draft as it was. */
Test(spool_prefix, larger_than_a_chunk_is_refused)
{
	struct spool_rcpt r = a_rcpt("b@example.com", "example.com");
	struct spool_draft *d = draft_with(&f, 1, 100000);
	struct buf lines = { 0 };

	buf_reserve(&lines, f.sp->chunk_bytes + 1);
	lines.n = f.sp->chunk_bytes + 1;
	cr_assert_eq(spool_draft_prefix(d, buf_span(&lines)), MX_EINVAL);
	buf_fini(&lines);
	cr_assert_eq(commit(d, &r, 1), MX_OK);
	check_content(&f, f.id, 1, 100000, 4096);
}

/* The prefix is what does not fit any more. */
Test(spool_prefix, that_finds_no_room_is_an_error_of_the_draft)
{
	struct spool_rcpt r = a_rcpt("b@example.com", "example.com");
	struct spool_totals t;
	struct spool_draft *d;

	spool_set_limits(f.sp, 4 << 20, 0);
	d = draft_with(&f, 1, 500000);
	while (d->handed_bytes > d->stored_bytes)
		ev_run(f.loop, EVRUN_ONCE);
	spool_set_limits(f.sp, 1 << 16, 0);
	cr_assert_eq(spool_draft_error(d), MX_OK);
	cr_assert_eq(spool_draft_prefix(d, span_of((char[60000]){ 0 }, 60000)),
		     MX_OK);
	cr_expect_eq(spool_draft_error(d), MX_ESPACE);
	cr_assert_eq(commit(d, &r, 1), MX_ESPACE);
	cr_expect_eq(f.sp->room.reserved_bytes, 0);
	cr_assert_eq(spool_totals(f.sp, &t), MX_OK);
	cr_expect_eq(t.messages, 0);
	spool_set_limits(f.sp, 4 << 20, 0);
	cr_assert_eq(commit(draft_behind(&f, 2, 400, 100000), &r, 1), MX_OK);
	fixture_audit(&f);
}

static void expect_held(uint64_t id, const char *domain)
{
	uint64_t ids[2];
	struct unit *u;

	check_domain(&f, domain, 0, 0, 1);
	cr_expect_eq(ready_in(f.sp, span_str(domain), 0, ids, 2), 0);
	cr_assert_eq(spool_unit_load(f.sp, id, span_str(domain), &u), MX_OK);
	cr_expect_eq(u->state, UNIT_HELD);
	cr_expect(u->is_held_alone);
	cr_expect(span_eq(u->hold_reason, SPAN_LIT("milter said so")));
	unit_free(&u);
}

static void expect_both_held(uint64_t id)
{
	struct spool_expiry x[4];

	expect_held(id, "a.example");
	expect_held(id, "b.example");
	cr_expect_eq(expired_by(f.sp, NOW + DAYS(30), NULL, x, 4), 0,
		     "what is held has no end");
	fixture_audit(&f);
}

/* Every unit is held from the first moment on, over a restart, until a release
 * makes it an ordinary one. */
Test(spool_prefix, held_mail_waits_for_its_release)
{
	struct spool_rcpt r[] = { a_rcpt("x@a.example", "a.example"),
				  a_rcpt("y@b.example", "b.example"),
				  a_rcpt("z@a.example", "a.example") };
	struct spool_draft *d = draft_behind(&f, 3, 400, 200000);
	struct spool_expiry x[4];
	struct unit *u;
	uint64_t id;

	spool_draft_hold(d, SPAN_LIT("milter said so"));
	cr_assert_eq(commit(d, r, COUNT(r)), MX_OK);
	id = f.id;
	cr_expect_eq(f.announced, 0);
	expect_both_held(id);
	spool_close(&f.sp);
	fixture_reopen(&f);
	spool_subscribe(f.sp, on_ready, &f);
	expect_both_held(id);
	check_content(&f, id, 3, 200000, 4096);
	spool_release(f.sp, (struct spool_selection){ .id = id },
		      on_counted, &f);
	turn_until(&f, &f.counted, 1);
	cr_expect_eq(f.units, 2);
	cr_expect_eq(f.announced, 2);
	check_domain(&f, "a.example", 1, 0, 0);
	check_domain(&f, "b.example", 1, 0, 0);
	cr_expect_eq(expired_by(f.sp, NOW + DAYS(30), NULL, x, 4), 2);
	cr_assert_eq(spool_unit_load(f.sp, id, SPAN_LIT("a.example"), &u),
		     MX_OK);
	cr_expect_eq(u->rcpt_count, 2);
	cr_expect_eq(u->hold_reason.n, 0);
	unit_free(&u);
	fixture_audit(&f);
	settle_one_rcpt(&f, id, "a.example", OUTCOME_DELIVERED, 0);
	cr_expect_eq(f.err, MX_OK);
}

/* Its draft was held, and it failed: nothing of it is there. */
Test(spool_prefix, held_mail_that_is_discarded_leaves_nothing)
{
	struct spool_draft *d = draft_behind(&f, 3, 400, 200000);
	struct spool_totals t;

	spool_draft_hold(d, SPAN_LIT("milter said so"));
	spool_draft_discard(&d);
	spool_close(&f.sp);
	fixture_reopen(&f);
	cr_assert_eq(spool_totals(f.sp, &t), MX_OK);
	cr_expect_eq(t.messages, 0);
	fixture_audit(&f);
}

/* An earlier version stored the first piece of every content at 0. */
static void store_as_before(uint64_t id, uint64_t base)
{
	struct table *t = &f.sp->tables[T_CONTENT];
	struct scan p;
	MDB_txn *txn;
	struct key k;

	cr_assert_eq(mdb_txn_begin(f.sp->env, NULL, 0, &txn), 0);
	cr_assert_eq(scan_open(&p, t, txn), MX_OK);
	key_message(&k, id);
	for (enum mx_err err = scan_seek(&p, &k); err == MX_OK;
	     err = scan_next(&p)) {
		uint64_t of, offset;
		struct buf row = { 0 };

		cr_assert(key_content_parse(p.key, &of, &offset));
		cr_assert_geq(offset, base);
		buf_add(&row, p.value);
		cr_assert_eq(scan_del(&p), MX_OK);
		key_content(&k, id, offset - base);
		cr_assert_eq(table_put(t, txn, &k, buf_span(&row)), MX_OK);
		buf_fini(&row);
	}
	scan_close(&p);
	cr_assert_eq(mdb_txn_commit(txn), 0);
}

Test(spool_prefix, content_of_an_earlier_version_is_read)
{
	struct spool_rcpt r = a_rcpt("b@example.com", "example.com");
	uint64_t id = put_message(&f, 4, 300000, &r, 1);

	check_content(&f, id, 4, 300000, 65536);
	store_as_before(id, CONTENT_BASE);
	check_content(&f, id, 4, 300000, 1000);
	check_content(&f, id, 4, 300000, 65536);
	fixture_audit(&f);
	settle_one_rcpt(&f, id, "example.com", OUTCOME_DELIVERED, 0);
	cr_expect_eq(f.err, MX_OK);
	fixture_audit(&f);
}

static char schema(void)
{
	struct span row;
	MDB_txn *txn;
	char c;

	cr_assert_eq(read_begin(f.sp, &txn), MX_OK);
	cr_assert_eq(table_get_name(&f.sp->tables[T_META], txn,
				    SPAN_LIT("schema"), &row),
		     MX_OK);
	cr_assert_eq(row.n, 1);
	c = row.p[0];
	read_end(f.sp);
	return c;
}

/* Who reads contents from offset 0 must not open a spool that has others:
 * mail would be returned as damaged. */
Test(spool_prefix, what_earlier_versions_cannot_read_is_not_theirs)
{
	struct spool_rcpt r = a_rcpt("b@example.com", "example.com");

	cr_assert_eq(commit(draft_behind(&f, 1, 400, 4000), &r, 1), MX_OK);
	cr_expect_eq(schema(), '1', "all of it can be read by all");
	cr_assert_eq(commit(draft_behind(&f, 2, 400, 300000), &r, 1), MX_OK);
	cr_expect_eq(schema(), '2');
	cr_assert_eq(commit(draft_behind(&f, 3, 0, 300000), &r, 1), MX_OK);
	spool_close(&f.sp);
	fixture_reopen(&f);
	cr_expect_eq(schema(), '2');
	check_content(&f, f.id, 3, 300000, 1 << 20);
}
