/* Is a primary broken?  By what it refused. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/brake.h"

static const struct brake_params usual = { .window_ms = SECONDS(60),
					   .share = 200000,
					   .least = 20 };

/* Each outcome is a second mailbox, message and moment. */
struct world {
	struct brake b;
	struct brake_case c;
	struct brake_params p;
	int64_t now_ms;
	uint64_t next;
	uint32_t group;
	int64_t step_ms;
};

static struct world begin(void)
{
	return (struct world){ .p = usual,
			       .now_ms = 1,
			       .next = 1,
			       .group = 1,
			       .step_ms = 10 };
}

static bool is_due(const struct world *w)
{
	return brake_is_due(&w->b, &w->p, w->c, w->now_ms);
}

static void take(struct world *w)
{
	w->now_ms += w->step_ms;
	brake_mailbox(&w->b, w->next, w->group, 0, w->now_ms);
	brake_took(&w->b, w->next++, w->group, w->now_ms);
}

/* Two or more in a row of the same mailbox: `same`. */
static void refuse_as(struct world *w, enum refused_at at, const char *reply,
		      bool is_known, uint64_t same)
{
	struct brake_word word = brake_word(at, span_str(reply), is_known);

	w->now_ms += w->step_ms;
	if (!word.is_message)
		brake_mailbox(&w->b, same != 0 ? same : w->next, w->group,
			      word.weight, w->now_ms);
	brake_refused(&w->b, w->next++, w->group,
		      word.is_message ? word.weight : 0, w->now_ms);
}

static void refuse(struct world *w, const char *reply)
{
	refuse_as(w, REFUSED_AT_RCPT, reply, false, 0);
}

/* How many of a hundred are refused, spread evenly: at which outcome is it
 * due?  0: at none of so many. */
static unsigned due_at(struct world *w, unsigned percent, unsigned count,
		       enum refused_at at, const char *reply, bool is_known)
{
	unsigned owed = 0;

	for (unsigned i = 1; i <= count; i++) {
		owed += percent;
		if (owed >= 100) {
			owed -= 100;
			refuse_as(w, at, reply, is_known, 0);
		} else {
			take(w);
		}
		if (is_due(w))
			return i;
	}
	return 0;
}

Test(brake, what_replies_say)
{
	static const struct {
		enum refused_at at;
		const char *reply;
		bool is_known;
		struct brake_word word;
	} cases[] = {
		{ REFUSED_AT_RCPT, "550 5.1.1 unknown", true, { false, 3 } },
		{ REFUSED_AT_RCPT, "550 5.1.1 unknown", false, { false, 1 } },
		{ REFUSED_AT_RCPT, "550 no such user", true, { false, 3 } },
		{ REFUSED_AT_RCPT, "550 no such user", false, { false, 1 } },
		{ REFUSED_AT_RCPT, "552 5.2.2 full", true, { false, 1 } },
		{ REFUSED_AT_CONTENT, "552 5.2.2 full", true, { false, 1 } },
		{ REFUSED_AT_RCPT, "550 5.7.1 no relay", false, { true, 3 } },
		{ REFUSED_AT_RCPT, "554 5.7.1 listed", false, { true, 3 } },
		{ REFUSED_AT_RCPT, "554 no", false, { true, 3 } },
		{ REFUSED_AT_RCPT, "550 5.3.0 broken", false, { true, 3 } },
		/* of the sender */
		{ REFUSED_AT_MAIL, "553 5.1.8 no", false, { true, 3 } },
		{ REFUSED_AT_MAIL, "550 no", false, { true, 3 } },
		{ REFUSED_AT_DATA, "554 no", false, { true, 3 } },
		{ REFUSED_AT_CONTENT, "550 spam", false, { true, 3 } },
		{ REFUSED_AT_CONTENT, "554 5.6.0 bad", false, { true, 3 } },
		{ REFUSED_AT_RCPT, "550", false, { false, 1 } },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct brake_word w =
			brake_word(cases[i].at, span_str(cases[i].reply),
				   cases[i].is_known);

		cr_expect(w.is_message == cases[i].word.is_message &&
				  w.weight == cases[i].word.weight,
			  "%s", cases[i].reply);
	}
}

Test(brake, an_empty_directory_refuses_everybody)
{
	struct world w = begin();

	for (int i = 0; i < 19; i++)
		refuse(&w, "550 5.1.1 unknown");
	cr_expect_not(is_due(&w));
	refuse(&w, "550 5.1.1 unknown");
	cr_expect(is_due(&w));
}

/* All mail of a domain may be to one mailbox. */
Test(brake, so_does_one_that_knows_not_the_only_mailbox)
{
	struct world w = begin();

	for (int i = 0; i < 20; i++)
		refuse_as(&w, REFUSED_AT_RCPT, "550 5.1.1 unknown", true, 7);
	cr_expect(is_due(&w));
}

Test(brake, a_mailbox_that_is_gone_counts_once_beside_others)
{
	struct world w = begin();

	for (int i = 0; i < 100; i++) {
		refuse_as(&w, REFUSED_AT_RCPT, "550 5.1.1 unknown", true, 7);
		take(&w);
		cr_expect_not(is_due(&w));
	}
}

/* At which outcome, of 200. */
Test(brake, shares)
{
	static const struct {
		unsigned percent;
		enum refused_at at;
		const char *reply;
		bool is_known;
		unsigned due; /* 0: never */
	} cases[] = {
		{ 5, REFUSED_AT_RCPT, "550 5.1.1 unknown", true, 0 },
		{ 5, REFUSED_AT_RCPT, "550 5.1.1 unknown", false, 0 },
		{ 5, REFUSED_AT_CONTENT, "554 5.7.1 spam", true, 0 },
		{ 18, REFUSED_AT_CONTENT, "554 5.7.1 spam", true, 0 },
		{ 25, REFUSED_AT_CONTENT, "554 5.7.1 spam", true, 40 },
		{ 50, REFUSED_AT_MAIL, "554 no", true, 20 },
		{ 30, REFUSED_AT_RCPT, "550 5.1.1 unknown", false, 0 },
		{ 30, REFUSED_AT_RCPT, "550 5.1.1 unknown", true, 34 },
		{ 30, REFUSED_AT_RCPT, "552 5.2.2 full", true, 0 },
		{ 50, REFUSED_AT_RCPT, "550 5.1.1 unknown", false, 20 },
		{ 100, REFUSED_AT_RCPT, "552 5.2.2 full", true, 20 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct world w = begin();

		cr_expect_eq(due_at(&w, cases[i].percent, 200, cases[i].at,
				    cases[i].reply, cases[i].is_known),
			     cases[i].due, "%u%% %s: %u", cases[i].percent,
			     cases[i].reply, cases[i].due);
	}
}

Test(brake, settings_have_their_effect)
{
	struct world w = begin();

	w.p.least = 4;
	cr_expect_eq(due_at(&w, 50, 100, REFUSED_AT_MAIL, "554 no", true), 4);
	w = begin();
	w.p.share = 600000;
	cr_expect_eq(due_at(&w, 50, 100, REFUSED_AT_MAIL, "554 no", true), 0);
	w.p.share = 1000000;
	cr_expect_eq(due_at(&w, 100, 100, REFUSED_AT_MAIL, "554 no", true), 0);
	w = begin();
	w.p.window_ms = 0;
	cr_expect_eq(due_at(&w, 100, 100, REFUSED_AT_MAIL, "554 no", true), 0);
}

/* 20 in two minutes are not 20 in one. */
Test(brake, what_is_older_than_the_window_does_not_count)
{
	struct world w = begin();

	w.step_ms = SECONDS(6);
	for (int i = 0; i < 100; i++) {
		refuse(&w, "554 5.7.1 no");
		cr_expect_not(is_due(&w));
	}
	cr_expect_not(brake_is_idle(&w.b, &w.p, w.now_ms));
	cr_expect(brake_is_idle(&w.b, &w.p, w.now_ms + SECONDS(60)));
}

/* The first would be final before the twentieth was asked. */
Test(brake, after_an_outage_a_slow_primary_needs_fewer)
{
	struct world w = begin();

	w.c.is_canary = true;
	w.step_ms = SECONDS(8);
	for (int i = 0; i < 4; i++)
		refuse(&w, "550 5.1.1 unknown");
	cr_expect_not(is_due(&w));
	refuse(&w, "550 5.1.1 unknown");
	cr_expect(is_due(&w));
	take(&w);
	cr_expect_not(is_due(&w));
}

/* A tarpit: there will not be five in time. */
Test(brake, after_an_outage_a_very_slow_primary_needs_two)
{
	static const struct {
		int64_t each_ms;
		int least;
	} cases[] = { { SECONDS(15), 4 }, { SECONDS(20), 3 }, { SECONDS(30), 2 } };

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct world w = begin();

		w.c.is_canary = true;
		w.c.took_ms = w.step_ms = cases[i].each_ms;
		for (int n = 1; n <= cases[i].least; n++) {
			refuse(&w, "550 5.1.1 unknown");
			cr_expect_eq(is_due(&w), n == cases[i].least,
				     "%zu: %d", i, n);
		}
	}
}

/* Little mail comes, and each is refused at once. */
Test(brake, after_an_outage_rare_refusals_are_no_tarpit)
{
	struct world w = begin();

	w.c.is_canary = true;
	w.c.took_ms = 100;
	w.step_ms = SECONDS(40);
	for (int i = 0; i < 4; i++) {
		refuse(&w, "550 5.1.1 unknown");
		cr_expect_not(is_due(&w), "%d", i);
	}
}

Test(brake, one_domain_of_many)
{
	struct world w = begin();

	w.c.is_shared = true;
	for (int i = 0; i < 60; i++) {
		w.group = 1;
		refuse(&w, "554 5.7.1 no");
		w.group = 2 + (uint32_t)i % 5;
		take(&w);
		cr_expect_not(is_due(&w), "%d", i);
	}
	/* alone it would be */
	w.c.is_shared = false;
	cr_expect(is_due(&w));
	brake_forget(&w.b, 1);
	cr_expect_not(is_due(&w));
}

Test(brake, one_domain_of_many_and_nobody_else_has_mail)
{
	struct world w = begin();

	w.c.is_shared = true;
	for (int i = 0; i < 30; i++)
		refuse(&w, "550 5.1.1 unknown");
	cr_expect_not(is_due(&w));
}

/* A thousand domains with one message each. */
Test(brake, many_domains)
{
	struct world w = begin();

	w.c.is_shared = w.c.is_canary = true;
	for (uint32_t i = 0; i < 20; i++) {
		cr_expect_not(is_due(&w));
		w.group = 1 + i;
		refuse(&w, "550 5.1.1 unknown");
	}
	cr_expect(is_due(&w));
}

Test(brake, two_domains)
{
	struct world w = begin();

	w.c.is_shared = true;
	for (uint32_t i = 0; i < 20; i++) {
		cr_expect_not(is_due(&w));
		w.group = 1 + i % 2;
		refuse(&w, "550 5.1.1 unknown");
	}
	cr_expect(is_due(&w));
}
