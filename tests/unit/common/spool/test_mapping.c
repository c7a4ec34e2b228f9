#include "common/spool/spool_priv.h"
#include "common/spool/mapping.h"
#include "tests/unit/common/spool/fixture.h"

enum { CONTENT = 16 << 20 };

static struct fixture f;

/* Bytes of files that are mapped and present in this process. */
static size_t mapped(void)
{
	unsigned long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "r");

	cr_assert_not_null(statm);
	cr_assert_eq(fscanf(statm, "%*u %*u %lu", &pages), 1);
	fclose(statm);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Mail that was read does not stay in the process. */
Test(spool_mapping, is_found_and_emptied)
{
	struct spool_rcpt r = a_rcpt("x@a.example", "a.example");
	struct envelope env = an_envelope();
	struct buf out = { 0 };
	struct spool_draft *d;
	size_t before;

	fixture_open(&f);
	cr_assert_not_null(f.sp->map);
	cr_assert_eq(f.sp->map_length, f.sp->map_bytes);
	before = mapped();
	d = draft_with(&f, 1, CONTENT);
	spool_commit(&d, &env, &r, 1, on_commit, &f);
	turn_until(&f, &f.committed, 1);
	cr_assert_eq(f.err, MX_OK);
	for (uint64_t at = 0; at < CONTENT; at += out.n) {
		buf_reset(&out);
		cr_assert_eq(spool_content(f.sp, f.id, at, 1 << 20, &out),
			     MX_OK);
		cr_assert_gt(out.n, 0);
	}
	mapping_trim(f.sp);
	cr_assert_lt(mapped(), before + CONTENT / 2);
	buf_fini(&out);
	fixture_close(&f);
}
