/* Jobs without content: would the server take this recipient?  What it says is
 * remembered, so it has to be certain that it is the answer. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "tests/support/client.h"

struct script {
	const char *at, *reply;
	enum outcome outcome;
	bool is_mail; /* it is MAIL that was refused */
};

/* Each command that begins with `at` is answered so. */
static const char *play(struct peer *p, const char *line, void *arg)
{
	const struct script *s = arg;

	(void)p;
	if (s->is_mail && strncmp(line, "RCPT", 4) == 0)
		return "503 5.5.1 MAIL first";
	return strncmp(line, s->at, strlen(s->at)) == 0 ? s->reply : NULL;
}

static struct script taken = { "NONE", NULL, OUTCOME_DELIVERED, false };

static const char *const manners[] = { "8BITMIME", "PIPELINING",
				       "PIPELINING\nCHUNKING\nSIZE 9999999" };

static void expect_no_content(const struct peer *p)
{
	cr_expect_eq(peer_saw(p, "DATA") + peer_saw(p, "BDAT"), 0);
	cr_expect_str_eq(peer_command(p, "MAIL", 0)->line, "MAIL FROM:<>");
	cr_expect_str_eq(peer_command(p, "RCPT", 0)->line,
			 "RCPT TO:<u@example.org>");
}

Test(callout, yes_no_and_later)
{
	static struct script cases[] = {
		{ "NONE", NULL, OUTCOME_DELIVERED, false },
		{ "RCPT", "550 5.1.1 unknown", OUTCOME_PERMANENT, false },
		{ "RCPT", "450 4.2.1 busy", OUTCOME_TRANSIENT, false },
		{ "MAIL", "550 5.7.1 not you", OUTCOME_PERMANENT, true },
		{ "MAIL", "451 4.3.0 later", OUTCOME_TRANSIENT, true },
	};

	for (size_t m = 0; m < COUNT(manners); m++)
		for (size_t i = 0; i < COUNT(cases); i++) {
			struct client c = { 0 };
			struct mail mail = { 0 };

			client_open(&c, manners[m], play, &cases[i]);
			mail_callout(&mail, &c, "u@example.org");
			mail_wait(&mail);
			cr_expect_eq(mail.outcomes[0], cases[i].outcome,
				     "%s: %s %s: %d", manners[m], cases[i].at,
				     cases[i].reply, (int)mail.outcomes[0]);
			cr_expect_eq(mail.is_mail_refused, cases[i].is_mail);
			cr_expect_str_eq(mail.replies[0],
					 cases[i].reply != NULL
						 ? cases[i].reply
						 : "250 2.1.5 ok");
			if (!cases[i].is_mail)
				expect_no_content(c.peer);
			client_close(&c);
			cr_expect_eq(c.end.why, DELIVERY_CLOSED);
		}
}

/* A connection that ends says nothing, and neither does an answer that could
 * not be proven before it did. */
Test(callout, a_lost_connection_is_no_answer)
{
	static const struct {
		struct script script;
		int why;
	} cases[] = {
		{ { "MAIL", PEER_CLOSE, 0, 0 }, DELIVERY_LOST },
		{ { "RCPT", PEER_CLOSE, 0, 0 }, DELIVERY_LOST },
		{ { "RCPT", "421 4.3.2 bye", 0, 0 }, DELIVERY_BUSY },
		{ { "RCPT", "550 5.1.1 no\r\n421 bye", 0, 0 }, DELIVERY_BUSY },
		{ { "RCPT", "250 2.1.5 ok\r\n421 bye", 0, 0 }, DELIVERY_BUSY },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct script s = cases[i].script;
		struct client c = { 0 };
		struct mail mail = { 0 };

		client_open(&c, "PIPELINING", play, &s);
		mail_callout(&mail, &c, "u@example.org");
		client_wait(&c);
		cr_expect(mail.is_done);
		cr_expect_eq(mail.outcomes[0], OUTCOME_UNTRIED, "%s", s.reply);
		cr_expect_eq((int)c.end.why, cases[i].why, "%s: %d", s.reply,
			     (int)c.end.why);
		cr_expect(!mail.in_doubt);
		client_close(&c);
	}
}

/* EHLO proves the first, and resets; RSET stands between the others (RFC 5321
 * section 4.1.1.5). */
Test(callout, several_over_one_connection)
{
	for (size_t m = 0; m < COUNT(manners); m++) {
		struct client c = { 0 };
		struct mail mails[5] = { 0 };

		client_open(&c, manners[m], play, &taken);
		for (size_t i = 0; i < COUNT(mails); i++) {
			mail_callout(&mails[i], &c, "u@example.org");
			mail_wait(&mails[i]);
			cr_expect_eq(mails[i].outcomes[0], OUTCOME_DELIVERED);
		}
		cr_expect_eq(peer_saw(c.peer, "MAIL"), 5);
		cr_expect_eq(peer_saw(c.peer, "EHLO"), 2);
		cr_expect_geq(peer_saw(c.peer, "RSET"), 3);
		expect_no_content(c.peer);
		client_close(&c);
	}
}

/* Servers punish errors: so many unknown recipients, and another connection is
 * cheaper. */
Test(callout, refusals_are_counted)
{
	struct script no = { "RCPT", "550 5.1.1 no", OUTCOME_PERMANENT, false };
	struct client c = { 0 };
	int n = 0;

	client_open(&c, "PIPELINING", play, &no);
	while (!c.is_ended && delivery_room(c.delivery) > 0) {
		struct mail mail = { 0 };

		mail_callout(&mail, &c, "u@example.org");
		mail_wait(&mail);
		cr_expect_eq(mail.outcomes[0], OUTCOME_PERMANENT);
		n++;
	}
	cr_expect_eq(n, 8);
	client_close(&c);
}

/* Before content, behind it and behind more of it: nothing is passed over. */
Test(callout, beside_deliveries_over_one_connection)
{
	for (size_t m = 0; m < COUNT(manners); m++) {
		struct client c = { 0 };
		struct mail asked = { 0 }, sent = { 0 };

		client_open(&c, manners[m], play, &taken);
		for (int round = 0; round < 3; round++) {
			mail_callout(&asked, &c, "u@example.org");
			mail_whole(&sent, &c, "v@example.org", "x: y\r\n");
			mail_wait(&sent);
			cr_expect(asked.is_done);
			cr_expect_eq(asked.outcomes[0], OUTCOME_DELIVERED);
			cr_expect_eq(sent.outcomes[0], OUTCOME_DELIVERED);
		}
		cr_expect_eq(c.peer->message_count, 3);
		cr_expect_eq(peer_saw(c.peer, "MAIL"), 6);
		client_close(&c);
		cr_expect_eq(c.end.why, DELIVERY_CLOSED);
		buf_fini(&sent.content);
	}
}

/* The answer to RCPT is one too late: to be taken for a yes, were it not for
 * EHLO behind it. */
Test(callout, one_reply_too_many)
{
	static const char *const replies[] = {
		"250 2.1.0 ok\r\n250 2.1.0 ok",
		"250 2.1.0 ok\r\n550 5.1.1 no",
	};

	for (size_t m = 0; m < COUNT(manners); m++)
		for (size_t i = 0; i < COUNT(replies); i++) {
			struct script s = { "MAIL", replies[i], 0, false };
			struct client c = { 0 };
			struct mail mail = { 0 };

			client_open(&c, manners[m], play, &s);
			mail_callout(&mail, &c, "u@example.org");
			client_wait(&c);
			cr_expect_eq(mail.outcomes[0], OUTCOME_UNTRIED,
				     "%s: %s", manners[m], replies[i]);
			cr_expect((c.without & DELIVERY_TRUST) != 0);
			client_close(&c);
		}
}

/* What is known of a server to lack trust is never certain before EHLO. */
Test(callout, with_care)
{
	struct client c = { .without = SMTP_EXT_PIPELINING | SMTP_EXT_CHUNKING |
				       DELIVERY_TRUST };
	struct mail mail = { 0 };

	client_open(&c, "PIPELINING", play, &taken);
	for (size_t i = 1; i <= 3; i++) {
		mail_callout(&mail, &c, "u@example.org");
		mail_wait(&mail);
		cr_expect_eq(mail.outcomes[0], OUTCOME_DELIVERED);
		cr_expect_eq(peer_saw(c.peer, "EHLO"), 1 + i);
	}
	client_close(&c);
}

/* Nobody waits for it any longer: before it has begun, and under way. */
Test(callout, cancelled)
{
	struct client c = { 0 };
	struct mail first = { 0 }, second = { 0 }, third = { 0 };

	client_open(&c, "PIPELINING", play, &taken);
	mail_callout(&first, &c, "a@example.org");
	mail_callout(&second, &c, "b@example.org");
	mail_callout(&third, &c, "u@example.org");
	delivery_job_cancel(c.delivery, &second.job);
	delivery_job_cancel(c.delivery, &first.job);
	mail_wait(&third);
	cr_assert_eq(third.outcomes[0], OUTCOME_DELIVERED);
	cr_assert(!first.is_done && !second.is_done);
	cr_assert_eq(peer_saw(c.peer, "RCPT TO:<b@"), 0);
	cr_assert_eq(delivery_jobs(c.delivery), 0);
	client_close(&c);
}
