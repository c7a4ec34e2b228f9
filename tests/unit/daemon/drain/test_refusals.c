/* One mailbox or everybody?  With a clock that stands still. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/refusals.h"

#define LATER SPAN_LIT("451 4.3.0 Temporary lookup failure")

struct world {
	struct refusals r;
	int64_t now;
};

static struct world new_world(void)
{
	return (struct world){ .now = 1000000 };
}

static bool refuse_with(struct world *w, enum refused_at at, struct span reply,
			uint64_t who, uint64_t unit, bool is_last)
{
	const struct refusal f = { at, reply, who, unit, is_last };

	return refusals_add(&w->r, &f, w->now);
}

/* A message of its own for this recipient, and others wait. */
static bool refuse(struct world *w, uint64_t who)
{
	return refuse_with(w, REFUSED_AT_RCPT, LATER, who, who, false);
}

static enum excused take(struct world *w, uint64_t who, bool is_new)
{
	int64_t since;

	return refusals_end(&w->r, who, is_new, w->now, &since);
}

/* Three recipients in a row. */
static bool refuse_three(struct world *w, uint64_t from)
{
	bool is_all = false;

	for (uint64_t who = from; who < from + 3; who++)
		is_all |= refuse(w, who);
	return is_all;
}

/* RFC 3463 section 3: what a reply is about. */
Test(refusals, what_a_reply_weighs)
{
	static const struct {
		enum refused_at at;
		const char *reply;
		unsigned first, again;
	} cases[] = {
		{ REFUSED_AT_MAIL, "452 4.3.1 Insufficient storage", 8, 8 },
		{ REFUSED_AT_DATA, "451 4.3.0 later", 8, 8 },
		{ REFUSED_AT_MAIL, "451 4.1.8 sender's domain", 1, 0 },
		{ REFUSED_AT_RCPT, "451 4.3.0 lookup failure", 4, 1 },
		{ REFUSED_AT_RCPT, "451 Temporary local problem", 4, 1 },
		{ REFUSED_AT_RCPT, "451", 4, 1 },
		{ REFUSED_AT_RCPT, "452 4.2.2 Mailbox full", 1, 0 },
		{ REFUSED_AT_RCPT, "450 4.1.1 unverified address", 1, 0 },
		{ REFUSED_AT_RCPT, "450 4.7.1 GREYLISTED, come back", 0, 0 },
		{ REFUSED_AT_CONTENT, "451 4.7.1 Service unavailable", 4, 1 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct refusal_weight w =
			refusal_weight(cases[i].at, span_str(cases[i].reply));

		cr_expect_eq(w.first, cases[i].first, "%s", cases[i].reply);
		cr_expect_eq(w.again, cases[i].again, "%s", cases[i].reply);
	}
}

Test(refusals, three_recipients_without_a_success_are_everybody)
{
	struct world w = new_world();

	cr_assert_not(refuse(&w, 1));
	cr_assert_not(refuse(&w, 2));
	w.now += 500;
	cr_assert(refuse(&w, 3));
	cr_assert_eq(w.r.temper, HOST_REFUSES);
	cr_assert_eq(w.r.since_ms, w.now - 500, "since the first of them");
	cr_assert_not(refuse(&w, 4), "said once");
	cr_assert_eq(take(&w, 5, true), EXCUSED_ALL);
	cr_assert_eq(w.r.temper, HOST_TAKES);
}

Test(refusals, a_mailbox_among_successes_is_a_matter_of_its_own)
{
	struct world w = new_world();

	for (uint64_t who = 1; who < 50; who++) {
		cr_assert_not(refuse(&w, 1));
		cr_assert_not(refuse(&w, 2));
		cr_assert_eq(take(&w, 100 + who, true),
			     who == 1 ? EXCUSED_ALL : EXCUSED_NONE,
			     "two at once may be a blip, but not for ever");
		w.now += SECONDS(5);
	}
	cr_assert_eq(w.r.temper, HOST_TAKES);
}

/* With nobody else to ask two must do; and one, where no mailbox was named. */
Test(refusals, when_nothing_else_waits)
{
	struct world w = new_world();

	cr_assert_not(refuse_with(&w, REFUSED_AT_RCPT, LATER, 1, 1, true));
	for (int i = 0; i < 20; i++)
		cr_assert_not(
			refuse_with(&w, REFUSED_AT_RCPT, LATER, 1, 1, true),
			"one message for one mailbox: its own retry");
	cr_assert(refuse_with(&w, REFUSED_AT_RCPT, LATER, 2, 2, true));
	w = new_world();
	cr_assert_not(refuse_with(&w, REFUSED_AT_MAIL, LATER, 1, 1, false));
	cr_assert(refuse_with(&w, REFUSED_AT_MAIL, LATER, 1, 2, false));
	w = new_world();
	cr_assert(refuse_with(&w, REFUSED_AT_MAIL, LATER, 1, 1, true));
}

/* Full mailboxes say so, and it takes a dozen of them. */
Test(refusals, full_mailboxes)
{
	struct world w = new_world();
	unsigned n = 1;

	while (!refuse_with(&w, REFUSED_AT_RCPT, SPAN_LIT("452 4.2.2 full"), n,
			    n, true))
		n++;
	cr_assert_geq(n, 8);
}

/* Many messages for one mailbox: in the end the host, too. */
Test(refusals, one_mailbox_many_messages)
{
	struct world w = new_world();
	uint64_t unit = 1;

	while (!refuse_with(&w, REFUSED_AT_CONTENT, LATER, 1, unit, false))
		unit++;
	cr_assert_eq(unit, 9);
}

Test(refusals, mail_to_the_same_mailbox_goes_through)
{
	struct world w = new_world();
	int64_t since = 0, began = w.now;

	cr_assert_not(refuse(&w, 1));
	w.now += SECONDS(90);
	cr_assert_eq(take(&w, 2, true), EXCUSED_NONE);
	cr_assert_eq(refusals_end(&w.r, 1, true, w.now, &since), EXCUSED_SAME);
	cr_assert_eq(since, began);
	/* greylisted by sender: not a try more with each that goes through */
	for (int i = 0; i < 5; i++) {
		w.now += SECONDS(10);
		refuse(&w, 1);
		cr_assert_eq(take(&w, 1, true), EXCUSED_NONE);
	}
}

/* What is refused again after it was excused says nothing of the host. */
Test(refusals, the_excused_do_not_bring_it_down_again)
{
	struct world w = new_world();

	cr_assert(refuse_three(&w, 1));
	cr_assert_eq(take(&w, 9, true), EXCUSED_ALL);
	for (int i = 0; i < 10; i++)
		cr_assert_not(refuse_three(&w, 1));
	cr_assert_eq(w.r.temper, HOST_TAKES);
	cr_assert(refuse_three(&w, 11));
}

/* Whatever is new is refused, and what was tried before is taken. */
Test(refusals, greylisting_does_not_pause_twice)
{
	struct world w = new_world();

	cr_assert(refuse_three(&w, 1));
	w.now += MINUTES(5);
	cr_assert_eq(take(&w, 1, false), EXCUSED_ALL);
	cr_assert_not(refuse_three(&w, 11));
	cr_assert_eq(w.r.temper, HOST_GREYLISTS);
	for (uint64_t who = 21; who < 200; who += 3)
		cr_assert_not(refuse_three(&w, who));
	cr_assert_eq(take(&w, 11, false), EXCUSED_NONE,
		     "each by its own retry");
	/* it has learned who we are: nothing need wait any longer */
	cr_assert_eq(take(&w, 300, true), EXCUSED_ALL);
	cr_assert_eq(w.r.temper, HOST_TAKES);
}

Test(refusals, greylisting_is_not_reckoned_with_for_ever)
{
	struct world w = new_world();

	cr_assert(refuse_three(&w, 1));
	cr_assert_eq(take(&w, 1, false), EXCUSED_ALL);
	cr_assert_not(refuse_three(&w, 11));
	take(&w, 11, false);
	w.now += MINUTES(31);
	cr_assert(refuse_three(&w, 21));
}

/* No greylisting knows a recipient at MAIL. */
Test(refusals, mail_refused_again_is_the_same_outage)
{
	struct world w = new_world();
	int64_t began = w.now;

	cr_assert(refuse_with(&w, REFUSED_AT_MAIL, LATER, 1, 1, true));
	w.now += SECONDS(60);
	cr_assert_eq(take(&w, 1, false), EXCUSED_ALL);
	w.now += 1;
	cr_assert(refuse_with(&w, REFUSED_AT_MAIL, LATER, 2, 2, true));
	cr_assert_eq(w.r.since_ms, began + SECONDS(30) + 1,
		     "half of it counts: the pace stays slow");
}

/* Half is greylisted, half is known: three false alarms, then none. */
Test(refusals, false_alarms_do_not_flap)
{
	struct world w = new_world();
	unsigned alarms = 0;

	for (uint64_t n = 0; n < 100; n++) {
		alarms += refuse_three(&w, 10 * n + 1);
		w.now += SECONDS(1);
		take(&w, 10 * n + 5, true);
	}
	cr_assert_eq(alarms, 3);
	w.now += MINUTES(30);
	cr_assert(refuse_three(&w, 5000));
}
