/* One connection against a scripted server: what each reply settles, and what
 * an end in the middle does. */
#include "tests/unit/daemon/delivery/world.h"

/* ---- What replies settle ---- */

struct refusal {
	const char *ehlo, *at, *reply;
	enum outcome outcome;
};

static const struct refusal *refusal;

/* Behind a refusal of MAIL, or of RCPT, nothing goes on. */
static bool is_behind(const char *line)
{
	if (strcmp(refusal->at, "MAIL") == 0)
		return strncmp(line, "RCPT", 4) == 0 ||
		       strncmp(line, "DATA", 4) == 0 ||
		       strncmp(line, "BDAT", 4) == 0;
	return strcmp(refusal->at, "RCPT") == 0 &&
	       strncmp(line, "BDAT", 4) == 0;
}

static const char *at_refusal(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	if (strncmp(line, refusal->at, strlen(refusal->at)) == 0)
		return refusal->reply;
	return is_behind(line) ? "503 5.5.1 not now" : NULL;
}

/* Every stage, in every manner of sending; the connection goes on. */
Test(settle, refusals_settle_the_job)
{
	static const char *const manners[] = { "8BITMIME", "PIPELINING",
					       "PIPELINING\nCHUNKING",
					       "CHUNKING" };
	static const struct refusal cases[] = {
		{ NULL, "MAIL", "450 4.3.0 later", OUTCOME_TRANSIENT },
		{ NULL, "MAIL", "550 5.7.1 never", OUTCOME_PERMANENT },
		{ NULL, "MAIL", "530 5.7.0 STARTTLS first", OUTCOME_TRANSIENT },
		{ NULL, "RCPT", "450 4.2.1 busy", OUTCOME_TRANSIENT },
		{ NULL, "RCPT", "550 5.1.1 unknown", OUTCOME_PERMANENT },
		{ NULL, "DATA", "451 4.3.0 later", OUTCOME_TRANSIENT },
		{ NULL, "DATA", "554 5.5.1 never", OUTCOME_PERMANENT },
		{ NULL, ".", "452 4.3.1 full", OUTCOME_TRANSIENT },
		{ NULL, ".", "554 5.6.0 spam", OUTCOME_PERMANENT },
		{ NULL, "BDAT", "452 4.3.1 full", OUTCOME_TRANSIENT },
		{ NULL, "BDAT", "554 5.6.0 spam", OUTCOME_PERMANENT },
	};

	for (size_t m = 0; m < COUNT(manners); m++)
		for (size_t i = 0; i < COUNT(cases); i++) {
			bool chunking = strstr(manners[m], "CHUNK") != NULL;
			struct world w;

			refusal = &cases[i];
			if (strcmp(refusal->at, chunking ? "DATA" : "BDAT") ==
				    0 ||
			    (chunking && strcmp(refusal->at, ".") == 0))
				continue;
			begin(&w, manners[m], at_refusal);
			run(&w, 3);
			cr_expect_eq(w.done, 3);
			cr_expect_eq(w.end.why, DELIVERY_CLOSED, "%s: %s (%s)",
				     manners[m], cases[i].reply, w.end_reply);
			for (int j = 0; j < 3; j++) {
				cr_expect_eq(w.outcomes[j][0], cases[i].outcome,
					     "%s: %s", manners[m],
					     cases[i].reply);
				cr_expect_str_eq(w.replies[j], cases[i].reply);
			}
			finish(&w);
		}
}

static const char *mixed_rcpts(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	if (strstr(line, "u0@") != NULL)
		return "550 5.1.1 unknown";
	if (strstr(line, "u1@") != NULL)
		return "450 4.2.1 busy";
	if (strstr(line, "u3@") != NULL)
		return "452 4.5.3 too many recipients";
	if (strstr(line, "u4@") != NULL)
		return "452 4.2.2 mailbox full";
	return NULL;
}

/* A RCPT reply settles one recipient; 452 behind an accepted one is only
 * "not in this transaction" (RFC 5321 section 4.5.3.1.10). */
Test(settle, each_recipient_has_its_own_outcome)
{
	static const enum outcome expected[] = {
		OUTCOME_PERMANENT, OUTCOME_TRANSIENT, OUTCOME_DELIVERED,
		OUTCOME_UNTRIED,   OUTCOME_TRANSIENT, OUTCOME_DELIVERED,
	};
	static const char *const manners[] = { "8BITMIME", "PIPELINING",
					       "PIPELINING\nCHUNKING" };

	for (size_t m = 0; m < COUNT(manners); m++) {
		struct world w;

		begin(&w, manners[m], mixed_rcpts);
		w.rcpts = COUNT(expected);
		run(&w, 1);
		for (size_t i = 0; i < COUNT(expected); i++)
			cr_expect_eq(w.outcomes[0][i], expected[i], "%s: %zu",
				     manners[m], i);
		finish(&w);
	}
}

/* What is refused for having come too early goes again in lock-step; where it
 * did not, no refusal like it is about mail either. */
Test(settle, out_of_order)
{
	static const struct refusal cases[] = {
		{ "PIPELINING", "MAIL", "500 what?", OUTCOME_UNTRIED },
		{ "PIPELINING", "RCPT", "503 5.5.1 no", OUTCOME_UNTRIED },
		{ "PIPELINING", "RCPT", "501 5.5.2 no", OUTCOME_UNTRIED },
		{ "PIPELINING", "RCPT", "501 5.1.3 no", OUTCOME_PERMANENT },
		{ "PIPELINING", "DATA", "503 5.5.1 no", OUTCOME_UNTRIED },
		{ "8BITMIME", "RCPT", "503 5.5.1 no", OUTCOME_TRANSIENT },
		{ "8BITMIME", "RCPT", "500 5.5.1 no", OUTCOME_PERMANENT },
		{ "PIPELINING\nCHUNKING", "RCPT", "500 no", OUTCOME_UNTRIED },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		bool again = cases[i].outcome == OUTCOME_UNTRIED;
		struct world w;

		refusal = &cases[i];
		begin(&w, cases[i].ehlo, at_refusal);
		run(&w, 3);
		cr_expect_eq(w.end.why, DELIVERY_CLOSED);
		cr_expect_eq((w.without & SMTP_EXT_PIPELINING) != 0, again);
		for (int j = 0; j < w.done; j++)
			cr_expect_eq(w.outcomes[j][0], cases[i].outcome,
				     "%s: %s", cases[i].ehlo, cases[i].reply);
		cr_expect_leq(peer_saw(w.peer, "MAIL"), again ? 1 : 3);
		finish(&w);
	}
}

static const char *no_rcpt(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strncmp(line, "RCPT", 4) == 0 ? "550 5.1.1 unknown" : NULL;
}

/* RFC 2920 section 3.1: 354 although nobody was accepted: a lone dot.  And
 * after a refusal DATA waits for what RCPT comes to. */
Test(settle, a_lone_dot_when_354_comes_for_nobody)
{
	struct world w;

	begin(&w, "PIPELINING", no_rcpt);
	run(&w, 2);
	cr_assert_eq(w.peer->message_count, 1);
	cr_assert_eq(w.peer->messages[0].n, 0);
	cr_assert_eq(peer_saw(w.peer, "DATA"), 1);
	cr_assert_eq(w.outcomes[1][0], OUTCOME_PERMANENT);
	cr_assert_eq(w.end.why, DELIVERY_CLOSED);
	finish(&w);
}

/* Servers punish errors: after a few of them a new connection is cheaper. */
Test(settle, a_connection_ends_after_eight_refusals)
{
	struct world w;

	begin(&w, "PIPELINING", no_rcpt);
	run(&w, 20);
	cr_assert_lt(w.given, 12);
	cr_assert_eq(peer_saw(w.peer, "QUIT"), 1);
	cr_assert_eq(w.end.why, DELIVERY_CLOSED);
	finish(&w);
}

static const char *second_ehlo;

static const char *at_second_ehlo(struct peer *p, const char *line, void *arg)
{
	(void)arg;
	return strncmp(line, "EHLO", 4) == 0 && peer_saw(p, "EHLO") > 1
		       ? second_ehlo
		       : NULL;
}

/* EHLO behind the first message proves that its replies were its own: by the
 * server's name, or by what only a command out of order is answered with. */
Test(settle, what_proves_the_replies)
{
	static const struct {
		const char *reply;
		bool proves;
	} cases[] = {
		{ "250 peer.example", true },	{ "503 5.5.1 once", true },
		{ "500 what?", true },		{ "504 5.5.4 no", true },
		{ "250 2.0.0 taken", false },	{ "250 other.example", false },
		{ "450 4.3.0 later", false },	{ "505 no", false },
		{ "550 5.7.1 no", false },	{ "354 go on", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct world w;

		second_ehlo = cases[i].reply;
		begin(&w, "PIPELINING", at_second_ehlo);
		run(&w, 1);
		cr_expect_eq(w.is_proven, cases[i].proves, "%s",
			     cases[i].reply);
		cr_expect_eq((w.without & DELIVERY_TRUST) == 0,
			     cases[i].proves, "%s", cases[i].reply);
		finish(&w);
	}
}

/* Far away, and from the 25th message on it knows nobody. */
static struct strict {
	int mails, errors, most; /* on end */
	bool is_known;
} strict;

static const char *count_errors(struct peer *p, const char *line, void *arg)
{
	bool is_rcpt = strncmp(line, "RCPT", 4) == 0;

	(void)p;
	(void)arg;
	if (strncmp(line, "EHLO", 4) == 0)
		usleep(50000); /* the round trip that is measured */
	if (strncmp(line, "MAIL", 4) == 0)
		strict.is_known = strict.mails++ < 24;
	if (strncmp(line, "BDAT", 4) == 0 && strict.is_known)
		strict.errors = 0;
	if (strict.is_known || (!is_rcpt && strncmp(line, "BDAT", 4) != 0))
		return NULL;
	if (++strict.errors > strict.most)
		strict.most = strict.errors;
	return is_rcpt ? "550 5.1.1 unknown" : "503 5.5.1 RCPT first";
}

/* Postfix waits a second at each from the tenth on. */
Test(settle, what_runs_ahead_is_not_refused_ten_times)
{
	for (size_t rcpts = 1; rcpts <= 3; rcpts++) {
		struct world w;

		memset(&strict, 0, sizeof(strict));
		begin(&w, "PIPELINING\nCHUNKING", count_errors);
		w.rcpts = rcpts;
		run(&w, 60);
		cr_expect_geq(strict.most, 8);
		/* at seven errors one may begin, alone */
		cr_expect_leq((size_t)strict.most, 7 + rcpts);
		cr_expect_eq(w.end.why, DELIVERY_CLOSED, "%s", w.end_reply);
		finish(&w);
	}
}

/* A transaction that ended early must not be taken for the next one. */
Test(settle, rset_after_a_refusal_without_content)
{
	struct world w;

	begin(&w, "8BITMIME", no_rcpt);
	run(&w, 2);
	cr_assert_eq(peer_saw(w.peer, "DATA"), 0);
	cr_assert_eq(peer_saw(w.peer, "RSET"), 1);
	finish(&w);
}

/* ---- Limits ---- */

Test(settle, a_hundred_recipients_at_most)
{
	struct world w;

	begin(&w, "PIPELINING", NULL);
	w.rcpts = 130;
	run(&w, 1);
	cr_assert_eq(peer_saw(w.peer, "RCPT"), 100);
	cr_assert_eq(w.outcomes[0][99], OUTCOME_DELIVERED);
	cr_assert_eq(w.outcomes[0][100], OUTCOME_UNTRIED);
	finish(&w);
}

/* RFC 9422. */
Test(settle, limits_are_kept)
{
	struct world w;

	begin(&w, "PIPELINING\nLIMITS RCPTMAX=2 MAILMAX=3", NULL);
	w.rcpts = 3;
	run(&w, 5);
	cr_assert_eq(w.given, 3);
	cr_assert_eq(peer_saw(w.peer, "MAIL"), 3);
	cr_assert_eq(peer_saw(w.peer, "RCPT"), 6);
	cr_assert_eq(w.end.why, DELIVERY_CLOSED);
	finish(&w);
}

Test(settle, a_message_over_the_announced_size_is_not_sent)
{
	struct world w;

	begin(&w, "SIZE 65536", NULL);
	w.envelope.bytes = 65537;
	run(&w, 1);
	cr_assert_eq(w.outcomes[0][0], OUTCOME_PERMANENT);
	cr_assert(strstr(w.replies[0], "5.3.4") != NULL);
	cr_assert_eq(peer_saw(w.peer, "MAIL"), 0);
	finish(&w);
}

Test(settle, a_size_that_nobody_can_mean_is_not_believed)
{
	struct world w;

	begin(&w, "SIZE 10", NULL);
	run(&w, 1);
	cr_assert_eq(w.outcomes[0][0], OUTCOME_DELIVERED);
	finish(&w);
}

Test(settle, smtputf8_is_not_downgraded)
{
	struct world w;

	begin(&w, "8BITMIME", NULL);
	w.path = "gr\xc3\xbc\xc3\x9f@example.org";
	w.envelope.smtputf8 = true;
	run(&w, 1);
	cr_assert_eq(w.outcomes[0][0], OUTCOME_PERMANENT);
	cr_assert(strstr(w.replies[0], "5.6.7") != NULL);
	finish(&w);
}

/* ---- The end in the middle ---- */

struct accident {
	const char *ehlo, *at, *reply;
	int why;
	bool in_doubt;
};

static const struct accident *accident;

static const char *at_accident(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	if (strncmp(line, accident->at, strlen(accident->at)) == 0)
		return accident->reply;
	return NULL;
}

/* Nobody is settled by a connection that ends; only content whose reply is
 * missing leaves a doubt. */
Test(settle, accidents)
{
	static const struct accident cases[] = {
		{ "PIPELINING", "MAIL", "421 4.3.2 bye", DELIVERY_BUSY, false },
		{ "PIPELINING", "RCPT", "421 4.3.2 bye", DELIVERY_BUSY, false },
		{ "PIPELINING", "DATA", "421 4.3.2 bye", DELIVERY_BUSY, false },
		{ "PIPELINING", ".", "421 4.3.2 bye", DELIVERY_BUSY, false },
		{ "PIPELINING", "MAIL", PEER_CLOSE, DELIVERY_LOST, false },
		{ "PIPELINING", "DATA", PEER_CLOSE, DELIVERY_LOST, false },
		{ "PIPELINING", ".", PEER_CLOSE, DELIVERY_LOST, true },
		{ "PIPELINING", ".", PEER_HANG, DELIVERY_LOST, true },
		{ "8BITMIME", "RCPT", PEER_HANG, DELIVERY_LOST, false },
		{ "PIPELINING\nCHUNKING", "BDAT", PEER_CLOSE, DELIVERY_LOST,
		  true },
		{ "PIPELINING\nCHUNKING", "BDAT", "421 4.3.2 bye",
		  DELIVERY_BUSY, false },
		{ "8BITMIME", "DATA", "250 what?", DELIVERY_CLOSED, false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct world w;

		accident = &cases[i];
		begin(&w, cases[i].ehlo, at_accident);
		run(&w, 1);
		cr_expect_eq((int)w.end.why, cases[i].why, "%s %s: %d (%s)",
			     cases[i].at, cases[i].reply, (int)w.end.why,
			     w.end_reply);
		cr_expect_eq(w.outcomes[0][0], OUTCOME_UNTRIED);
		cr_expect_eq(w.in_doubt[0], cases[i].in_doubt, "%s %s",
			     cases[i].at, cases[i].reply);
		cr_expect(w.was_head[0], "%s %s", cases[i].at, cases[i].reply);
		finish(&w);
	}
}

/* Nor is anybody settled, or to blame, where others have the mail by now; and
 * the server never gets its end. */
Test(settle, the_end_of_what_others_have_is_not_sent)
{
	static const char *const offers[] = { "8BITMIME", "PIPELINING",
					      "PIPELINING\nCHUNKING" };

	is_content_taken = true;
	for (size_t i = 0; i < COUNT(offers); i++) {
		struct world w;

		begin(&w, offers[i], NULL);
		run(&w, 2);
		cr_expect_eq((int)w.end.why, DELIVERY_CLOSED, "%s", offers[i]);
		cr_expect_str_eq(w.end_reply, "(content) 4.3.0 Other nodes "
					      "may have it by now");
		cr_expect_eq(w.peer->message_count, 0, "%s", offers[i]);
		for (int job = 0; job < 2; job++) {
			cr_expect_eq(w.outcomes[job][0], OUTCOME_UNTRIED);
			cr_expect_not(w.in_doubt[job]);
			cr_expect_not(w.was_head[job]);
		}
		finish(&w);
	}
	is_content_taken = false;
}
