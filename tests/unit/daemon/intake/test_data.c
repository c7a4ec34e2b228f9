/* DATA and BDAT: where content begins and ends. */
#include "tests/unit/daemon/intake/world.h"

#define MAIL HELLO FROM TO

TestSuite(data, .fini = world_close);

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
			cr_expect_str_eq(fake_content(), cases[i].content,
					 "case %zu by %zu: %s", i, steps[j],
					 fake_content());
		}
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
			cr_expect_str_eq(fake_content(), cases[i].content,
					 "case %zu by %zu: %s", i, steps[j],
					 fake_content());
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
	cr_expect_str_eq(fake_content(), "x\r\ny\r\n");
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

/* In many small chunks content comes no slower than in one. */
Test(data, chunks_that_trickle)
{
	int fd;

	world_open("limits = { command_timeout = \"1h\"; "
		   "data_timeout = \"100ms\"; };");
	fd = client_open();
	say(fd, HELLO FROM TO);
	for (int i = 0; i < 200 && intake_sessions(world.intake) > 0; i++) {
		ev_sleep(.01);
		client_send(fd, SPAN_LIT("BDAT 1\r\nx"));
	}
	cr_expect_eq(intake_sessions(world.intake), 0);
	cr_expect_eq(fake.drafts, 0);
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
