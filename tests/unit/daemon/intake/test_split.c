/*
 * What a client says is answered the same however the network cuts it: random
 * dialogues, sent whole, in random pieces and byte by byte.
 */
#include "tests/unit/daemon/intake/world.h"

TestSuite(split, .fini = world_close);

static uint32_t state = 1;

static uint32_t dice(uint32_t sides)
{
	state = state * 1664525u + 1013904223u;
	return (state >> 8) % sides;
}

/* DATA, STARTTLS and a BDAT without a size are missing: where the packet ends
 * matters for them. */
static const char *const lines[] = {
	"EHLO client.test\r\n",
	"HELO x\r\n",
	"MAIL FROM:<a@b.test>\r\n",
	"MAIL FROM:<> SIZE=100 BODY=8BITMIME\r\n",
	"MAIL FROM:<a@b.test> SIZE=99999999999\r\n",
	"RCPT TO:<user@example.com>\r\n",
	"RCPT TO:<any@example.org>\r\n",
	"RCPT TO:<nobody@example.com>\r\n",
	"RCPT TO:<x@elsewhere.test>\r\n",
	"RSET\r\n",
	"NOOP\r\n",
	"VRFY x\r\n",
	"HELP\r\n",
	"FOO\r\n",
	"\r\n",
	"\n",
	"NOOP\n",
	"NO\rOP\r\n",
	"BDAT 0\r\n",
	"BDAT 0 LAST\r\n",
};

static void add_chunk(struct buf *b)
{
	static const char bytes[] = "ab.\r\n\r\n.QUIT";
	uint32_t n = dice(40);

	buf_addf(b, "BDAT %u%s\r\n", n, dice(2) == 0 ? " LAST" : "");
	for (uint32_t i = 0; i < n; i++)
		buf_addc(b, bytes[dice(sizeof(bytes) - 1)]);
}

static void add_long_line(struct buf *b)
{
	uint32_t n = 2000 + dice(3000);

	for (uint32_t i = 0; i < n; i++)
		buf_addc(b, 'x');
	buf_adds(b, "\r\n");
}

/* Mostly what makes sense, so that all phases are seen. */
static void make(struct buf *b)
{
	buf_reset(b);
	for (uint32_t i = dice(30); i > 0; i--) {
		switch (dice(12)) {
		case 0:
			add_chunk(b);
			break;
		case 1:
			if (dice(10) == 0)
				add_long_line(b);
			break;
		case 2:
		case 3:
		case 4:
			buf_adds(b, lines[0]);
			buf_adds(b, lines[2]);
			buf_adds(b, lines[5 + dice(4)]);
			add_chunk(b);
			break;
		default:
			buf_adds(b, lines[dice(COUNT(lines))]);
			break;
		}
	}
}

static void run(struct span all, uint32_t most, char *out)
{
	int fd = client_open();

	fake.kept_count = 0;
	while (all.n > 0) {
		size_t n = most == 0 ? all.n : 1 + dice(most);

		n = n < all.n ? n : all.n;
		client_send(fd, span_of(all.p, n));
		all = span_skip(all, n);
	}
	strcpy(out, codes(client_read(fd)));
	close(fd);
	settle();
	cr_assert_eq(fake.drafts, 0);
	cr_assert_eq(intake_sessions(world.intake), 0);
}

Test(split, makes_no_difference)
{
	static char whole[8000], cut[8000];
	struct buf b = { 0 };
	size_t messages = 0;

	world_open("limits = { errors = 1000; };");
	for (int i = 0; i < 150; i++) {
		size_t kept;

		make(&b);
		run(buf_span(&b), 0, whole);
		kept = fake.kept_count;
		messages += kept;
		run(buf_span(&b), 300, cut);
		cr_assert_str_eq(whole, cut, "%s", buf_cstr(&b));
		cr_assert_eq(kept, fake.kept_count);
		run(buf_span(&b), i % 10 == 0 ? 1 : 20, cut);
		cr_assert_str_eq(whole, cut, "%s", buf_cstr(&b));
		cr_assert_eq(kept, fake.kept_count);
	}
	cr_expect_gt(messages, 100, "%zu", messages);
	buf_fini(&b);
}
