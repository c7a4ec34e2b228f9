#include <criterion/criterion.h>

#include "daemon/check/finding.h"

static struct arena arena;

static struct findings empty(void)
{
	return (struct findings){ .arena = &arena };
}

/* The names are a contract, in this order. */
Test(finding, names_are_those_of_the_manual)
{
	static const char *const names[] = {
		"mx-listed",	   "mx-order",	      "mx-target",
		"mx-null",	   "mx-ttl",	      "own-address",
		"own-ptr",	   "own-tls",	      "own-tlsa",
		"sts-policy",	   "primary-answers", "primary-tls",
		"primary-recipient", "primary-trust", "spf",
		"dnsbl",	   "recipients",      "spool-room",
		"mirror-lag",	   "mirror-synchronous", "mirror-version",
		"mirror-nodes",
	};

	cr_assert_eq(sizeof(names) / sizeof(names[0]), (size_t)CHECKS);
	for (enum check_id id = 0; id < CHECKS; id++)
		cr_expect_str_eq(check_name(id), names[id]);
	cr_expect_str_eq(severity_name(SEVERITY_OK), "ok");
	cr_expect_str_eq(severity_name(SEVERITY_ERROR), "error");
}

Test(finding, ok_is_only_said_where_nothing_was_found)
{
	struct findings f = empty();

	findings_add(&f, CHECK_SPF, SEVERITY_WARNING, "bad %d", 1);
	findings_ok(&f, CHECK_SPF, "good");
	findings_ok(&f, CHECK_DNSBL, "good");
	cr_assert_eq(f.count, 2u);
	cr_expect_eq(f.list[0].severity, SEVERITY_WARNING);
	cr_expect_str_eq(f.list[0].what.p, "bad 1");
	cr_expect_eq(f.list[1].severity, SEVERITY_OK);
	arena_reset(&arena);
}

Test(finding, remedies_are_lines)
{
	struct findings f = empty();

	findings_add(&f, CHECK_SPF, SEVERITY_WARNING, "bad");
	cr_expect_eq(f.list[0].remedy.n, 0u);
	findings_remedy(&f, "one %s", "x");
	findings_remedy(&f, "two");
	cr_expect_str_eq(f.list[0].remedy.p, "one x\ntwo");
	arena_reset(&arena);
}

Test(finding, sorted_by_the_table_the_worst_first)
{
	struct findings f = empty();

	for (int i = 0; i < 40; i++)
		findings_add(&f, CHECK_SPOOL_ROOM, SEVERITY_INFO, "%d", i);
	findings_add(&f, CHECK_SPOOL_ROOM, SEVERITY_ERROR, "worst");
	findings_add(&f, CHECK_MX_LISTED, SEVERITY_OK, "first");
	findings_sort(&f);
	cr_assert_eq(f.count, 42u);
	cr_expect_str_eq(f.list[0].what.p, "first");
	cr_expect_str_eq(f.list[1].what.p, "worst");
	cr_expect_eq(findings_worst(&f, CHECK_SPOOL_ROOM), SEVERITY_ERROR);
	cr_expect_eq(findings_worst(&f, CHECK_MX_LISTED), SEVERITY_OK);
	arena_reset(&arena);
}
