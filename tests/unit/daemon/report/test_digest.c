/* The day's digest: when it is due, what it says, and what cannot break it. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "daemon/report/digest.h"

#define DAY0 ((int64_t)20000 * 86400000) /* midnight, UTC */
#define SHELF DAYS(7)

static struct digest begin(void)
{
	return (struct digest){
		.domain = SPAN_LIT("example.com"),
		.hostname = SPAN_LIT("mx2.example.net"),
		.about = { DAY0 - DAYS(1), DAY0 },
		.shelf_ms = SHELF,
		.now_ms = DAY0 + MINUTES(2),
	};
}

/* One recipient that came on the shelf then. */
static void add(struct digest *d, const char *from, const char *to,
		const char *reply, int64_t at_ms)
{
	struct recipient r = {
		.path = span_str(to),
		.last_reply = span_str(reply),
		.state = RECIPIENT_SHELVED,
		.until_ms = at_ms + SHELF,
	};
	struct unit u = {
		.envelope = { .id = 77, .from = span_str(from) },
		.rcpts = &r,
		.rcpt_count = 1,
	};

	digest_add(d, &u);
}

/* Undo quoted-printable, roughly: "=\r\n" and "=XX". */
static void decode(struct buf *text)
{
	struct span s = buf_span(text);
	struct buf out = { 0 };

	for (; s.n > 0; s = span_skip(s, 1)) {
		unsigned c;

		if (s.n < 3 || s.p[0] != '=' || s.p[1] == '_') {
			buf_addc(&out, s.p[0]);
			continue;
		}
		if (s.p[1] != '\r' && sscanf(s.p + 1, "%2X", &c) == 1)
			buf_addc(&out, (char)c);
		s = span_skip(s, 2);
	}
	buf_fini(text);
	*text = out;
}

static void check(const struct buf *out)
{
	struct span rest = buf_span(out);

	cr_expect_leq(out->n, DIGEST_BYTES_MAX);
	cr_expect_not(span_has_8bit(rest));
	cr_expect_eq(span_find(rest, '\0'), rest.n);
	while (rest.n > 0) {
		struct span line = span_cut(&rest, '\n');

		cr_assert(line.n > 0 && line.p[line.n - 1] == '\r');
		cr_assert_leq(line.n, 79, "%.*s", SPAN_ARG(line));
	}
}

/* Built, checked, and readable; the caller's. */
static struct buf build(struct digest *d)
{
	struct buf out = { 0 };

	digest_build(d, 5, 0x1234, &out);
	check(&out);
	decode(&out);
	buf_cstr(&out);
	digest_fini(d);
	return out;
}

static bool has(const struct buf *b, const char *what)
{
	return strstr(b->p, what) != NULL;
}

Test(digest, is_due_once_a_day)
{
	const struct span name = SPAN_LIT("example.com");
	struct digest_span first, s;
	int64_t last = 0, due = 0;
	unsigned n = 0;

	cr_assert(digest_due(name, 0, DAY0, &first));
	last = first.until_ms;
	for (int64_t t = DAY0; t < DAY0 + DAYS(3); t += MINUTES(1)) {
		if (!digest_due(name, last, t, &s))
			continue;
		cr_expect_eq(s.from_ms, last, "nothing is left out");
		cr_expect_leq(s.until_ms + MINUTES(1), t);
		cr_expect_geq(s.until_ms % DAYS(1), HOURS(5));
		cr_expect_lt(s.until_ms % DAYS(1), HOURS(6));
		due = s.until_ms;
		last = due;
		n++;
	}
	cr_expect_eq(n, 3);
	/* days that were missed are one */
	cr_assert(digest_due(name, last, last + DAYS(9), &s));
	cr_expect_eq(s.from_ms, last);
	cr_expect_not(digest_due(name, s.until_ms, last + DAYS(9), &s));
	/* a clock that was ahead */
	cr_assert(digest_due(name, DAY0 + DAYS(400), DAY0, &s));
	cr_expect_eq(s.from_ms, 0);
	cr_expect_not(digest_due(name, 0, 0, &s));
}

Test(digest, domains_have_their_own_second)
{
	struct digest_span a, b;

	cr_assert(digest_due(SPAN_LIT("a.example"), 0, DAY0, &a));
	cr_assert(digest_due(SPAN_LIT("b.example"), 0, DAY0, &b));
	cr_expect_neq(a.until_ms, b.until_ms);
}

Test(digest, groups_what_was_refused_by_what_was_said)
{
	struct digest d = begin();
	struct buf out;
	char to[32];

	for (int i = 0; i < 1200; i++) {
		char reply[128];

		snprintf(to, sizeof(to), "u%d@example.com", i);
		snprintf(reply, sizeof(reply),
			 "550 5.1.1 <%s>: unknown, id 4F%06dX", to, i);
		add(&d, i % 2 ? "spam@x.example" : "", to, reply, DAY0 - 1);
	}
	add(&d, "a@y.example", "v@example.com", "554 5.7.1 no", DAY0);
	add(&d, "a@y.example", "v@example.com", "554 5.7.1 no", DAY0 - DAYS(2));
	add(&d, "a@y.example", "v@example.com", "554 5.7.1 no", DAY0 + 1);
	cr_expect_eq(d.group_count, 2);
	cr_expect_eq(d.messages, 1201, "the last is the next one's");
	cr_expect_eq(d.before, 1);
	out = build(&d);
	cr_expect(has(&out, "Subject: 1,201 messages refused for\r\n"
			    " example.com\r\n"));
	cr_expect(has(&out, "To: <postmaster@example.com>\r\n"));
	cr_expect(has(&out, "Auto-Submitted: auto-generated\r\n"));
	cr_expect(has(&out, "     1,200  550 5.1.1 <u0@example.com>: unknown"));
	cr_expect(has(&out, "         1  554 5.7.1 no"));
	cr_expect(has(&out, "from: <> (600), spam@x.example (600)"));
	cr_expect(has(&out, "and 1,195 with other addresses"));
	cr_expect(has(&out, "mx20ctl refused example.com"));
	cr_expect(has(&out, "Still here are 1 message of the days"));
	cr_expect(has(&out, "<td align=\"right\" valign=\"top\">1,200</td>"));
	cr_expect(has(&out, "550 5.1.1 &lt;u0@example.com&gt;"));
	buf_fini(&out);
}

Test(digest, is_never_about_reports)
{
	struct digest d = begin();
	struct recipient r = { .path = SPAN_LIT("a@example.com"),
			       .state = RECIPIENT_SHELVED,
			       .until_ms = DAY0 + SHELF };
	struct unit u = { .envelope.is_dsn = true,
			  .rcpts = &r,
			  .rcpt_count = 1 };

	digest_add(&d, &u);
	u.envelope.is_dsn = false;
	r.state = RECIPIENT_REFUSED; /* not final */
	digest_add(&d, &u);
	cr_expect_eq(d.messages, 0);
	cr_expect_eq(d.before, 0);
	digest_fini(&d);
}

static void add_outage(struct digest *d, int64_t began_ms, int64_t ended_ms,
		       const char *domains)
{
	struct outage o = { .began_ms = began_ms,
			    .ended_ms = ended_ms,
			    .messages = 1234,
			    .destination = SPAN_LIT("mx.example.com:25"),
			    .reply = SPAN_LIT("(connect) <refused>"),
			    .domains = span_str(domains) };
	struct buf key = { 0 }, value = { 0 };

	outage_key(&key, (uint64_t)began_ms << 16);
	outage_put(&value, &o);
	digest_add_outage(d, buf_span(&key), buf_span(&value));
	buf_fini(&key);
	buf_fini(&value);
}

Test(digest, has_the_outages_of_the_day)
{
	struct digest d = begin();
	struct buf out;

	add_outage(&d, DAY0 - DAYS(3), DAY0 - DAYS(2), "example.com");
	add_outage(&d, DAY0 - HOURS(3), DAY0 - HOURS(1), "b.example");
	add_outage(&d, DAY0 + 1, 0, "example.com");
	cr_expect_eq(d.outage_count, 0);
	add_outage(&d, DAY0 - HOURS(3), DAY0 - MINUTES(57),
		   "b.example example.com");
	for (int i = 0; i < DIGEST_OUTAGES_MAX; i++)
		add_outage(&d, DAY0 - HOURS(1), 0, "example.com");
	add(&d, "", "v@example.com", "554 5.7.1 no", DAY0);
	out = build(&d);
	cr_expect(has(&out, "UTC, for 2h03m: 1,234 messages waited."));
	cr_expect(has(&out, "UTC, for 1h02m so far:"));
	cr_expect(has(&out, "(connect) &lt;refused&gt;"));
	cr_expect(has(&out, "And 1 more: mx20ctl outages example.com"));
	buf_fini(&out);
}

/* Whatever strangers fill in: the form stays, and so does the size. */
Test(digest, nothing_that_strangers_wrote_breaks_it)
{
	static const char *const hostile[] = {
		"<script>alert(1)</script>&amp;\"'",
		"\r\n.\r\nQUIT\r\n",
		"\r\n--=_mx20_0000000000001234--\r\n",
		"\x1b[2J\x07\x9b\x7f",
		"\xe2\x80\xae"
		"moc.elpmaxe",
		"\xc2\x9b"
		"31m",
		"\xff\xfe\xc0",
		"a b  c",
		"",
		"\xf0\x9f\x92\xa9",
		"==========",
		"\"\"\"\"\"\"",
	};
	struct digest d = begin();
	struct buf text = { 0 }, out;

	d.domain = SPAN_LIT("example.com");
	for (unsigned i = 0; i < 3000; i++) {
		char number[16], domains[64];

		buf_reset(&text);
		/* letters alone make another group */
		snprintf(number, sizeof(number), "%c%c ", 'a' + i % 26,
			 'a' + i / 26 % 26);
		buf_adds(&text, i % 3 ? "550 5.7.1 " : "");
		buf_adds(&text, number);
		for (unsigned n = 0; n < 40; n++)
			buf_adds(&text,
				 hostile[(i + n * (i & 1)) % COUNT(hostile)]);
		add(&d, buf_cstr(&text), buf_cstr(&text), buf_cstr(&text),
		    DAY0 - i);
		snprintf(domains, sizeof(domains), "%s", "example.com");
		if (i < 20)
			add_outage(&d, DAY0 - i, 0, domains);
	}
	cr_expect_eq(d.group_count, DIGEST_GROUPS_MAX);
	cr_expect_eq(d.recipients, 3000);
	out = build(&d);
	cr_expect_null(strstr(strstr(out.p, "<!DOCTYPE"), "<script>"));
	cr_expect_not(has(&out, "\x1b"));
	cr_expect_not(has(&out, "\xe2\x80\xae"));
	cr_expect(utf8_valid(buf_span(&out)));
	cr_expect(has(&out, "\r\nAnd 2,"), "what is left out is counted");
	buf_fini(&out);
	buf_fini(&text);
}

/* Names and words as long as can be. */
Test(digest, fits_whatever_the_names)
{
	struct digest d = begin();
	char host[254], long_text[1001];
	struct buf out = { 0 };

	memset(host, 'h', sizeof(host));
	memset(long_text, '"', sizeof(long_text));
	long_text[1000] = '\0';
	for (size_t i = 50; i < sizeof(host); i += 50)
		host[i] = '.';
	d.domain = d.hostname = span_of(host, 253);
	for (unsigned i = 0; i < DIGEST_GROUPS_MAX + 9; i++) {
		long_text[0] = (char)('A' + i);
		add(&d, long_text, long_text, long_text, DAY0);
	}
	digest_build(&d, 5, 0x1234, &out);
	cr_expect_leq(out.n, DIGEST_BYTES_MAX);
	digest_fini(&d);
	buf_fini(&out);
}
