#include <criterion/criterion.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/net/proxy.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define LIT(s)                                                                 \
	{                                                                      \
		"" s, sizeof(s) - 1                                            \
	}
#define V4_BLOCK "\xc0\x00\x02\x01\xc0\x00\x02\x02\x12\x34\x00\x19"

static const struct {
	struct span in;
	enum proxy_state st;
	const char *client;
	size_t left; /* bytes behind the header */
} cases[] = {
	/* version 1, section 2.1 */
	{ LIT("PROXY TCP4 192.0.2.1 192.0.2.2 4660 25\r\nEHLO"), PROXY_DONE,
	  "192.0.2.1:4660", 4 },
	{ LIT("PROXY TCP6 2001:db8::1 2001:db8::2 4660 25\r\n"), PROXY_DONE,
	  "[2001:db8::1]:4660", 0 },
	{ LIT("PROXY UNKNOWN\r\nx"), PROXY_LOCAL, NULL, 1 },
	{ LIT("PROXY UNKNOWN whatever comes\r\n"), PROXY_LOCAL, NULL, 0 },
	{ LIT("PROXY TCP4 192.0.2.1 192.0.2.2 4660 25\n"), PROXY_BAD, NULL, 0 },
	{ LIT("PROXY TCP4 192.0.2.1 192.0.2.2 4660 25 \r\n"), PROXY_BAD, NULL,
	  0 },
	{ LIT("PROXY TCP4  192.0.2.1 192.0.2.2 4660 25\r\n"), PROXY_BAD, NULL,
	  0 },
	{ LIT("PROXY TCP4 192.0.2.1 192.0.2.2 04660 25\r\n"), PROXY_BAD, NULL,
	  0 },
	{ LIT("PROXY TCP4 192.0.2.1 192.0.2.2 4660\r\n"), PROXY_BAD, NULL, 0 },
	{ LIT("PROXY TCP4 192.0.2.1 192.0.2.2 4660 65536\r\n"), PROXY_BAD, NULL,
	  0 },
	{ LIT("PROXY TCP4 2001:db8::1 2001:db8::2 4660 25\r\n"), PROXY_BAD,
	  NULL, 0 },
	{ LIT("PROXY TCP6 192.0.2.1 192.0.2.2 4660 25\r\n"), PROXY_BAD, NULL,
	  0 },
	{ LIT("PROXY UDP4 192.0.2.1 192.0.2.2 4660 25\r\n"), PROXY_BAD, NULL,
	  0 },
	{ LIT("proxy TCP4 192.0.2.1 192.0.2.2 4660 25\r\n"), PROXY_BAD, NULL,
	  0 },
	{ LIT("EHLO client.example\r\n"), PROXY_BAD, NULL, 0 },
	{ LIT("PROXY TCP4 192.0.2.1 192.0.2.2 4660 25\r"), PROXY_MORE, NULL,
	  0 },
	{ LIT("PRO"), PROXY_MORE, NULL, 0 },
	{ LIT(""), PROXY_MORE, NULL, 0 },
	/* version 2, section 2.2 */
	{ LIT(SIG "\x21\x11\x00\x0c" V4_BLOCK "EHLO"), PROXY_DONE,
	  "192.0.2.1:4660", 4 },
	{ LIT(SIG "\x21\x11\x00\x10" V4_BLOCK "\x05\x00\x01z"), PROXY_DONE,
	  "192.0.2.1:4660", 0 },
	{ LIT(SIG "\x21\x21\x00\x24"
		  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
		  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
		  "\x12\x34\x00\x19"),
	  PROXY_DONE, "[2001:db8::1]:4660", 0 },
	{ LIT(SIG "\x20\x00\x00\x00x"), PROXY_LOCAL, NULL, 1 },
	{ LIT(SIG "\x20\x11\x00\x0c" V4_BLOCK), PROXY_LOCAL, NULL, 0 },
	{ LIT(SIG "\x21\x00\x00\x02zz"), PROXY_LOCAL, NULL, 0 },
	{ LIT(SIG "\x21\x11\x00\x0b" V4_BLOCK), PROXY_BAD, NULL, 0 },
	{ LIT(SIG "\x21\x11\x00\x0e" V4_BLOCK "\x05\x00"), PROXY_BAD, NULL, 0 },
	{ LIT(SIG "\x21\x11\x00\x10" V4_BLOCK "\x05\x00\x02z"), PROXY_BAD, NULL,
	  0 },
	{ LIT(SIG "\x22\x11\x00\x0c" V4_BLOCK), PROXY_BAD, NULL, 0 },
	{ LIT(SIG "\x11\x11\x00\x0c" V4_BLOCK), PROXY_BAD, NULL, 0 },
	{ LIT(SIG "\x21\x12\x00\x0c" V4_BLOCK), PROXY_BAD, NULL, 0 },
	{ LIT(SIG "\x21\x11\xff\xff" V4_BLOCK), PROXY_BAD, NULL, 0 },
	{ LIT(SIG "\x21\x11\x00\x0c\xc0"), PROXY_MORE, NULL, 0 },
	{ LIT("\r\n\r\n"), PROXY_MORE, NULL, 0 },
	{ LIT("\r\n\r\nQUIT"), PROXY_BAD, NULL, 0 },
};

Test(proxy, header_is_taken_or_refused)
{
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct span in = cases[i].in;
		struct net_addr client;
		enum proxy_state st = proxy_parse(&in, &client);

		cr_assert_eq(st, cases[i].st, "case %zu: %d", i, (int)st);
		if (st == PROXY_MORE || st == PROXY_BAD) {
			cr_expect_eq(in.n, cases[i].in.n, "case %zu", i);
			continue;
		}
		cr_expect_eq(in.n, cases[i].left, "case %zu", i);
		if (cases[i].client != NULL) {
			struct buf b = { 0 };

			net_endpoint_add(&b, &client);
			cr_expect_str_eq(buf_cstr(&b), cases[i].client);
			buf_fini(&b);
		}
	}
}

/* Byte by byte it says "more" until the verdict, and then the same one. */
Test(proxy, pieces_come_to_the_same)
{
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t whole = cases[i].in.n - cases[i].left;
		enum proxy_state st = PROXY_MORE;

		for (size_t n = 0; n <= whole && st == PROXY_MORE; n++) {
			/* exact copies: a read too far shows under ASan */
			char *copy = malloc(n + 1);
			struct span in = { copy + 1, n };
			struct net_addr client;

			memcpy(copy + 1, cases[i].in.p, n);
			st = proxy_parse(&in, &client);
			if (n < whole)
				cr_expect(st == PROXY_MORE ||
					  cases[i].st == PROXY_BAD);
			free(copy);
		}
		cr_expect_eq(st, cases[i].st, "case %zu", i);
	}
}

Test(proxy, line_without_end_is_refused)
{
	char line[200] = "PROXY UNKNOWN ";

	memset(line + 14, 'x', sizeof(line) - 14);
	for (size_t n = 14; n < sizeof(line); n++) {
		struct span in = { line, n };
		struct net_addr client;

		cr_expect_eq(proxy_parse(&in, &client),
			     n < 107 ? PROXY_MORE : PROXY_BAD);
	}
}
