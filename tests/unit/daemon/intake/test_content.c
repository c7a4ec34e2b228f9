/* What is kept of content, and what is refused. */
#include "tests/unit/daemon/intake/world.h"

#define MAIL HELLO FROM TO

TestSuite(content, .fini = world_close);

Test(content, what_is_kept)
{
	struct kept *k = &fake.kept[0];
	const char *received;
	int fd;

	world_open("");
	world.config->spool.warn_after_ms = HOURS(4);
	fd = client_open();
	cr_expect_str_eq(
		say(fd, "EHLO client.test\r\n"
			"MAIL FROM:<\"a b\"@b.test> SIZE=1000 BODY=8BITMIME "
			"RET=HDRS ENVID=x+2By SMTPUTF8\r\n"
			"RCPT TO:<@hop.test:Other@EXAMPLE.com> NOTIFY=NEVER "
			"ORCPT=rfc822;other@example.com\r\n"
			"RCPT TO:<\xc3\xbc@example.com> "
			"NOTIFY=SUCCESS,DELAY\r\n"),
		"250 250 250 250");
	say(fd, "DATA\r\n");
	cr_expect_eq(fake.expected, 1000);
	cr_expect_str_eq(ask(fd, "TLS-Required: No\r\nSubject: \xc3\xbc\r\n\r\n"
				 "x\r\n.\r\n"),
			 "250 2.6.0 Message accepted, queued as "
			 "0000000000001\r\n");
	cr_expect_eq(fake.kept_count, 1);
	cr_expect_str_eq(k->from, "\"a b\"@b.test");
	cr_expect_str_eq(k->helo, "client.test");
	cr_expect_str_eq(k->client, "192.0.2.7");
	cr_expect_str_eq(k->tls, "");
	cr_expect_str_eq(k->envid, "x+2By");
	cr_expect_eq(k->env.proto, PROTO_ESMTP);
	cr_expect_eq(k->env.body, SMTP_BODY_8BITMIME);
	cr_expect_eq(k->env.ret, SMTP_RET_HDRS);
	cr_expect(k->env.smtputf8);
	cr_expect(k->env.tls_required_no);
	cr_expect(!k->env.requiretls);
	cr_expect(!k->env.is_dsn);
	cr_expect_str_eq(k->rcpts, "Other@EXAMPLE.com example.com 1 "
				   "rfc822;other@example.com\n"
				   "\xc3\xbc@example.com example.com 10 \n");
	cr_expect_eq(k->lifetime_ms, DAYS(14));
	cr_expect_eq(k->warn_ms, HOURS(4));
	received = buf_cstr(&k->content);
	cr_expect_not_null(strstr(received, "from client.test"));
	cr_expect_not_null(strstr(received, "[192.0.2.7]"));
	cr_expect_not_null(strstr(received, "by mx2.example.net"));
	cr_expect_not_null(
		strstr(received, "with UTF8SMTP\r\n\tid 0000000000001"));
	cr_expect_null(strstr(received, "for <")); /* there are two */
	close(fd);
}

Test(content, lifetime_is_the_domains)
{
	int fd;

	world_open("");
	fd = client_open();
	say(fd, "HELO x\r\n" FROM "RCPT TO:<a@example.org>\r\n");
	cr_expect_str_eq(say(fd, "BDAT 0 LAST\r\n"), "250");
	cr_expect_eq(fake.kept[0].lifetime_ms, DAYS(3));
	cr_expect_eq(fake.kept[0].warn_ms, 0);
	cr_expect_eq(fake.kept[0].env.proto, PROTO_SMTP);
	cr_expect_not_null(
		strstr(buf_cstr(&fake.kept[0].content), "with SMTP\r\n\tid"),
		"%s", buf_cstr(&fake.kept[0].content));
	cr_expect_not_null(
		strstr(buf_cstr(&fake.kept[0].content), "for <a@example.org>"));
	close(fd);
}

/* RFC 5321 section 4.5.1. */
Test(content, postmaster)
{
	int fd;

	world_open("postmaster = \"root@elsewhere.test\";");
	fd = client_open();
	say(fd,
	    HELLO FROM "RCPT TO:<PostMaster>\r\n"
		       "RCPT TO:<postmaster@mx2.example.net>\r\n"
		       "RCPT TO:<postmaster@example.com>\r\nBDAT 0 LAST\r\n");
	cr_expect_str_eq(fake.kept[0].rcpts,
			 "root@elsewhere.test elsewhere.test 0 \n"
			 "postmaster@example.com example.com 0 \n");
	cr_expect_eq(fake.kept[0].lifetime_ms, DAYS(14));
	close(fd);
}

/* One recipient is stored once, however often it is named. */
Test(content, duplicates)
{
	char line[100];
	int fd;

	world_open("");
	fd = client_open();
	say(fd, HELLO FROM);
	for (int i = 0; i < 300; i++) {
		snprintf(line, sizeof(line), "RCPT TO:<u%d@example.org>\r\n",
			 i % 100);
		cr_expect_str_eq(say(fd, line), "250");
	}
	/* the domain has no case, the local part is left to the primary */
	cr_expect_str_eq(say(fd, "RCPT TO:<u7@EXAMPLE.org>\r\n"
				 "RCPT TO:<U7@example.org>\r\n"
				 "RCPT TO:<u7@sub.example.org>\r\n"
				 "RCPT TO:<user@sub.example.org>\r\n"),
			 "250 250 550 250");
	cr_expect_str_eq(say(fd, "BDAT 0 LAST\r\n"), "250");
	cr_expect_eq(fake.kept[0].rcpt_count, 102, "%zu",
		     fake.kept[0].rcpt_count);
	close(fd);
}

/* RFC 5321 section 4.5.1: without regard to case, so 1,024 are one. */
Test(content, postmaster_has_no_case)
{
	static const char name[] = "postmaster";
	char rcpt[64];
	int fd;

	world_open("limits = { recipients = 3; };");
	fd = client_open();
	say(fd, HELLO FROM);
	for (unsigned bits = 0; bits < 1u << (sizeof(name) - 1); bits++) {
		int n = sprintf(rcpt, "RCPT TO:<%s@example.com>\r\n", name);

		cr_assert_gt(n, 0);
		for (unsigned i = 0; i < sizeof(name) - 1; i++)
			rcpt[9 + i] ^= (bits >> i & 1) ? 'a' ^ 'A' : 0;
		cr_assert_str_eq(say(fd, rcpt), "250", "%s", rcpt);
	}
	cr_expect_str_eq(say(fd, "RCPT TO:<postmaster2@example.org>\r\n"
				 "RCPT TO:<PostMaster2@example.org>\r\n"
				 "BDAT 0 LAST\r\n"),
			 "250 250 250");
	cr_expect_eq(fake.kept[0].rcpt_count, 3);
	close(fd);
}

/* Somebody else. */
static struct holding holding_of(const char *text)
{
	struct net_addr a;
	struct holding h;

	cr_assert_eq(net_addr_parse(span_str(text), &a), MX_OK);
	holding_begin(&h, policy_shares(world.policy), &a);
	return h;
}

static const char *name_rcpt(int fd, int i)
{
	char line[600];

	snprintf(line, sizeof(line),
		 "RCPT TO:<u%d@example.org> ORCPT=rfc822;%0450d\r\n", i, i);
	return say(fd, line);
}

/* When others hold the memory, a few recipients are taken all the same, and
 * the others are for another transaction. */
Test(content, envelopes_have_a_budget)
{
	struct holding other;
	int fd, taken = 0;

	world_open("limits = { recipients = 100; errors = 2; };");
	other = holding_of("192.0.2.99");
	holding_set_memory(&other, SHARES_MEMORY_BYTES);
	fd = client_open();
	say(fd, HELLO FROM);
	while (taken < 100 && strcmp(name_rcpt(fd, taken), "250") == 0)
		taken++;
	cr_expect(taken >= 4 && taken < 20, "%d", taken);
	cr_expect_not_null(strstr(ask(fd, TO), "452 4.5.3"));
	cr_expect_str_eq(say(fd, TO TO "BDAT 0 LAST\r\n"), "452 452 250");
	cr_expect_eq((int)fake.kept[0].rcpt_count, taken);
	cr_expect_str_eq(say(fd, FROM), "250");
	cr_expect_str_eq(name_rcpt(fd, taken), "250");
	holding_end(&other);
	for (int i = 0; i < 99; i++)
		cr_assert_str_eq(name_rcpt(fd, i), "250");
	cr_expect_gt(shares_memory(policy_shares(world.policy)), 0);
	say(fd, "RSET\r\n");
	cr_expect_eq(shares_memory(policy_shares(world.policy)), 0);
	close(fd);
}

static bool does_flow(struct span domain, void *arg)
{
	(void)arg;
	return span_eq(domain, SPAN_LIT("sub.example.org"));
}

/* Near full: refused for one domain, taken for another, and the spool is told
 * whose mail leaves at once. */
Test(content, domains_have_their_share)
{
	int fd;

	world.hooks.flows = does_flow;
	world_open("");
	fake.tight = true;
	fake.share = MX_ESHARE;
	fd = client_open();
	say(fd, HELLO "MAIL FROM:<a@b.test> SIZE=7000\r\n");
	cr_expect_not_null(strstr(ask(fd, TO), "452 4.3.1 No space left for"));
	cr_expect_eq(fake.expected, 7000);
	cr_expect_eq(fake.claim, SPOOL_CLAIM_SHARE);
	cr_expect_str_eq(say(fd, "RCPT TO:<user@sub.example.org>\r\n"), "250");
	cr_expect_eq(fake.claim, SPOOL_CLAIM_FLOW);
	cr_expect_str_eq(say(fd, "BDAT 0 LAST\r\n"), "250");
	cr_expect_eq(fake.kept[0].claim, SPOOL_CLAIM_FLOW);
	/* roomy: nobody is asked */
	fake.tight = false;
	cr_expect_str_eq(say(fd, FROM TO "BDAT 0 LAST\r\n"), "250 250 250");
	cr_expect_eq(fake.kept[1].claim, SPOOL_CLAIM_SHARE);
	/* the writer knows better */
	fake.commit = MX_ESHARE;
	say(fd, FROM TO);
	cr_expect_not_null(strstr(ask(fd, "BDAT 0 LAST\r\n"),
				  "452 4.3.1 No space left for"));
	close(fd);
}

Test(content, without_a_second_copy_mail_may_be_refused)
{
	int fd;

	world_open("");
	fake.commit = MX_EMIRROR;
	fd = client_open();
	say(fd, MAIL);
	cr_expect_not_null(strstr(ask(fd, "BDAT 0 LAST\r\n"),
				  "451 4.3.0 No second copy"));
	close(fd);
}

/* A network's content that is not committed must leave room for others'. */
Test(content, content_under_way_is_bounded)
{
	struct holding other;
	int fd;

	world_open("");
	other = holding_of("192.0.2.7"); /* the same as the client's */
	cr_assert(holding_set_content(&other, FAKE_ROOM / 3, FAKE_ROOM));
	fd = client_open();
	say(fd, MAIL "DATA\r\n");
	cr_expect_not_null(strstr(ask(fd, "x\r\n.\r\n"), "452 4.3.1 Too"));
	cr_expect_str_eq(say(fd, FROM TO "BDAT 3\r\nx\r\n"), "250 250 452");
	holding_set_content(&other, FAKE_ROOM / 5, FAKE_ROOM);
	say(fd, FROM TO "DATA\r\n");
	cr_expect_str_eq(say(fd, "x\r\n.\r\n"), "250");
	holding_end(&other);
	close(fd);
}

static void add_lines(struct buf *b, size_t bytes)
{
	for (size_t n = 0; n < bytes; n += 64) {
		char line[65];

		memset(line, 'x', 62);
		strcpy(line + 62, "\r\n");
		buf_adds(b, line);
	}
}

/* RFC 1870 section 6.3: read it to the end, then say it was too much. */
Test(content, message_size)
{
	struct buf b = { 0 };
	char bdat[64];
	int fd;

	world_open("limits = { message_size = \"1M\"; };");
	fd = client_open();
	cr_expect_str_eq(say(fd,
			     HELLO "MAIL FROM:<a@b.test> SIZE=1048577\r\n"
				   "MAIL FROM:<a@b.test> SIZE=1048576\r\n" TO),
			 "250 552 250 250");
	say(fd, "DATA\r\n");
	add_lines(&b, 1 << 20);
	buf_adds(&b, ".\r\n");
	client_send(fd, buf_span(&b));
	cr_expect_str_eq(codes(client_read(fd)), "250");
	cr_expect_eq(fake.kept_count, 1);
	/* one byte more */
	say(fd, FROM TO);
	say(fd, "DATA\r\n");
	client_send(fd, SPAN_LIT("x"));
	client_send(fd, buf_span(&b));
	cr_expect_str_eq(codes(client_read(fd)), "552");
	cr_expect_eq(fake.kept_count, 1);
	cr_expect_eq(fake.drafts, 0);
	/* chunks: the one that is too much is swallowed */
	buf_reset(&b);
	buf_adds(&b, FROM TO);
	snprintf(bdat, sizeof(bdat), "BDAT %d\r\n", 1 << 19);
	for (int i = 0; i < 3; i++) {
		buf_adds(&b, bdat);
		add_lines(&b, 1 << 19);
	}
	buf_adds(&b, "BDAT 5 LAST\r\nQUIT\nNOOP\r\n");
	client_send(fd, buf_span(&b));
	cr_expect_str_eq(codes(client_read(fd)), "250 250 250 250 552 503 250");
	cr_expect_eq(fake.drafts, 0);
	buf_fini(&b);
	close(fd);
}

/* Content may grow by repairs: bare LF becomes CR LF. */
Test(content, repairs_count_for_the_size)
{
	struct buf b = { 0 };
	int fd;

	world_open("limits = { message_size = \"1M\"; };");
	fd = client_open();
	say(fd, MAIL);
	buf_adds(&b, "BDAT 1048576 LAST\r\n");
	memset(buf_reserve(&b, 1 << 20), '\n', 1 << 20);
	b.n += 1 << 20;
	client_send(fd, buf_span(&b));
	cr_expect_str_eq(codes(client_read(fd)), "552");
	buf_fini(&b);
	close(fd);
}

/* RFC 5321 section 6.3. */
Test(content, hops)
{
	struct buf b = { 0 };
	int fd;

	world_open("limits = { hops = 5; };");
	for (int n = 4; n <= 5; n++) {
		buf_reset(&b);
		for (int i = 0; i < n; i++)
			buf_adds(&b, "Received: from a by b\r\n");
		buf_adds(&b, "\r\nReceived: no field\r\n.\r\n");
		fd = client_open();
		say(fd, MAIL);
		say(fd, "DATA\r\n");
		cr_expect_eq(strncmp(ask(fd, buf_cstr(&b)),
				     n < 5 ? "250 2.6.0 " : "554 5.4.6 ", 10),
			     0);
		close(fd);
	}
	cr_expect_eq(fake.kept_count, 1);
	buf_fini(&b);
}

Test(content, storage_fails)
{
	int fd;

	world_open("limits = { errors = 2; };");
	fd = client_open();
	fake.room = MX_ESPACE;
	cr_expect_str_eq(ask(fd, HELLO) != NULL ? say(fd, FROM) : "", "452");
	fake.room = MX_EIO;
	cr_expect_str_eq(say(fd, FROM), "451");
	fake.room = MX_OK;
	fake.begin = MX_ESPACE;
	cr_expect_str_eq(say(fd, FROM TO "DATA\r\n"), "250 250 452");
	cr_expect_str_eq(say(fd, "BDAT 3 LAST\r\nx\r\n"), "452");
	fake.begin = MX_OK;
	fake.write = MX_ESPACE;
	say(fd, FROM TO "DATA\r\n");
	cr_expect_str_eq(say(fd, "x\r\n.\r\n"), "452");
	fake.write = MX_OK;
	fake.commit = MX_EIO;
	say(fd, FROM TO "DATA\r\n");
	cr_expect_str_eq(say(fd, "x\r\n.\r\n"), "451");
	fake.commit = MX_OK;
	say(fd, FROM TO "DATA\r\n");
	cr_expect_str_eq(say(fd, "x\r\n.\r\n"), "250");
	cr_expect_eq(fake.kept_count, 1);
	close(fd);
}

/* The next command waits for the disk; nothing is said before. */
Test(content, the_reply_follows_the_commit)
{
	int fd;

	world_open("");
	fake.slow = true;
	fd = client_open();
	cr_expect_str_eq(say(fd, MAIL "BDAT 3 LAST\r\nx\r\n" FROM "NOOP\r\n"),
			 "250 250 250");
	cr_expect_str_eq(say(fd, "NOOP\r\n"), "");
	fake_committed();
	cr_expect_str_eq(codes(client_read(fd)), "250 250 250 250");
	close(fd);
}

/* Who leaves before the answer leaves nothing behind but its message. */
Test(content, the_client_leaves_during_the_commit)
{
	int fd;

	world_open("");
	fake.slow = true;
	fd = client_open();
	say(fd, MAIL "BDAT 3 LAST\r\nx\r\n");
	/* unread replies turn close(2) into a reset */
	client_send(fd, SPAN_LIT("NOOP\r\n"));
	close(fd);
	settle();
	fake_committed();
	settle();
	cr_expect_eq(intake_sessions(world.intake), 0);
	cr_expect_eq(fake.kept_count, 1);
}

Test(content, the_daemon_leaves_during_the_commit)
{
	int fd;

	world_open("");
	fake.slow = true;
	fd = client_open();
	say(fd, MAIL "BDAT 3 LAST\r\nx\r\n");
	intake_stop(world.intake);
	cr_expect_eq(intake_sessions(world.intake), 1);
	fake_committed();
	cr_expect_str_eq(codes(client_read(fd)), "250 421 .");
	cr_expect_eq(intake_sessions(world.intake), 0);
	/* and once more, not waiting for it */
	close(fd);
}

Test(content, freed_during_the_commit)
{
	int fd;

	world_open("");
	fake.slow = true;
	fd = client_open();
	say(fd, MAIL "BDAT 3 LAST\r\nx\r\n");
	world.intake->is_stopping = true;
	intake_free(&world.intake);
	fake_committed();
	close(fd);
}

Test(content, a_lost_client_leaves_no_draft)
{
	static const char *const befores[] = { MAIL "BDAT 3\r\nx\r\n",
					       MAIL "BDAT 300\r\nx\r\n",
					       MAIL "BDAT 3\r\nx\r\nRSET\r\n" };
	int fd;

	world_open("");
	for (size_t i = 0; i < COUNT(befores); i++) {
		fd = client_open();
		say(fd, befores[i]);
		close(fd);
		settle();
		cr_expect_eq(fake.drafts, 0);
		cr_expect_eq(intake_sessions(world.intake), 0);
	}
	fd = client_open();
	say(fd, MAIL);
	say(fd, "DATA\r\n");
	say(fd, "half a line");
	close(fd);
	settle();
	cr_expect_eq(fake.drafts, 0);
	cr_expect_eq(fake.kept_count, 0);
}

/* Backpressure: a busy disk stops the reading, and nothing is lost. */
Test(content, busy_spool)
{
	struct buf b = { 0 };
	size_t sent = 0;
	ssize_t n;
	int fd;

	world_open("");
	fd = client_open();
	say(fd, MAIL);
	say(fd, "DATA\r\n");
	fake.busy = true;
	add_lines(&b, 1 << 20);
	buf_adds(&b, ".\r\n");
	for (int i = 0; i < 100; i++) {
		n = send(fd, b.p + sent, b.n - sent, MSG_DONTWAIT);
		sent += n > 0 ? (size_t)n : 0;
		settle();
	}
	cr_expect_lt(sent, b.n, "all was read");
	cr_expect_eq(fake.waiter_count, 1);
	fake_has_room();
	client_send(fd, span_skip(buf_span(&b), sent));
	cr_expect_str_eq(codes(client_read(fd)), "250");
	cr_expect_eq(strlen(fake_content()), b.n - 3);
	/* one that dies while it waits */
	say(fd, FROM TO);
	say(fd, "DATA\r\n");
	fake.busy = true;
	say(fd, "x\r\n");
	cr_expect_eq(fake.waiter_count, 1);
	world.intake->is_stopping = true;
	intake_free(&world.intake);
	cr_expect_eq(fake.waiter_count, 0);
	buf_fini(&b);
	close(fd);
}
