/* The content: DATA, BDAT, what is kept of it and what is not. */
#include "tests/unit/daemon/intake/world.h"

#define HELLO "EHLO client.test\r\n"
#define FROM "MAIL FROM:<a@b.test>\r\n"
#define TO "RCPT TO:<user@example.com>\r\n"
#define MAIL HELLO FROM TO

TestSuite(data, .fini = world_close);

/* The content of the last message without our Received field. */
static const char *content(void)
{
	struct kept *k = &fake.kept[(fake.kept_count - 1) % FAKE_KEPT];
	const char *p = buf_cstr(&k->content);

	cr_assert_eq(strncmp(p, "Received: from ", 15), 0, "%s", p);
	do
		p = strstr(p, "\r\n") + 2;
	while (*p == ' ' || *p == '\t');
	return p;
}

static const char *send_data(const char *wire, size_t step)
{
	static char got[100];
	struct span all = span_str(wire);
	int fd = client_open();

	cr_assert_str_eq(say(fd, MAIL), "250 250 250");
	cr_assert_str_eq(say(fd, "DATA\r\n"), "354");
	while (all.n > 0) {
		size_t n = step < all.n ? step : all.n;

		client_send(fd, span_of(all.p, n));
		all = span_skip(all, n);
	}
	strcpy(got, codes(client_read(fd)));
	close(fd);
	settle();
	return got;
}

/* RFC 5321 section 4.5.2: only CR LF . CR LF ends the data. */
Test(data, dots_and_line_ends)
{
	static const struct {
		const char *wire, *codes, *content;
	} cases[] = {
		{ "A: b\r\n\r\nhello\r\n.\r\n", "250",
		  "A: b\r\n\r\nhello\r\n" },
		{ ".\r\n", "250", "" },
		{ "..\r\n...\r\n.x\r\n.\r\n", "250", ".\r\n..\r\nx\r\n" },
		{ "x\r\n.\r\nQUIT\r\n", "250 221 .", "x\r\n" },
		/* smuggling: none of these is an end */
		{ "x\n.\r\nMAIL FROM:<c@d>\r\n.\r\n", "250",
		  "x\r\n.\r\nMAIL FROM:<c@d>\r\n" },
		{ "x\n.\nMAIL FROM:<c@d>\r\n.\r\n", "250",
		  "x\r\n.\r\nMAIL FROM:<c@d>\r\n" },
		{ "x\r\n.\nMAIL FROM:<c@d>\r\n.\r\n", "250",
		  "x\r\n\r\nMAIL FROM:<c@d>\r\n" },
		{ "x\r\n.\rMAIL FROM:<c@d>\r\n.\r\n", "250",
		  "x\r\n MAIL FROM:<c@d>\r\n" },
		{ "x\r.\rMAIL FROM:<c@d>\r\n.\r\n", "250",
		  "x . MAIL FROM:<c@d>\r\n" },
	};
	static const size_t steps[] = { 1, 2, 3, 5, 1000 };

	world_open("");
	for (size_t i = 0; i < COUNT(cases); i++)
		for (size_t j = 0; j < COUNT(steps); j++) {
			const char *got = send_data(cases[i].wire, steps[j]);

			cr_expect_str_eq(got, cases[i].codes, "case %zu by %zu",
					 i, steps[j]);
			cr_expect_str_eq(content(), cases[i].content,
					 "case %zu by %zu: %s", i, steps[j],
					 content());
		}
}

Test(data, what_is_kept)
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

Test(data, lifetime_is_the_domains)
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
Test(data, postmaster)
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
Test(data, duplicates)
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
Test(data, postmaster_has_no_case)
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
Test(data, envelopes_have_a_budget)
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
Test(data, domains_have_their_share)
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

Test(data, without_a_second_copy_mail_may_be_refused)
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
Test(data, content_under_way_is_bounded)
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

/* RFC 3030 section 2. */
Test(data, chunks)
{
	static const struct {
		const char *lines, *codes, *content;
	} cases[] = {
		{ MAIL "BDAT 7 LAST\r\nhello\r\n", "250 250 250 250",
		  "hello\r\n" },
		{ MAIL "BDAT 3\r\nhelBDAT 4 LAST\r\nlo\r\n",
		  "250 250 250 250 250", "hello\r\n" },
		{ MAIL "BDAT 7\r\nhello\r\nBDAT 0 LAST\r\n",
		  "250 250 250 250 250", "hello\r\n" },
		{ MAIL "BDAT 0 LAST\r\n", "250 250 250 250", "" },
		{ MAIL "BDAT 0\r\nBDAT 0\r\nBDAT 0 LAST\r\n",
		  "250 250 250 250 250 250", "" },
		/* a dot is nothing special, nor is a command */
		{ MAIL "BDAT 15 LAST\r\n.\r\n..\r\nQUIT\r\n\r\n",
		  "250 250 250 250", ".\r\n..\r\nQUIT\r\n\r\n" },
		/* line ends across chunks */
		{ MAIL "BDAT 2\r\nx\rBDAT 1\r\n\nBDAT 1 LAST\r\n\r",
		  "250 250 250 250 250 250", "x\r\n " },
		{ MAIL "BDAT 4 LAST\r\na\nb\n", "250 250 250 250",
		  "a\r\nb\r\n" },
		/* other commands between */
		{ MAIL "BDAT 3\r\nx\r\nNOOP\r\nBDAT 0 LAST\r\n",
		  "250 250 250 250 250 250", "x\r\n" },
		{ MAIL "BDAT 3\r\nx\r\n" TO FROM "BDAT 0 LAST\r\n",
		  "250 250 250 250 503 503 250", "x\r\n" },
		{ MAIL "BDAT 3\r\nx\r\nRSET\r\n" FROM TO "BDAT 3 LAST\r\ny\r\n",
		  "250 250 250 250 250 250 250 250", "y\r\n" },
		{ MAIL "BDAT 3\r\nx\r\nEHLO x\r\n" FROM TO
		       "BDAT 3 LAST\r\ny\r\n",
		  "250 250 250 250 250 250 250 250", "y\r\n" },
		/* out of place: swallowed, then refused */
		{ "BDAT 6 LAST\r\nQUIT\r\n" MAIL "BDAT 3 LAST\r\nx\r\n",
		  "503 250 250 250 250", "x\r\n" },
		{ HELLO "BDAT 6\r\nQUIT\r\n" FROM TO "BDAT 3 LAST\r\nx\r\n",
		  "250 503 250 250 250", "x\r\n" },
		{ HELLO FROM "BDAT 6 LAST\r\nQUIT\r\n" FROM TO
			     "BDAT 3 LAST\r\nx\r\n",
		  "250 250 554 250 250 250", "x\r\n" },
		{ HELLO FROM "BDAT 6\r\nQUIT\r\nBDAT 6\r\nQUIT\r\n"
			     "BDAT 6 LAST\r\nQUIT\r\n" FROM TO
			     "BDAT 3 LAST\r\nx\r\n",
		  "250 250 554 503 503 250 250 250", "x\r\n" },
	};
	static const size_t steps[] = { 1, 2, 7, 10000 };

	world_open("");
	for (size_t i = 0; i < COUNT(cases); i++)
		for (size_t j = 0; j < COUNT(steps); j++) {
			const char *got = dialogue(cases[i].lines, steps[j]);

			cr_expect_str_eq(got, cases[i].codes, "by %zu: %s-> %s",
					 steps[j], cases[i].lines, got);
			cr_expect_str_eq(content(), cases[i].content,
					 "case %zu by %zu: %s", i, steps[j],
					 content());
		}
}

/* DATA after BDAT belongs to no transaction (RFC 3030 section 2). */
Test(data, chunks_and_data_do_not_mix)
{
	int fd;

	world_open("");
	fd = client_open();
	cr_expect_str_eq(say(fd, MAIL "BDAT 3\r\nx\r\n"), "250 250 250 250");
	cr_expect_str_eq(say(fd, "DATA\r\n"), "503");
	cr_expect_str_eq(say(fd, "BDAT 3 LAST\r\ny\r\n"), "250");
	cr_expect_str_eq(content(), "x\r\ny\r\n");
	close(fd);
}

/* What was on the way behind a refused chunk is no crowd of errors. */
Test(data, refused_chunks_are_one_error)
{
	int fd;

	world_open("limits = { errors = 2; };");
	fd = client_open();
	cr_expect_str_eq(say(fd, HELLO FROM "BDAT 1\r\nxBDAT 1\r\nxBDAT 1\r\nx"
					    "BDAT 1\r\nxBDAT 1 LAST\r\nx" FROM),
			 "250 250 554 503 503 503 503 250");
	close(fd);
}

/* A line that is content must not become a command, whatever its chunk. */
Test(data, sizes_of_chunks)
{
	static const struct {
		const char *bdat, *codes;
	} cases[] = {
		{ "BDAT 1048577 LAST", "" },	    /* discarded first */
		{ "BDAT 99999999999999", "552 ." }, /* never worth it */
		{ "BDAT 18446744073709551615 LAST", "552 ." },
		{ "BDAT 18446744073709551616 LAST", "501" },
		{ "BDAT 1e3", "501" },
	};

	world_open("limits = { message_size = \"1M\"; };");
	for (size_t i = 0; i < COUNT(cases); i++) {
		int fd = client_open();
		char line[100];

		snprintf(line, sizeof(line), "%s\r\n", cases[i].bdat);
		say(fd, MAIL);
		cr_expect_str_eq(say(fd, line), cases[i].codes, "%s", line);
		close(fd);
	}
}

/* Where a chunk ends that has no legible size is anybody's guess. */
Test(data, a_chunk_of_unknown_size_is_no_command)
{
	static const char *const wrong[] = {
		"BDAT",		 "BDAT LAST",
		"BDAT x",	 "BDAT -6",
		"BDAT 6 MORE",	 "BDAT 6 LAST LAST",
		"BDAT 6 LAST x", "BDAT 18446744073709551616",
	};

	world_open("");
	for (size_t i = 0; i < COUNT(wrong); i++) {
		int fd = client_open();
		char lines[100];

		say(fd, MAIL);
		snprintf(lines, sizeof(lines), "%s\r\nRSET\r\n", wrong[i]);
		cr_expect_str_eq(say(fd, lines), "501 .", "%s", lines);
		close(fd);
		/* alone it may have been a question */
		fd = client_open();
		say(fd, MAIL);
		snprintf(lines, sizeof(lines), "%s\r\n", wrong[i]);
		cr_expect_str_eq(say(fd, lines), "501", "%s", lines);
		cr_expect_str_eq(say(fd, "RSET\r\n"), "250");
		close(fd);
	}
	cr_expect_eq(fake.kept_count, 0);
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
Test(data, message_size)
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
Test(data, repairs_count_for_the_size)
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
Test(data, hops)
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

Test(data, storage_fails)
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
Test(data, the_reply_follows_the_commit)
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
Test(data, the_client_leaves_during_the_commit)
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

Test(data, the_daemon_leaves_during_the_commit)
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

Test(data, freed_during_the_commit)
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

Test(data, a_lost_client_leaves_no_draft)
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
Test(data, busy_spool)
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
	cr_expect_eq(strlen(content()), b.n - 3);
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

/* RFC 5321 section 4.5.3.2.5. */
Test(data, timeout)
{
	int fd;

	world_open("limits = { data_timeout = \"1s\"; };");
	fd = client_open();
	say(fd, MAIL);
	say(fd, "DATA\r\n");
	/* each piece counts anew */
	for (int i = 0; i < 30; i++) {
		ev_sleep(.05);
		say(fd, "x\r\n");
	}
	cr_expect_eq(intake_sessions(world.intake), 1);
	client_await(fd);
	cr_expect_str_eq(codes(client_read(fd)), "421 .");
	cr_expect_eq(fake.drafts, 0);
	close(fd);
}
