/* What is known, how it ages, and what teaches nothing. */
#include "tests/unit/daemon/known/world.h"

TestSuite(known, .init = world_begin, .fini = world_end, .timeout = 120);

Test(known, what_a_reply_says)
{
	static const struct {
		const char *reply;
		enum known_said said;
	} cases[] = {
		{ "250 2.1.5 ok", SAID_YES },
		{ "251 will forward", SAID_YES },
		{ "550 5.1.1 no such user", SAID_NO },
		{ "550 no such user", SAID_NO },
		{ "551 5.1.6 moved", SAID_NO },
		{ "553 5.1.3 bad mailbox", SAID_NO },
		{ "550 5.7.1 not you", SAID_NOTHING },
		{ "550 5.2.1 disabled", SAID_NOTHING },
		{ "552 5.2.2 full", SAID_NOTHING },
		{ "554 5.7.1 blocked", SAID_NOTHING },
		{ "554 no", SAID_NOTHING },
		{ "501 5.1.3 syntax", SAID_NOTHING },
		{ "503 5.5.1 MAIL first", SAID_NOTHING },
		{ "450 4.1.1 greylisted", SAID_NOTHING },
		{ "450 4.2.1 busy", SAID_NOTHING },
		{ "(connect) Connection refused", SAID_NOTHING },
		{ "", SAID_NOTHING },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(known_meaning(span_str(cases[i].reply)),
			     cases[i].said, "%s", cases[i].reply);
}

/* Strangers choose their senders, and primaries refuse those at RCPT, too: that
 * must not make a recipient unknown. */
Test(known, what_is_said_of_a_sender)
{
	static const struct {
		const char *reply;
		enum known_said with, without; /* a sender */
	} cases[] = {
		{ "550 5.1.1 no such user", SAID_NO, SAID_NO },
		{ "550 5.1.10 null MX", SAID_NO, SAID_NO },
		{ "550 Sender verify failed", SAID_NOTHING, SAID_NO },
		{ "550 5.1.8 <x@y>: Sender address rejected: Domain not found",
		  SAID_NOTHING, SAID_NOTHING },
		{ "553 5.1.7 sender", SAID_NOTHING, SAID_NOTHING },
		{ "550 5.1.0 <x@y>: Sender address rejected: User unknown",
		  SAID_NOTHING, SAID_NOTHING },
		{ "250 ok", SAID_YES, SAID_YES },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct span reply = span_str(cases[i].reply);

		cr_expect_eq(known_meaning_from(reply, SPAN_LIT("x@y.test")),
			     cases[i].with, "%s", cases[i].reply);
		cr_expect_eq(known_meaning_from(reply, SPAN_LIT("")),
			     cases[i].without, "%s", cases[i].reply);
		cr_expect_eq(known_meaning(reply), cases[i].without, "%s",
			     cases[i].reply);
	}
}

Test(known, it_ages)
{
	int64_t now = clock_wall_ms();

	be_selective();
	learn("good", true, now);
	learn("bad", false, now);
	cr_expect_eq(look("Good", now), 'y');
	cr_expect_eq(look("bad", now), 'n');
	cr_expect_eq(look("other", now), '?');
	cr_expect_eq(look("bad", now + HOURS(2) - 1), 'n');
	cr_expect_eq(look("bad", now + HOURS(2)), '?');
	cr_expect_eq(look("good", now + DAYS(30) - 1), 'y');
	cr_expect_eq(look("good", now + DAYS(30)), '?');
	known_forget(known, ORG, SPAN_LIT("good"));
	cr_expect_eq(look("good", now), '?');
}

/* The bar: whoever was known to be one when it began is one at its end, and
 * none that was known to be none. */
Test(known, an_outage_of_72_hours)
{
	enum { GOOD = 700, BAD = 100 };
	int64_t now = clock_wall_ms(), end = now + HOURS(72);
	char user[32];

	be_selective();
	known_note_state(known, destination, false, now);
	for (int i = 0; i < GOOD; i++) { /* up to an hour before they age */
		snprintf(user, sizeof(user), "good%d", i);
		learn(user, true, now - i * HOURS(1));
	}
	for (int i = 0; i < BAD; i++) {
		snprintf(user, sizeof(user), "bad%d", i);
		learn(user, false, now - i * MINUTES(1));
	}
	known_note_state(known, destination, true, now);
	for (int64_t at = now; at <= end; at += HOURS(12)) {
		for (int i = 0; i < GOOD; i++) {
			snprintf(user, sizeof(user), "good%d", i);
			cr_assert_eq(look(user, at), 'y', "%s", user);
		}
		for (int i = 0; i < BAD; i++) {
			snprintf(user, sizeof(user), "bad%d", i);
			cr_assert_eq(look(user, at), 'n', "%s", user);
		}
		world_restart();
		known_note_state(known, destination, true, at);
	}
	known_note_state(known, destination, false, end);
	world_restart();
	/* and on it goes, from where it stood */
	cr_expect_eq(look("bad0", end + MINUTES(119)), 'n');
	cr_expect_eq(look("bad0", end + MINUTES(121)), '?');
	cr_expect_eq(look("bad99", end + MINUTES(20)), 'n');
	cr_expect_eq(look("bad99", end + MINUTES(22)), '?');
	cr_expect_eq(look("good0", end + DAYS(30) - 1), 'y');
	cr_expect_eq(look("good0", end + DAYS(30)), '?');
	cr_expect_eq(look("good699", end + HOURS(20)), 'y');
	cr_expect_eq(look("good699", end + HOURS(22)), '?');
}

/* Several outages; and what was learned in one, over another connection. */
Test(known, outages_add_up)
{
	int64_t t = clock_wall_ms();

	be_selective();
	learn("bad", false, t);
	for (int i = 0; i < 3; i++) {
		known_note_state(known, destination, true, t + HOURS(1));
		if (i == 2)
			learn("late", false, t + HOURS(5));
		known_note_state(known, destination, false, t + HOURS(10));
		t += HOURS(9);
	}
	t += HOURS(1);
	cr_expect_eq(look("bad", t + MINUTES(59)), 'n');
	cr_expect_eq(look("bad", t + MINUTES(61)), '?');
	cr_expect_eq(look("late", t + MINUTES(119)), 'n');
	cr_expect_eq(look("late", t + MINUTES(121)), '?');
}

/* Nobody will ever say that the old host is up again. */
Test(known, the_domain_moved_in_an_outage)
{
	int64_t now = clock_wall_ms();

	be_selective();
	learn("good", true, now);
	learn("bad", false, now);
	known_note_state(known, destination, true, now);
	destination = SPAN_LIT("new.example.org:25");
	cr_expect_eq(look("good", now + DAYS(29)), 'y');
	cr_expect_eq(look("bad", now + DAYS(29)), '?');
	cr_expect_eq(look("good", now + DAYS(31)), '?');
	destination = HERE;
	cr_expect_eq(look("bad", now + DAYS(29)), 'n');
}

Test(known, a_tag)
{
	int64_t now = clock_wall_ms();

	be_selective();
	learn("good", true, now);
	learn("bad", false, now);
	learn("good+no", false, now);
	cr_expect_eq(look("good+x", now), 'y');
	cr_expect_eq(look("good+x+y", now), 'y');
	cr_expect_eq(look("good+no", now), 'n');
	cr_expect_eq(look("bad+x", now), '?');
	cr_expect_eq(look("+x", now), '?');
}

Test(known, only_where_somebody_asks)
{
	known_learn(known, SPAN_LIT("example.net"), SPAN_LIT("u"), destination,
		    true, false, SPAN_LIT("250 ok"), clock_wall_ms());
	cr_expect_eq(asked_count, 0);
}

/* ---- Catch-all ---- */

Test(known, nothing_before_the_trial)
{
	int64_t now = clock_wall_ms();

	learn("good", true, now);
	learn("bad", false, now);
	cr_assert_eq(asked_count, 1, "one trial");
	cr_expect(strncmp(asked[0].mailbox, "nobody-", 7) == 0);
	cr_expect_str_eq(strchr(asked[0].mailbox, '@'), "@example.org");
	cr_expect_eq(known_count(known), 0);
	/* but what was said a moment ago need not be asked again */
	cr_expect_eq(look("good", now), 'y');
	cr_expect_eq(look("bad", now), 'n');
	cr_expect_eq(look("other", now), '?');
	learn("gone", true, now);
	known_forget(known, ORG, SPAN_LIT("gone"));
	cr_expect_eq(look("gone", now), '?');
	say(0, SAID_NO, "550 5.1.1 who?");
	cr_expect_eq(look("good", now), 'y');
	cr_expect_eq(look("bad", now), 'n');
	cr_expect_eq(look("gone", now), '?');
	world_restart();
	cr_expect_eq(look("good", now), 'y');
	learn("other", true, now + HOURS(20));
	cr_expect_eq(asked_count, 1, "not twice a day");
	learn("third", true, now + HOURS(25));
	cr_expect_eq(asked_count, 2);
}

Test(known, one_that_takes_everyone_teaches_nothing)
{
	int64_t now = clock_wall_ms();

	learn("good", true, now);
	say(0, SAID_YES, "250 ok");
	cr_expect(known_is_catch_all(known, ORG));
	cr_expect_eq(look("good", now), '?');
	learn("good", true, now);
	cr_expect_eq(asked_count, 1);
	world_restart();
	cr_expect(known_is_catch_all(known, ORG));
	/* a day later it is asked again, and refuses */
	learn("good", true, now + DAYS(2));
	cr_assert_eq(asked_count, 2);
	say(1, SAID_NO, "550 5.1.1 who?");
	cr_expect(!known_is_catch_all(known, ORG));
	cr_expect_eq(look("good", now + DAYS(2)), 'y');
}

/* What was known before is of no use once it takes everyone. */
Test(known, it_begins_to_take_everyone)
{
	int64_t now = clock_wall_ms();

	be_selective();
	learn("good", true, now - DAYS(2));
	learn("other", true, now + DAYS(2));
	cr_assert_eq(asked_count, 1);
	say(0, SAID_YES, "250 ok");
	cr_expect_eq(look("good", now), '?');
}

/* Greylisting: the same stranger again, later; meanwhile nothing is learned. */
Test(known, a_trial_that_says_nothing)
{
	int64_t now = clock_wall_ms();

	learn("good", true, now);
	say(0, SAID_NOTHING, "450 4.7.1 greylisted");
	cr_expect_eq(look("good", now), '?');
	learn("good", true, now);
	cr_expect_eq(asked_count, 1, "not at once");
	cr_expect(!known_is_catch_all(known, ORG));
}

/* A primary just back may know nobody yet; that it has not who nobody is, is
 * true of all that do not take everyone. */
Test(known, a_trial_of_a_primary_just_back)
{
	int64_t now = clock_wall_ms();

	learn("good", true, now);
	say(0, SAID_EARLY, "550 5.1.1 no");
	cr_expect_eq(look("good", now), 'y');
	cr_expect(!known_is_catch_all(known, ORG));
}

Test(known, stopped_in_a_trial)
{
	learn("good", true, clock_wall_ms());
	known_stop(known);
	cr_expect(asked[0].is_cancelled);
	learn("other", true, clock_wall_ms());
	cr_expect_eq(asked_count, 1);
}

/* A brake was pulled: who was refused just before may be there all the same. */
Test(known, what_a_broken_primary_said_is_doubted)
{
	int64_t t = clock_wall_ms();

	be_selective();
	learn("old", false, t - MINUTES(5));
	learn("good", true, t - MINUTES(5));
	learn("good", false, t);
	learn("new", false, t);
	learn("fine", true, t);
	cr_expect_eq(look("good", t), 'n');
	cr_expect_eq(look("new", t), 'n');
	known_doubt(known, SPAN_LIT("example.net"), destination,
		    t - MINUTES(1));
	known_doubt(known, ORG, SPAN_LIT("elsewhere"), t - MINUTES(1));
	cr_expect_eq(look("new", t), 'n', "others' brakes are nothing to it");
	known_doubt(known, SPAN_LIT(""), destination, t - MINUTES(1));
	cr_expect_eq(look("new", t), '?');
	cr_expect_eq(look("good", t), 'y', "as before");
	cr_expect_eq(look("fine", t), 'y');
	cr_expect_eq(look("old", t), 'n');
	world_restart();
	cr_expect_eq(look("new", t), '?');
	cr_expect_eq(look("good", t), 'y');
	/* many: the newest thousand */
	for (int i = 0; i < 1500; i++) {
		char user[32];

		snprintf(user, sizeof(user), "no%d", i);
		learn(user, false, t);
	}
	known_doubt(known, ORG, destination, t - MINUTES(1));
	cr_expect_eq(look("no0", t), 'n');
	cr_expect_eq(look("no1499", t), '?');
}
