#include <criterion/criterion.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/check/exam.h"

static struct arena arena;
static struct findings f;

static void judge(const struct check_mirror *m)
{
	arena_reset(&arena);
	f = (struct findings){ .arena = &arena };
	mirror_judge(&f, m);
}

Test(check_mirror, nothing_is_said_without_one)
{
	judge(&(struct check_mirror){ 0 });
	cr_assert_eq(f.count, 0u);
}

Test(check_mirror, a_daemon_that_is_not_asked)
{
	judge(&(struct check_mirror){ .is_set = true });
	cr_assert_eq(f.count, 1u);
	cr_expect_eq(f.list[0].severity, SEVERITY_INFO);
}

Test(check_mirror, away_is_an_error_with_what_mends_it)
{
	static const struct {
		const char *error, *remedy;
	} cases[] = {
		{ "connection to server at \"db\" failed: Connection refused",
		  "systemctl start" },
		{ "db: no connection in time", "firewall" },
		{ "FATAL: password authentication failed for user \"mx20\"",
		  "passfile=" },
		{ "fe_sendauth: no password supplied", "passfile=" },
		{ "no pg_hba.conf entry for host \"192.0.2.1\"",
		  "hostssl DATABASE" },
		{ "role \"mx20\" does not exist", "createuser" },
		{ "database \"mx20\" does not exist", "createdb" },
		{ "permission denied for schema public", "CREATE SCHEMA" },
		{ "session is read-only", "promote" },
		{ "something new", "journalctl" },
		{ "", "journalctl" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		judge(&(struct check_mirror){
			.is_set = true,
			.is_known = true,
			.is_away = true,
			.refuses = true,
			.error = span_str(cases[i].error) });
		cr_assert_eq(f.count, 1u);
		cr_expect_eq(f.list[0].severity, SEVERITY_ERROR);
		cr_expect(strstr(f.list[0].what.p, "refused with 451"));
		cr_expect(strstr(f.list[0].remedy.p, cases[i].remedy), "%s: %s",
			  cases[i].error, f.list[0].remedy.p);
	}
}

Test(check_mirror, what_is_missing_for_long)
{
	static const struct {
		bool is_in_step;
		uint64_t messages;
		int64_t ms;
		enum severity severity;
	} cases[] = {
		{ true, 0, 0, SEVERITY_OK },
		{ false, 3, SECONDS(10), SEVERITY_INFO },
		{ false, 3, MINUTES(6), SEVERITY_WARNING },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		judge(&(struct check_mirror){
			.is_set = true,
			.is_known = true,
			.is_synchronous = true,
			.is_in_step = cases[i].is_in_step,
			.server = SPAN_LIT("15.2 at db"),
			.lag_messages = cases[i].messages,
			.lag_ms = cases[i].ms,
		});
		cr_expect_eq(findings_worst(&f, CHECK_MIRROR_LAG),
			     cases[i].severity, "%zu", i);
		cr_expect_eq(findings_worst(&f, CHECK_MIRROR_VERSION),
			     SEVERITY_OK);
		cr_expect_eq(findings_worst(&f, CHECK_MIRROR_SYNCHRONOUS),
			     SEVERITY_OK);
	}
}

Test(check_mirror, nodes)
{
	struct check_mirror m = { .is_set = true,
				  .is_known = true,
				  .is_in_step = true };

	judge(&m);
	cr_expect_eq(findings_worst(&f, CHECK_MIRROR_NODES), SEVERITY_OK);
	m.ills = SPAN_LIT("two nodes are called mx2a");
	judge(&m);
	cr_expect_eq(findings_worst(&f, CHECK_MIRROR_NODES), SEVERITY_WARNING);
}

Test(check_mirror, versions)
{
	struct check_mirror m = { .is_set = true,
				  .is_known = true,
				  .is_in_step = true,
				  .server = SPAN_LIT("14.9 at db") };

	judge(&m);
	cr_expect_eq(findings_worst(&f, CHECK_MIRROR_VERSION), SEVERITY_ERROR);
	cr_expect_eq(findings_worst(&f, CHECK_MIRROR_SYNCHRONOUS),
		     SEVERITY_INFO);
	m.server = SPAN_LIT("17beta1");
	m.others = SPAN_LIT("mx2b 0.0.1");
	judge(&m);
	cr_expect_eq(findings_worst(&f, CHECK_MIRROR_VERSION),
		     SEVERITY_WARNING);
}
