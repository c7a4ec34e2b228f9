/* RFC 7208, case by case.  Most are a record for t.example, a client, and what
 * comes of it; all that records speak of is in one zone below. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/spf/macro.h"
#include "common/spf/record.h"
#include "common/spf/spf.h"

/* ---- A zone ---- */

static const struct row {
	const char *name;
	enum spf_type type;
	const char *data; /* NULL: no answer */
} zone[] = {
	{ "t.example", SPF_A, "192.0.2.1" },
	{ "t.example", SPF_A, "192.0.2.2" },
	{ "t.example", SPF_AAAA, "2001:db8::1" },
	{ "t.example", SPF_MX, "mx1.t.example" },
	{ "t.example", SPF_MX, "mx2.t.example." },
	{ "mx1.t.example", SPF_A, "192.0.2.11" },
	{ "mx2.t.example", SPF_A, "192.0.2.12" },
	{ "mx2.t.example", SPF_AAAA, "2001:db8::12" },
	{ "a.example", SPF_A, "192.0.2.21" },
	{ "a.example", SPF_AAAA, "2001:db8::21" },
	{ "a.b-c", SPF_A, "192.0.2.1" },
	{ "x:y/z.example", SPF_A, "192.0.2.1" },
	{ "nullmx.example", SPF_MX, "." },
	{ "silent.example", SPF_A, NULL },
	{ "silent.example", SPF_MX, NULL },
	{ "silent.example", SPF_TXT, NULL },
	{ "mxsilent.example", SPF_MX, "silent.example" },
	{ "mxsilent.example", SPF_MX, "mx1.t.example" },

	{ "mx10.example", SPF_MX, "m1.example" },
	{ "mx10.example", SPF_MX, "m2.example" },
	{ "mx10.example", SPF_MX, "m3.example" },
	{ "mx10.example", SPF_MX, "m4.example" },
	{ "mx10.example", SPF_MX, "m5.example" },
	{ "mx10.example", SPF_MX, "m6.example" },
	{ "mx10.example", SPF_MX, "m7.example" },
	{ "mx10.example", SPF_MX, "m8.example" },
	{ "mx10.example", SPF_MX, "m9.example" },
	{ "mx10.example", SPF_MX, "m10.example" },
	{ "m1.example", SPF_A, "192.0.2.31" },
	{ "m2.example", SPF_A, "192.0.2.32" },
	{ "m3.example", SPF_A, "192.0.2.33" },
	{ "m4.example", SPF_A, "192.0.2.34" },
	{ "m5.example", SPF_A, "192.0.2.35" },
	{ "m6.example", SPF_A, "192.0.2.36" },
	{ "m7.example", SPF_A, "192.0.2.37" },
	{ "m8.example", SPF_A, "192.0.2.38" },
	{ "m9.example", SPF_A, "192.0.2.39" },
	{ "m10.example", SPF_A, "192.0.2.40" },
	{ "mx11.example", SPF_MX, "m1.example" },
	{ "mx11.example", SPF_MX, "m2.example" },
	{ "mx11.example", SPF_MX, "m3.example" },
	{ "mx11.example", SPF_MX, "m4.example" },
	{ "mx11.example", SPF_MX, "m5.example" },
	{ "mx11.example", SPF_MX, "m6.example" },
	{ "mx11.example", SPF_MX, "m7.example" },
	{ "mx11.example", SPF_MX, "m8.example" },
	{ "mx11.example", SPF_MX, "m9.example" },
	{ "mx11.example", SPF_MX, "m10.example" },
	{ "mx11.example", SPF_MX, "mx1.t.example" },

	/* names of clients: 192.0.2.50 has two, one a lie */
	{ "50.2.0.192.in-addr.arpa", SPF_PTR, "liar.t.example" },
	{ "50.2.0.192.in-addr.arpa", SPF_PTR, "Host.T.Example." },
	{ "50.2.0.192.in-addr.arpa", SPF_PTR, "host.other.example" },
	{ "liar.t.example", SPF_A, "192.0.2.99" },
	{ "host.t.example", SPF_A, "192.0.2.50" },
	{ "host.other.example", SPF_A, "192.0.2.50" },
	{ "silent.t.example", SPF_A, NULL },
	{ "51.2.0.192.in-addr.arpa", SPF_PTR, "silent.t.example" },
	{ "52.2.0.192.in-addr.arpa", SPF_PTR, NULL },
	{ "1.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2."
	  "ip6.arpa", SPF_PTR, "host6.t.example" },
	{ "host6.t.example", SPF_AAAA, "2001:db8::51" },

	/* to include and to redirect to */
	{ "pass.example", SPF_TXT, "v=spf1 +all" },
	{ "fail.example", SPF_TXT, "v=spf1 -all exp=why.example" },
	{ "soft.example", SPF_TXT, "v=spf1 ~all" },
	{ "neutral.example", SPF_TXT, "v=spf1 ?all" },
	{ "nothing.example", SPF_TXT, "v=spf1" },
	{ "none.example", SPF_TXT, "hello" },
	{ "bad.example", SPF_TXT, "v=spf1 a:" },
	{ "two.example", SPF_TXT, "v=spf1 +all" },
	{ "two.example", SPF_TXT, "v=spf1 -all" },
	{ "loop.example", SPF_TXT, "v=spf1 include:loop.example" },
	{ "relay.example", SPF_TXT, "v=spf1 redirect=relay.example" },
	{ "ofpass.example", SPF_TXT, "v=spf1 redirect=pass.example" },
	{ "mine.example", SPF_TXT, "v=spf1 a:%{d} -all" },
	{ "mine.example", SPF_A, "192.0.2.77" },
	{ "deep.example", SPF_TXT, "v=spf1 include:mid.example -all" },
	{ "mid.example", SPF_TXT, "v=spf1 ip4:192.0.2.1 -all" },

	/* explanations */
	{ "why.example", SPF_TXT, "%{i} is not %{d}: see "
				  "http://%{d}/%{S}?at=%{t}&to=%{r} %{c}%%%_%-" },
	{ "whytwo.example", SPF_TXT, "one" },
	{ "whytwo.example", SPF_TXT, "two" },
	{ "whybad.example", SPF_TXT, "%{x}" },
	{ "whynot.example", SPF_TXT, "caf\xc3\xa9" },
	{ "whyname.example", SPF_TXT, "%{p}" },

	/* macros as names that exist */
	{ "user.t.example.x.example", SPF_A, "127.0.0.2" },
	{ "1.2.0.192.in-addr.x.example", SPF_A, "127.0.0.2" },
	{ "postmaster.y.example", SPF_A, "127.0.0.2" },
	{ "example.t.z.example", SPF_A, "127.0.0.2" },
	{ "t.z.example", SPF_A, "127.0.0.2" },
	{ "b.c.a.w.example", SPF_A, "127.0.0.2" },
	{ "mail.helo.example.h.example", SPF_A, "127.0.0.2" },
	{ "host.t.example.p.example", SPF_A, "127.0.0.2" },
	{ "unknown.p.example", SPF_A, "127.0.0.2" },
	{ "2.0.0.1.0.d.b.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.ip6."
	  "i.example", SPF_A, "127.0.0.2" },
	{ "v4only.example", SPF_A, "127.0.0.2" },
};

static const char *under_test; /* the record of t.example */

static void answer_from_zone(struct spf *s, const struct spf_lookup *q)
{
	struct spf_record records[16];
	struct spf_answer a = { SPF_VOID, records, 0 };

	if (under_test != NULL && q->type == SPF_TXT &&
	    span_ieq(q->name, SPAN_LIT("t.example"))) {
		a.status = SPF_FOUND;
		records[a.count++].text = span_str(under_test);
	}
	for (size_t i = 0; i < COUNT(zone); i++) {
		const struct row *r = &zone[i];
		struct spf_record *to = &records[a.count];

		if (r->type != q->type ||
		    !span_ieq(span_str(r->name), q->name))
			continue;
		if (r->data == NULL) {
			a.status = SPF_UNKNOWN;
			break;
		}
		cr_assert_lt(a.count, COUNT(records));
		*to = (struct spf_record){ .text = span_str(r->data) };
		if (r->type == SPF_A || r->type == SPF_AAAA)
			cr_assert_eq(net_addr_parse(to->text, &to->addr),
				     MX_OK);
		a.status = SPF_FOUND;
		a.count++;
	}
	spf_answer(s, &a);
}

static struct spf *begin(const char *client, const char *sender)
{
	struct spf_request r = {
		.sender = span_str(sender),
		.helo = SPAN_LIT("mail.helo.example"),
		.receiver = SPAN_LIT("mx2.example.net"),
		.now_s = 1700000000,
	};

	cr_assert_eq(net_addr_parse(span_str(client), &r.client), MX_OK);
	return spf_new(&r);
}

/* A hundred questions at most, whatever a record says. */
static struct spf *run(const char *client, const char *sender)
{
	struct spf *s = begin(client, sender);
	struct spf_lookup q;
	unsigned asked = 0;

	for (; spf_next(s, &q); asked++) {
		cr_assert_lt(asked, 150);
		answer_from_zone(s, &q);
	}
	return s;
}

static enum spf_result result_of(struct spf **s)
{
	struct spf_verdict v;

	spf_verdict(*s, &v);
	spf_free(s);
	return v.result;
}

struct of_record {
	const char *record;
	const char *client;
	enum spf_result result;
};

static void check_records(const struct of_record *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct spf *s;
		enum spf_result r;

		under_test = cases[i].record;
		s = run(cases[i].client, "user@t.example");
		r = result_of(&s);
		cr_expect_eq(r, cases[i].result, "\"%s\" for %s is %s, not %s",
			     cases[i].record, cases[i].client,
			     spf_result_name(r),
			     spf_result_name(cases[i].result));
	}
}
#define CHECK_RECORDS(cases) check_records(cases, COUNT(cases))

/* ---- Sections 2.4, 4.3 to 4.5: which domain, which record ---- */

Test(spf, asks_for_the_domain_of_the_sender)
{
	static const struct {
		const char *sender, *asked; /* NULL: nothing */
	} cases[] = {
		{ "user@t.example", "t.example" },
		{ "user@t.example.", "t.example" },
		{ "\"a@b\"@t.example", "t.example" },
		{ "", "mail.helo.example" },
		{ "@t.example", "t.example" },
		{ "t.example", "t.example" },
		{ "user@[192.0.2.1]", "[192.0.2.1]" },
		{ "user@localhost", NULL },
		{ "user@a..example", NULL },
		{ "user@.t.example", NULL },
		{ "user@a.123456789.123456789.123456789.123456789.123456789."
		  "12345678901234567890123456789012345678901234567890123456789"
		  "01234.example", NULL },
		{ "user@a.12345678901234567890123456789012345678901234567890"
		  "1234567890123.example",
		  "a.123456789012345678901234567890123456789012345678901"
		  "234567890123.example" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct spf *s = begin("192.0.2.1", cases[i].sender);
		struct spf_lookup q = { 0 };
		bool asks = spf_next(s, &q);

		cr_expect_eq(asks, cases[i].asked != NULL, "%s",
			     cases[i].sender);
		if (asks && cases[i].asked != NULL)
			cr_expect(span_eq(q.name, span_str(cases[i].asked)),
				  "%s: %.*s", cases[i].sender,
				  SPAN_ARG(q.name));
		if (!asks)
			cr_expect_eq(result_of(&s), SPF_NONE);
		spf_free(&s);
	}
}

Test(spf, which_text_is_a_record)
{
	static const struct of_record cases[] = {
		{ "v=spf1", "192.0.2.1", SPF_NEUTRAL },
		{ "v=spf1 ", "192.0.2.1", SPF_NEUTRAL },
		{ "V=sPf1 +all", "192.0.2.1", SPF_PASS },
		{ "v=spf1   -all  ", "192.0.2.1", SPF_FAIL },
		{ "v=spf10 +all", "192.0.2.1", SPF_NONE },
		{ "v=spf1+all", "192.0.2.1", SPF_NONE },
		{ "v=spf1\t+all", "192.0.2.1", SPF_NONE },
		{ " v=spf1 +all", "192.0.2.1", SPF_NONE },
		{ "spf2.0/pra +all", "192.0.2.1", SPF_NONE },
		{ "v=spf1 +all\t", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 a:a.example\r-all", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 \xe2\x88\x92" "all", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 +all \xc3\xa9=1", "192.0.2.1", SPF_PERMERROR },
	};

	CHECK_RECORDS(cases);
}

Test(spf, one_record_and_an_answer)
{
	static const struct { const char *sender; enum spf_result result; }
	cases[] = {
		{ "u@none.example", SPF_NONE },
		{ "u@nowhere.example", SPF_NONE },
		{ "u@two.example", SPF_PERMERROR },
		{ "u@silent.example", SPF_TEMPERROR },
		{ "u@pass.example", SPF_PASS },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct spf *s = run("192.0.2.1", cases[i].sender);

		cr_expect_eq(result_of(&s), cases[i].result, "%s",
			     cases[i].sender);
	}
}

/* ---- Sections 4.6, 5, 6: the grammar; an error anywhere is one at once ---- */

Test(spf, grammar)
{
	static const struct of_record cases[] = {
		{ "v=spf1 +all bogus", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 +all a:", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 moo", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 moo.cow/far_out=man:dog/cat ip4:192.0.2.1",
		  "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 default=pass", "192.0.2.1", SPF_NEUTRAL },
		{ "v=spf1 moo.cow-far_out=man:dog/cat ?all", "192.0.2.1",
		  SPF_NEUTRAL },
		{ "v=spf1 =all", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 1x=all", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 moo=%{x} +all", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 moo=%{c} +all", "192.0.2.1", SPF_PASS },
		{ "v=spf1 +exp=a.example", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 + all", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 all:t.example", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 all/8", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 ALL", "192.0.2.1", SPF_PASS },
		{ "v=spf1 A -All", "192.0.2.2", SPF_PASS },
		{ "v=spf1 ~all", "192.0.2.2", SPF_SOFTFAIL },
		{ "v=spf1 ?all", "192.0.2.2", SPF_NEUTRAL },
		{ "v=spf1 -all +all", "192.0.2.2", SPF_FAIL },
		{ "v=spf1 --all", "192.0.2.2", SPF_PERMERROR },
		{ "v=spf1 include", "192.0.2.2", SPF_PERMERROR },
		{ "v=spf1 include:", "192.0.2.2", SPF_PERMERROR },
		{ "v=spf1 include:pass.example/24", "192.0.2.2",
		  SPF_PERMERROR },
		{ "v=spf1 -include:pass.example", "192.0.2.2", SPF_FAIL },
		{ "v=spf1 exists", "192.0.2.2", SPF_PERMERROR },
		{ "v=spf1 exists:", "192.0.2.2", SPF_PERMERROR },
		{ "v=spf1 exists:v4only.example/24", "192.0.2.2",
		  SPF_PERMERROR },
		{ "v=spf1 ptr:", "192.0.2.2", SPF_PERMERROR },
		{ "v=spf1 ptr/0", "192.0.2.2", SPF_PERMERROR },
		{ "v=spf1 mx:", "192.0.2.2", SPF_PERMERROR },
		{ "v=spf1 mx:museum", "192.0.2.2", SPF_PERMERROR },
		{ "v=spf1 redirect=", "192.0.2.2", SPF_PERMERROR },
		{ "v=spf1 redirect=pass.example redirect=pass.example",
		  "192.0.2.2", SPF_PERMERROR },
		{ "v=spf1 exp= -all", "192.0.2.2", SPF_PERMERROR },
		{ "v=spf1 exp=why.example exp=why.example -all", "192.0.2.2",
		  SPF_PERMERROR },
	};

	CHECK_RECORDS(cases);
}

Test(spf, domain_specs)
{
	static const struct { const char *text; bool ok; } cases[] = {
		{ "a.example", true }, { "a.example.", true },
		{ "_x.a-b.example", true }, { "a..example", true },
		{ "x:y/z.example", true }, { "%{d}", true }, { "a.%{d}", true },
		{ "%{d}.example", true }, { "a.b-c", true }, { "a.1-2", true },
		{ "a.xn--p1ai", true }, { "a.%-", true },
		{ "", false }, { "museum", false }, { "museum.", false },
		{ "a.123", false }, { "a.-b", false }, { "a.b-", false },
		{ "a.example:25", false }, { "a.example/24", false },
		{ "a.b_c", false }, { "a.ex ample", false }, { ".", false },
		{ "%{d}x", false }, { "%{d}.", false }, { "%{d}.1", false },
		{ "%{d", false }, { "%d", false }, { "%", false },
		{ "%{}.example", false }, { "%{x}.example", false },
		{ "%{d0}", false }, { "%{d2r}", true }, { "%{dR}", true },
		{ "%{dr2}", false }, { "%{d2r-+}", true }, { "%{d*}", false },
		{ "%{c}.example", false }, { "%{r}.example", false },
		{ "%{t}.example", false }, { "%{C}.example", false },
		{ "%(d).example", false }, { "%abc.example", false },
		{ "%{d1000}", true }, { "%{d99999999999999999999}", true },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(spf_domain_spec_ok(span_str(cases[i].text)),
			     cases[i].ok, "%s", cases[i].text);
}

/* ---- Section 5: mechanisms ---- */

Test(spf, ip4_and_ip6)
{
	static const struct of_record cases[] = {
		{ "v=spf1 ip4:192.0.2.1", "192.0.2.1", SPF_PASS },
		{ "v=spf1 ip4:192.0.2.1 -all", "192.0.2.2", SPF_FAIL },
		{ "v=spf1 ip4:192.0.2.1/24 -all", "192.0.2.200", SPF_PASS },
		{ "v=spf1 ip4:192.0.2.1/31 -all", "192.0.2.2", SPF_FAIL },
		{ "v=spf1 ip4:0.0.0.0/0 -all", "192.0.2.2", SPF_PASS },
		{ "v=spf1 ip4:0.0.0.0/0 -all", "2001:db8::1", SPF_FAIL },
		{ "v=spf1 ip4:192.0.2.1/33", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 ip4:192.0.2.1/032", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 ip4:192.0.2.1/", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 ip4:192.0.2.1//32", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 ip4:192.0.2.1:25", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 ip4:192.0.2", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 ip4:192.0.2.256", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 ip4", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 ip4:", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 ip4:2001:db8::1", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 ip4:192.0.2.1", "::ffff:192.0.2.1", SPF_PASS },
		{ "v=spf1 ip6:2001:db8::1", "2001:db8::1", SPF_PASS },
		{ "v=spf1 ip6:2001:DB8::/32 -all", "2001:db8:9::9", SPF_PASS },
		{ "v=spf1 ip6:2001:db8::/33 -all", "2001:db8:8000::", SPF_FAIL },
		{ "v=spf1 ip6:::/0 -all", "2001:db8::", SPF_PASS },
		{ "v=spf1 ip6:::/0 -all", "192.0.2.1", SPF_FAIL },
		{ "v=spf1 ip6:::ffff:192.0.2.1 -all", "192.0.2.1", SPF_FAIL },
		{ "v=spf1 ip6:::ffff:0:0/96 -all", "192.0.2.1", SPF_FAIL },
		{ "v=spf1 ip6:2001:db8::1/129", "2001:db8::1", SPF_PERMERROR },
		{ "v=spf1 ip6:2001:db8::1//128", "2001:db8::1", SPF_PERMERROR },
		{ "v=spf1 ip6", "2001:db8::1", SPF_PERMERROR },
		{ "v=spf1 ip6:192.0.2.1", "2001:db8::1", SPF_PERMERROR },
		{ "v=spf1 ip6:2001:db8:::1", "2001:db8::1", SPF_PERMERROR },
	};

	CHECK_RECORDS(cases);
}

Test(spf, a)
{
	static const struct of_record cases[] = {
		{ "v=spf1 a", "192.0.2.1", SPF_PASS },
		{ "v=spf1 a -all", "192.0.2.3", SPF_FAIL },
		{ "v=spf1 a -all", "2001:db8::1", SPF_PASS },
		{ "v=spf1 a:a.example -all", "192.0.2.21", SPF_PASS },
		{ "v=spf1 a:a.example. -all", "192.0.2.21", SPF_PASS },
		{ "v=spf1 a:a.example/28 -all", "192.0.2.30", SPF_PASS },
		{ "v=spf1 a:a.example/28 -all", "192.0.2.33", SPF_FAIL },
		{ "v=spf1 a/24 -all", "192.0.2.99", SPF_PASS },
		{ "v=spf1 a//64 -all", "2001:db8::99", SPF_PASS },
		{ "v=spf1 a//64 -all", "192.0.2.99", SPF_FAIL },
		{ "v=spf1 a/24//64 -all", "192.0.2.99", SPF_PASS },
		{ "v=spf1 a:a.example/24//64 -all", "2001:db8::99", SPF_PASS },
		{ "v=spf1 a/24 -all", "2001:db8::99", SPF_FAIL },
		{ "v=spf1 a/0 -all", "203.0.113.1", SPF_PASS },
		{ "v=spf1 a//0 -all", "2001:db9::1", SPF_PASS },
		{ "v=spf1 a:nowhere.example/0 -all", "192.0.2.1", SPF_FAIL },
		{ "v=spf1 a:x:y/z.example", "192.0.2.1", SPF_PASS },
		{ "v=spf1 a:a.b-c", "192.0.2.1", SPF_PASS },
		{ "v=spf1 a/33", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 a//129", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 a/", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 a/24/64", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 a//64/24", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 a:/24", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 a:111.222.33.44", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 a:silent.example", "192.0.2.1", SPF_TEMPERROR },
		{ "v=spf1 a:silent.example", "2001:db8::1", SPF_NEUTRAL },
		{ "v=spf1 a:a..example -all", "192.0.2.1", SPF_FAIL },
	};

	CHECK_RECORDS(cases);
}

Test(spf, mx)
{
	static const struct of_record cases[] = {
		{ "v=spf1 mx -all", "192.0.2.11", SPF_PASS },
		{ "v=spf1 mx -all", "192.0.2.12", SPF_PASS },
		{ "v=spf1 mx -all", "2001:db8::12", SPF_PASS },
		{ "v=spf1 mx -all", "192.0.2.1", SPF_FAIL },
		{ "v=spf1 mx/24 -all", "192.0.2.1", SPF_PASS },
		{ "v=spf1 mx:t.example/31//64 -all", "192.0.2.10", SPF_PASS },
		/* no fall back to an address record */
		{ "v=spf1 mx:a.example -all", "192.0.2.21", SPF_FAIL },
		{ "v=spf1 mx:nullmx.example/0 -all", "192.0.2.1", SPF_FAIL },
		{ "v=spf1 mx:mx10.example -all", "192.0.2.40", SPF_PASS },
		{ "v=spf1 mx:mx11.example -all", "192.0.2.31", SPF_PERMERROR },
		{ "v=spf1 mx:silent.example", "192.0.2.1", SPF_TEMPERROR },
		{ "v=spf1 mx:mxsilent.example", "192.0.2.11", SPF_TEMPERROR },
		{ "v=spf1 mx/33", "192.0.2.1", SPF_PERMERROR },
	};

	CHECK_RECORDS(cases);
}

Test(spf, ptr)
{
	static const struct of_record cases[] = {
		{ "v=spf1 ptr -all", "192.0.2.50", SPF_PASS },
		{ "v=spf1 ptr:T.EXAMPLE -all", "192.0.2.50", SPF_PASS },
		{ "v=spf1 ptr:other.example -all", "192.0.2.50", SPF_PASS },
		{ "v=spf1 ptr:host.t.example -all", "192.0.2.50", SPF_PASS },
		{ "v=spf1 ptr:ost.t.example -all", "192.0.2.50", SPF_FAIL },
		{ "v=spf1 ptr:liar.t.example -all", "192.0.2.50", SPF_FAIL },
		{ "v=spf1 ptr -all", "192.0.2.51", SPF_FAIL },
		{ "v=spf1 ptr -all", "192.0.2.52", SPF_FAIL },
		{ "v=spf1 ptr -all", "192.0.2.53", SPF_FAIL },
		{ "v=spf1 ptr -all", "2001:db8::51", SPF_PASS },
	};

	CHECK_RECORDS(cases);
}

Test(spf, exists)
{
	static const struct of_record cases[] = {
		{ "v=spf1 exists:v4only.example -all", "192.0.2.1", SPF_PASS },
		{ "v=spf1 exists:v4only.example -all", "2001:db8::1",
		  SPF_PASS },
		{ "v=spf1 exists:nowhere.example -all", "192.0.2.1", SPF_FAIL },
		{ "v=spf1 exists:silent.example -all", "192.0.2.1",
		  SPF_TEMPERROR },
	};

	CHECK_RECORDS(cases);
}

Test(spf, include)
{
	static const struct of_record cases[] = {
		{ "v=spf1 include:pass.example -all", "192.0.2.1", SPF_PASS },
		{ "v=spf1 ~include:pass.example -all", "192.0.2.1",
		  SPF_SOFTFAIL },
		{ "v=spf1 include:fail.example ~all", "192.0.2.1",
		  SPF_SOFTFAIL },
		{ "v=spf1 include:soft.example -all", "192.0.2.1", SPF_FAIL },
		{ "v=spf1 include:neutral.example -all", "192.0.2.1",
		  SPF_FAIL },
		{ "v=spf1 include:nothing.example -all", "192.0.2.1",
		  SPF_FAIL },
		{ "v=spf1 include:none.example -all", "192.0.2.1",
		  SPF_PERMERROR },
		{ "v=spf1 include:bad.example -all", "192.0.2.1",
		  SPF_PERMERROR },
		{ "v=spf1 include:silent.example -all", "192.0.2.1",
		  SPF_TEMPERROR },
		{ "v=spf1 include:two.example -all", "192.0.2.1",
		  SPF_PERMERROR },
		{ "v=spf1 include:ofpass.example -all", "192.0.2.1",
		  SPF_PASS },
		{ "v=spf1 include:mine.example ~all", "192.0.2.77", SPF_PASS },
		{ "v=spf1 include:mine.example ~all", "192.0.2.1",
		  SPF_SOFTFAIL },
		{ "v=spf1 include:deep.example ?all", "192.0.2.1", SPF_PASS },
		{ "v=spf1 include:deep.example ?all", "192.0.2.2",
		  SPF_NEUTRAL },
		{ "v=spf1 include:a..example ?all", "192.0.2.2",
		  SPF_PERMERROR },
	};

	CHECK_RECORDS(cases);
}

/* ---- Section 6: modifiers ---- */

Test(spf, redirect)
{
	static const struct of_record cases[] = {
		{ "v=spf1 redirect=pass.example", "192.0.2.1", SPF_PASS },
		{ "v=spf1 redirect=soft.example a", "192.0.2.3", SPF_SOFTFAIL },
		{ "v=spf1 redirect=soft.example a", "192.0.2.1", SPF_PASS },
		{ "v=spf1 redirect=pass.example -all", "192.0.2.1", SPF_FAIL },
		{ "v=spf1 ?all redirect=none.example", "192.0.2.1",
		  SPF_NEUTRAL },
		{ "v=spf1 redirect=none.example", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 redirect=nowhere.example", "192.0.2.1",
		  SPF_PERMERROR },
		{ "v=spf1 redirect=silent.example", "192.0.2.1",
		  SPF_TEMPERROR },
		{ "v=spf1 redirect=nothing.example", "192.0.2.1",
		  SPF_NEUTRAL },
		{ "v=spf1 redirect=mine.example", "192.0.2.77", SPF_PASS },
	};

	CHECK_RECORDS(cases);
}

static void check_explanation(const char *record, const char *client,
			      const char *wanted)
{
	struct spf_verdict v;
	struct spf *s;

	under_test = record;
	s = run(client, "us%er@t.example");
	spf_verdict(s, &v);
	cr_expect_eq(v.result, SPF_FAIL, "%s", record);
	cr_expect(span_eq(v.explanation, span_str(wanted)), "%s: \"%.*s\"",
		  record, SPAN_ARG(v.explanation));
	spf_free(&s);
}

Test(spf, explanation)
{
	check_explanation("v=spf1 -all exp=why.example", "192.0.2.9",
			  "192.0.2.9 is not t.example: see http://t.example/"
			  "us%25er%40t.example?at=1700000000&to=mx2.example.net "
			  "192.0.2.9% %20");
	check_explanation("v=spf1 -all exp=whyname.example", "192.0.2.50",
			  "Host.T.Example");
	check_explanation("v=spf1 -all exp=whyname.example", "192.0.2.53",
			  "unknown");
	/* of where it was redirected to, not of what was included */
	check_explanation("v=spf1 redirect=fail.example exp=whyname.example",
			  "192.0.2.9",
			  "192.0.2.9 is not fail.example: see "
			  "http://fail.example/us%25er%40t.example?at="
			  "1700000000&to=mx2.example.net 192.0.2.9% %20");
	check_explanation("v=spf1 include:fail.example -all", "192.0.2.9", "");
	check_explanation("v=spf1 -all exp=whytwo.example", "192.0.2.9", "");
	check_explanation("v=spf1 -all exp=whybad.example", "192.0.2.9", "");
	check_explanation("v=spf1 -all exp=whynot.example", "192.0.2.9", "");
	check_explanation("v=spf1 -all exp=nowhere.example", "192.0.2.9", "");
	check_explanation("v=spf1 -all exp=silent.example", "192.0.2.9", "");
	check_explanation("v=spf1 -all exp=a..example", "192.0.2.9", "");
}

/* An explanation changes no result: two voids, then a third for its names. */
Test(spf, voids_of_an_explanation_do_not_count)
{
	check_explanation("v=spf1 a:v1.example a:v2.example -all "
			  "exp=whyname.example", "192.0.2.53", "unknown");
}

/* ---- Section 7: macros ---- */

Test(spf, macros)
{
	static const struct of_record cases[] = {
		{ "v=spf1 exists:%{l}.%{o}.x.example -all", "192.0.2.1",
		  SPF_PASS },
		{ "v=spf1 exists:%{S-@}.x.example -all", "192.0.2.1",
		  SPF_PERMERROR },
		{ "v=spf1 exists:%{ir}.%{v}.x.example -all", "192.0.2.1",
		  SPF_PASS },
		{ "v=spf1 exists:%{dr}.z.example -all", "192.0.2.1",
		  SPF_PASS },
		{ "v=spf1 exists:%{d1r}.z.example -all", "192.0.2.1",
		  SPF_PASS },
		{ "v=spf1 exists:%{h}.h.example -all", "192.0.2.1", SPF_PASS },
		{ "v=spf1 exists:%{p}.p.example -all", "192.0.2.50",
		  SPF_PASS },
		{ "v=spf1 exists:%{p}.p.example -all", "192.0.2.51",
		  SPF_PASS },
		{ "v=spf1 exists:%{i}.%{v}.i.example -all", "2001:db8::1",
		  SPF_PASS },
		{ "v=spf1 a:%{o1}.nowhere.example/0 -all", "192.0.2.1",
		  SPF_FAIL },
		{ "v=spf1 include:p%{d1}s -all", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 redirect=%{d1r}.z.example", "192.0.2.1",
		  SPF_PERMERROR },
	};

	CHECK_RECORDS(cases);
}

Test(spf, expansion)
{
	static const struct { const char *text, *wanted; } cases[] = {
		/* RFC 7208 section 7.4 */
		{ "%{s}", "strong-bad@email.example.com" },
		{ "%{o}", "email.example.com" },
		{ "%{d}", "email.example.com" },
		{ "%{d4}", "email.example.com" },
		{ "%{d3}", "email.example.com" },
		{ "%{d2}", "example.com" },
		{ "%{d1}", "com" },
		{ "%{dr}", "com.example.email" },
		{ "%{d2r}", "example.email" },
		{ "%{l}", "strong-bad" },
		{ "%{l-}", "strong.bad" },
		{ "%{lr}", "strong-bad" },
		{ "%{lr-}", "bad.strong" },
		{ "%{l1r-}", "strong" },
		{ "%{ir}.%{v}._spf.%{d2}",
		  "3.2.0.192.in-addr._spf.example.com" },
		{ "%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com" },
		{ "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}",
		  "bad.strong.lp.3.2.0.192.in-addr._spf.example.com" },
		{ "%{d2}.trusted-domains.example.net",
		  "example.com.trusted-domains.example.net" },
		{ "%{L}", "strong-bad" },
		{ "%{S}", "strong-bad%40email.example.com" },
		{ "%{s1-@}", "email.example.com" },
		{ "100%%%_%-", "100% %20" },
		{ "%{p}|%{h}|%{r}|%{t}|%{c}", "unknown||unknown|0|192.0.2.3" },
	};
	struct spf_request r = { .client = { .family = AF_INET,
					     .ip = { 192, 0, 2, 3 } } };
	const struct spf_macros m = {
		.request = &r,
		.local = SPAN_LIT("strong-bad"),
		.sender = SPAN_LIT("strong-bad@email.example.com"),
		.sender_domain = SPAN_LIT("email.example.com"),
		.domain = SPAN_LIT("email.example.com"),
		.name = SPAN_LIT("unknown"),
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf b = { 0 };

		if (strchr(cases[i].text, '@') != NULL) {
			cr_expect(!spf_macro_ok(span_str(cases[i].text), true));
			continue; /* '@' is no delimiter */
		}
		cr_expect(spf_macro_ok(span_str(cases[i].text), true), "%s",
			  cases[i].text);
		spf_expand(&b, span_str(cases[i].text), &m);
		cr_expect_str_eq(buf_cstr(&b), cases[i].wanted, "%s",
				 cases[i].text);
		buf_fini(&b);
	}
}

/* Section 7.3: a name that is too long loses labels on its left. */
Test(spf, long_names_are_cut)
{
	struct spf_lookup q;
	struct spf *s;
	struct spf_record record = { .text = SPAN_LIT(
		"v=spf1 exists:%{d}.%{d}.%{d}.%{d}.%{d}.%{d}.%{d}.%{d}."
		"%{d}.%{d}.%{d}.%{d}.%{d}.%{d}.%{d}.%{d}.%{d}.%{d}.%{d}."
		"%{d}.%{d}.%{d}.%{d}.%{d}.%{d}.%{d}.%{d}.%{d}.x.example") };

	s = begin("192.0.2.1", "u@t.example");
	cr_assert(spf_next(s, &q));
	spf_answer(s, &(struct spf_answer){ SPF_FOUND, &record, 1 });
	cr_assert(spf_next(s, &q));
	cr_expect_leq(q.name.n, 253);
	cr_expect_gt(q.name.n, 240);
	cr_expect(span_eq(span_skip(q.name, q.name.n - 9),
			  SPAN_LIT("x.example")));
	spf_free(&s);
}

/* ---- Section 4.6.4: limits ---- */

/* A record has up to 64 KiB, and each four octets of it can stand for a whole
 * address: what is longer than any name is neither asked for nor made. */
Test(spf, what_macros_stand_for_is_bounded)
{
	char address[280];
	struct buf b = { 0 }, made = { 0 };
	struct spf_record record;
	struct spf_lookup q;
	struct spf *s;

	memset(address, '!', sizeof(address) - 1);
	memcpy(address + sizeof(address) - 13, "@t.example\0\0", 13);
	buf_adds(&b, "v=spf1 exists:");
	for (int i = 0; i < 16000; i++)
		buf_adds(&b, "%{S}");
	s = begin("192.0.2.1", address);
	cr_assert(spf_next(s, &q));
	record.text = buf_span(&b);
	spf_answer(s, &(struct spf_answer){ SPF_FOUND, &record, 1 });
	cr_expect(!spf_next(s, &q), "not asked: %.*s", SPAN_ARG(q.name));
	spf_free(&s);
	cr_expect(!spf_expand(&made, span_skip(buf_span(&b), 14),
			      &(struct spf_macros){
				      .sender = span_str(address) }));
	cr_expect_leq(made.n, SPF_EXPANDED_MOST + 3 * sizeof(address));
	buf_fini(&b);
	buf_fini(&made);
}

Test(spf, more_terms_than_anybody_has)
{
	static const struct {
		int terms;
		enum spf_result result;
	} cases[] = { { SPF_TERMS_MOST, SPF_PASS },
		      { SPF_TERMS_MOST + 1, SPF_PERMERROR } };

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf b = { 0 };
		struct spf_record record;
		struct spf_verdict v;
		struct spf_lookup q;
		struct spf *s = begin("192.0.2.1", "u@t.example");

		cr_assert(spf_next(s, &q));
		buf_adds(&b, "v=spf1");
		for (int k = 1; k < cases[i].terms; k++)
			buf_adds(&b, " ip4:198.51.100.7");
		buf_adds(&b, "  +all ");
		record.text = buf_span(&b);
		spf_answer(s, &(struct spf_answer){ SPF_FOUND, &record, 1 });
		cr_assert(!spf_next(s, &q));
		spf_verdict(s, &v);
		cr_expect_eq(v.result, cases[i].result, "%d terms: %s",
			     cases[i].terms, spf_result_name(v.result));
		spf_free(&s);
		buf_fini(&b);
	}
}

Test(spf, limits)
{
	static const struct of_record cases[] = {
		{ "v=spf1 include:loop.example", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 redirect=relay.example", "192.0.2.1",
		  SPF_PERMERROR },
		{ "v=spf1 redirect=t.example", "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 a a a a a a a a a a ip4:198.51.100.1", "198.51.100.1",
		  SPF_PASS },
		{ "v=spf1 a a a a a a a a a a a ip4:198.51.100.1",
		  "198.51.100.1", SPF_PERMERROR },
		{ "v=spf1 a a a a a a a a a include:mid.example",
		  "192.0.2.1", SPF_PASS },
		{ "v=spf1 a a a a a a a a a a redirect=pass.example",
		  "198.51.100.1", SPF_PERMERROR },
		{ "v=spf1 ip4:1.1.1.1 ip4:1.1.1.2 ip4:1.1.1.3 ip4:1.1.1.4 "
		  "ip4:1.1.1.5 ip4:1.1.1.6 ip4:1.1.1.7 ip4:1.1.1.8 "
		  "ip4:1.1.1.9 ip4:1.1.1.10 ip4:1.1.1.11 ip4:1.1.1.12 -all",
		  "192.0.2.1", SPF_FAIL },
		{ "v=spf1 a:v1.example a:v2.example ~all", "192.0.2.1",
		  SPF_SOFTFAIL },
		{ "v=spf1 a:v1.example a:v2.example mx:v3.example ~all",
		  "192.0.2.1", SPF_PERMERROR },
		{ "v=spf1 a:v1.example exists:v2.example a:v3.example +all",
		  "192.0.2.1", SPF_PERMERROR },
	};

	CHECK_RECORDS(cases);
}

Test(spf, giving_up_is_a_temperror)
{
	struct spf *s = begin("192.0.2.1", "u@t.example");
	struct spf_verdict v;
	struct spf_lookup q;

	spf_give_up(s, "no answer within 20 seconds");
	cr_expect(!spf_next(s, &q));
	spf_verdict(s, &v);
	cr_expect_eq(v.result, SPF_TEMPERROR);
	cr_expect(span_eq(v.problem, SPAN_LIT("no answer within 20 seconds")));
	spf_free(&s);
}

Test(spf, the_verdict_says_what_matched)
{
	struct spf_verdict v;
	struct spf *s;

	under_test = "v=spf1 a include:deep.example -all";
	s = run("192.0.2.1", "u@t.example");
	spf_verdict(s, &v);
	cr_expect(span_eq(v.mechanism, SPAN_LIT("a")));
	spf_free(&s);
	under_test = "v=spf1 mx include:deep.example -all";
	s = run("192.0.2.1", "u@t.example");
	spf_verdict(s, &v);
	cr_expect(span_eq(v.mechanism, SPAN_LIT("include:deep.example")));
	cr_expect(span_eq(v.domain, SPAN_LIT("t.example")));
	spf_free(&s);
	under_test = "v=spf1 include:bad.example";
	s = run("192.0.2.1", "u@t.example");
	spf_verdict(s, &v);
	cr_expect(span_eq(v.problem, SPAN_LIT("bad term: a:")), "%.*s",
		  SPAN_ARG(v.problem));
	cr_expect(span_eq(v.domain, SPAN_LIT("bad.example")));
	spf_free(&s);
}
