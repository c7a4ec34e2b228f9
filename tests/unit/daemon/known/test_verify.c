/* Asking while a client waits: once for all, and for a bounded time. */
#include "tests/unit/daemon/known/world.h"

TestSuite(verify, .init = world_begin, .fini = world_end, .timeout = 60);

struct told {
	unsigned count;
	enum known_said said;
	char reply[100];
};

static void on_told(enum known_said said, struct span reply, void *arg)
{
	struct told *t = arg;

	t->count++;
	t->said = said;
	snprintf(t->reply, sizeof(t->reply), "%.*s", SPAN_ARG(reply));
}

static struct waiter *ask_from(const char *client, const char *mailbox,
			       struct told *t)
{
	struct net_addr addr;

	cr_assert_eq(net_addr_parse(span_str(client), &addr), MX_OK);
	return verify_ask(known, ORG, span_str(mailbox), &addr, on_told, t);
}

static struct waiter *ask(const char *mailbox, struct told *t)
{
	return ask_from("192.0.2.1", mailbox, t);
}

Test(verify, equal_questions_are_one)
{
	struct told told[100] = { 0 };

	for (size_t i = 0; i < COUNT(told); i++)
		cr_assert_not_null(ask(i % 2 ? "u@example.org"
					     : "\"U\"@EXAMPLE.org",
				       &told[i]));
	cr_expect_eq(asked_count, 1);
	say(0, SAID_NO, "550 5.1.1 no");
	for (size_t i = 0; i < COUNT(told); i++)
		cr_expect(told[i].count == 1 && told[i].said == SAID_NO);
	cr_expect_eq(verify_count(known), 0);
	cr_assert_eq(asked_count, 2, "the trial");
	say(1, SAID_NO, "550 5.1.1 no");
	cr_expect_eq(look("u", clock_wall_ms()), 'n');
}

/* Who left is not told, and what was asked for him is worth knowing. */
Test(verify, cancelled)
{
	struct told one = { 0 }, two = { 0 };
	struct waiter *w = ask("u@example.org", &one);

	ask("u@example.org", &two);
	verify_cancel(&w);
	cr_expect_null(w);
	cr_expect(!asked[0].is_cancelled);
	say(0, SAID_YES, "250 ok");
	cr_expect_eq(one.count, 0);
	cr_expect_eq(two.count, 1);
	cr_expect_eq(two.said, SAID_YES);
}

static void wait_for(const unsigned *count)
{
	int64_t until = clock_mono_ms() + 10000;

	while (*count == 0 && clock_mono_ms() < until)
		ev_run(f.loop, EVRUN_ONCE);
	cr_assert_eq(*count, 1);
}

Test(verify, patience_ends_and_the_question_goes_on)
{
	struct told one = { 0 }, two = { 0 };

	be_selective();
	ask("u@example.org", &one);
	wait_for(&one.count);
	cr_expect_eq(one.said, SAID_NOTHING);
	cr_expect_eq(verify_count(known), 1);
	/* who comes again waits for the same, and has time of his own */
	ask("u@example.org", &two);
	cr_expect_eq(asked_count, 1);
	say(0, SAID_NO, "550 5.1.1 no");
	cr_expect_eq(two.said, SAID_NO);
	cr_expect_eq(look("u", clock_wall_ms()), 'n');
}

Test(verify, nothing_and_down_teach_nothing)
{
	static const enum known_said saids[] = { SAID_NOTHING, SAID_DOWN };

	be_selective();
	for (size_t i = 0; i < COUNT(saids); i++) {
		struct told told = { 0 };

		ask("u@example.org", &told);
		say(i, saids[i], "450 4.2.1 busy");
		cr_expect_eq(told.said, saids[i]);
		cr_expect_eq(look("u", clock_wall_ms()), '?');
	}
	cr_expect_eq(asked_count, 2);
}

/* A client has so many; its network in IPv6 is one client.  And a destination
 * that lets them hang leaves as many for the others. */
Test(verify, bounded_for_each_client_and_in_all)
{
	static struct told told[VERIFY_MAX + 1];
	char mailbox[64], client[64];

	for (int i = 0; i < VERIFY_PER_CLIENT; i++) {
		snprintf(mailbox, sizeof(mailbox), "u%d@example.org", i);
		snprintf(client, sizeof(client), "2001:db8::%x", i + 1);
		cr_assert_not_null(ask_from(client, mailbox, &told[0]));
	}
	cr_expect_null(ask_from("2001:db8::99", "x@example.org", &told[0]));
	cr_expect_not_null(ask_from("2001:db8::99", "u1@example.org", &told[0]),
			   "it is asked already");
	cr_expect_not_null(ask_from("2001:db8:0:1::1", "x@example.org",
				    &told[0]));
	say(0, SAID_NOTHING, "450 later");
	cr_expect_not_null(ask_from("2001:db8::99", "y@example.org", &told[0]));
	for (int i = VERIFY_PER_CLIENT + 1; i < VERIFY_MAX / 2; i++) {
		snprintf(mailbox, sizeof(mailbox), "v%d@example.org", i);
		snprintf(client, sizeof(client), "192.0.%d.%d", i / 256,
			 i % 256);
		cr_assert_not_null(ask_from(client, mailbox, &told[i]));
	}
	cr_expect_null(ask("last@example.org", &told[VERIFY_MAX]));
	cr_expect_eq(verify_count(known), VERIFY_MAX / 2);
	destination = SPAN_LIT("mx.example.net:25");
	cr_expect_not_null(ask("first@example.org", &told[VERIFY_MAX]));
}
