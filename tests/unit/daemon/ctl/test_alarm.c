/* What needs a person, and what does not. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/control/control.h"
#include "daemon/ctl/alarm.h"

static const int64_t now_ms = SECONDS(1700000000);
static struct alarms a;
static json_t *list;

static void setup(void)
{
	const struct config c = { .bounce.mode = BOUNCE_DSN };

	alarms_init(&a, now_ms, &c);
}

static void teardown(void)
{
	json_decref(list);
	alarms_fini(&a);
}

TestSuite(ctl_alarm, .init = setup, .fini = teardown);

static void overview(const char *state, int64_t certificate_end_ms)
{
	json_t *o =
		json_pack("{s:{s:s, s:I, s:I, s:I}, s:o}", "spool", "state",
			  state, "used", (json_int_t)1 << 30, "size",
			  (json_int_t)1 << 31, "disk_free", (json_int_t)1 << 20,
			  "certificate_end", control_time(certificate_end_ms));

	alarms_overview(&a, o);
	json_decref(o);
}

struct row {
	const char *domain, *destination, *hold;
	int messages, held;
	bool is_down;
	int64_t since_ms;
};
static bool are_braked; /* the rows that are added */

static void add_listed(struct row r, bool is_listed)
{
	json_t *o = json_pack("{s:s, s:s?, s:s?, s:i, s:i, s:b, s:o, s:s}",
			      "domain", r.domain, "destination", r.destination,
			      "hold", r.hold, "messages", r.messages,
			      "held_messages", r.held, "down", (int)r.is_down,
			      "since", control_time(r.since_ms), "last_reply",
			      "(connect) Connection refused");

	json_object_set_new(o, "listed", json_boolean(is_listed));
	json_object_set_new(o, "braked", json_boolean(are_braked));
	alarms_row(&a, o);
	json_decref(o);
}

static void add(struct row r)
{
	add_listed(r, true);
}

static size_t take(void)
{
	list = alarms_take(&a);
	return json_array_size(list);
}

static bool is(size_t i, const char *kind, const char *text)
{
	const json_t *o = json_array_get(list, i);
	struct span got = control_get_text(o, "text");

	if (!span_eq(got, span_str(text)))
		cr_log_error("got: %.*s", SPAN_ARG(got));
	return span_eq(control_get_text(o, "alarm"), span_str(kind)) &&
	       span_eq(got, span_str(text));
}

Test(ctl_alarm, nothing_is_the_matter)
{
	overview("ok", now_ms + DAYS(15));
	add((struct row){ "idle.example", "mx:25", NULL, 0, 0, true, 0 });
	add((struct row){ "goes.example", "mx:25", NULL, 9, 0, false, 0 });
	add((struct row){ "some.example", "mx:25", NULL, 9, 3, false, 0 });
	/* the operator's own holds */
	add((struct row){ "held.example", "mx:25", "domain", 9, 9, true, 0 });
	add((struct row){ "far.example", "mx:25", "destination", 9, 0, true,
			  0 });
	add((struct row){ "all.example", "mx:25", NULL, 3, 3, true, 0 });
	cr_expect_eq(take(), 0);
}

Test(ctl_alarm, the_room_of_the_spool)
{
	overview("full", 0);
	cr_assert_eq(take(), 1);
	cr_expect(is(0, "spool",
		     "spool full: new mail is refused with 452; 1.0G of 2.0G"
		     " used, 1.0M free on the disk"));
}

Test(ctl_alarm, the_certificate)
{
	static const struct {
		int64_t left_ms;
		const char *text;
	} cases[] = {
		{ DAYS(14) + SECONDS(1), NULL },
		{ DAYS(3), "certificate expires in 3d0h: renew it, then"
			   " mx20ctl reload" },
		{ -HOURS(2), "certificate expired 2h00m ago: renew it, then"
			     " mx20ctl reload" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		overview("ok", now_ms + cases[i].left_ms);
		cr_expect_eq(take(), cases[i].text != NULL);
		if (cases[i].text != NULL)
			cr_expect(is(0, "certificate", cases[i].text));
		json_decref(list);
		list = NULL;
		alarms_fini(&a);
		setup();
	}
}

Test(ctl_alarm, one_host_that_is_down_is_one_alarm)
{
	add((struct row){ "a.example", "mx:25 tls=may", NULL, 300, 0, true,
			  now_ms - MINUTES(2) });
	add((struct row){ "b.example", "mx:25 tls=may", NULL, 40, 2, true,
			  now_ms - HOURS(3) });
	add((struct row){ "c.example", "mx2:25", NULL, 1, 0, true, 0 });
	cr_assert_eq(take(), 2);
	cr_expect(is(0, "down",
		     "mx:25 tls=may is down for 3h00m, 338 messages of 2"
		     " domains waiting: (connect) Connection refused"));
	cr_expect_eq(control_get_int(json_array_get(list, 0), "messages", 0),
		     338);
	cr_expect(is(1, "down",
		     "mx2:25 is down, 1 message of c.example waiting:"
		     " (connect) Connection refused"));
}

Test(ctl_alarm, a_brake_is_pulled)
{
	are_braked = true;
	add((struct row){ "a.example", "mx:25", NULL, 300, 0, true,
			  now_ms - MINUTES(2) });
	add((struct row){ "none.example", "mx3:25", NULL, 0, 0, true, 0 });
	cr_assert_eq(take(), 1);
	cr_expect(is(0, "brake",
		     "mx:25 refused too much, nothing goes there for 2m,"
		     " 300 messages of a.example waiting: (connect) Connection"
		     " refused: mend it, then mx20ctl release --domain"
		     " a.example"));
}

Test(ctl_alarm, domains_without_a_way_are_each_their_own)
{
	add((struct row){ "a.example", NULL, NULL, 1, 0, true, 0 });
	add((struct row){ "b.example", NULL, NULL, 1, 0, true, 0 });
	cr_assert_eq(take(), 2);
	cr_expect(is(1, "down",
		     "route of b.example is down, 1 message of b.example"
		     " waiting: (connect) Connection refused"));
}

Test(ctl_alarm, what_we_hold_by_ourselves)
{
	add((struct row){ "a.example", NULL, "unlisted", 7, 7, false, 0 });
	add((struct row){ "b.example", NULL, "unlisted", 5, 5, false, 0 });
	a.keeps_refused = true;
	add((struct row){ "c.example", NULL, NULL, 5, 2, false, 0 });
	cr_assert_eq(take(), 2);
	cr_expect(is(0, "held",
		     "12 messages of 2 domains held, no longer in the"
		     " allowlist: mx20ctl status a.example"));
	cr_expect(is(1, "held",
		     "2 messages of c.example held, refused by the primary, or"
		     " by hand: mx20ctl status c.example"));
}

/* Senders that cannot be reported to, often since there are no such hosts. */
Test(ctl_alarm, reports_to_strangers_are_nobodys_alarm)
{
	const struct row stranger = { "dead.example", "mx:25", NULL, 3, 0,
				      true,	      0 };

	add_listed(stranger, false);
	cr_expect_eq(take(), 0);
	json_decref(list);
	a.list = json_array();
	a.has_relay = true;
	add_listed(stranger, false);
	cr_expect_eq(take(), 1);
}

/* ---- The second copy ---- */

static void mirror(const char *state, int64_t since_ms, const char *error)
{
	json_t *o = json_pack("{s:{s:s, s:o, s:s?, s:{s:i, s:o}}}", "mirror",
			      "state", state, "since", control_time(since_ms),
			      "error", error, "lag", "messages", 2, "oldest",
			      control_time(now_ms - MINUTES(7)));

	alarms_overview(&a, o);
	json_decref(o);
}

Test(ctl_alarm, a_database_that_cannot_be_used)
{
	mirror("away", now_ms - SECONDS(1), "connection refused");
	cr_assert_eq(take(), 1);
	cr_expect(is(0, "mirror",
		     "mirror: SECOND COPY MISSING or old: 2 messages, the "
		     "oldest 7m; away: the database cannot be used: connection "
		     "refused; new mail is accepted with one copy"));
}

Test(ctl_alarm, catching_up_is_one_when_it_takes_long)
{
	mirror("behind", now_ms - MINUTES(4), NULL);
	mirror("in-step", now_ms - DAYS(4), NULL);
	mirror("left", now_ms - DAYS(4), NULL); /* by order */
	cr_assert_eq(json_array_size(a.list), 0);
	mirror("behind", now_ms - MINUTES(6), NULL);
	cr_expect_eq(take(), 1);
}

Test(ctl_alarm, a_node_that_is_lost)
{
	json_t *o = json_pack("{s:{s:s, s:[{s:s, s:i, s:i}], s:[s]}}", "mirror",
			      "state", "in-step", "lost", "node", "mx2a",
			      "messages", 3, "over_s", 44, "doubled", "mx2b");

	alarms_overview(&a, o);
	json_decref(o);
	cr_assert_eq(take(), 2);
	cr_expect(is(0, "mirror",
		     "mirror: node mx2a has not been heard of for 44s beyond "
		     "its lease, 3 messages of it still there: start it; if it "
		     "is gone for good: mx20ctl mirror take mx2a"));
	cr_expect(is(1, "mirror",
		     "mirror: two nodes are called mx2b: give each its own "
		     "mirror.node"));
}
