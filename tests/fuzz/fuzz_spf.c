/*
 * SPF: NUL-ended pieces.  The sender, then one piece per answer: the first
 * byte says its status and how many records, the rest are these, a line each.
 * The last answer is given to all questions behind it.
 *
 * - It ends, within the limits of RFC 7208 section 4.6.4.
 * - It asks for nothing but names.
 * - What it explains is printable.
 * - A macro-string that is taken can be expanded.
 */
#include "common/base/assert.h"
#include "common/spf/macro.h"
#include "common/spf/spf.h"

#include "tests/fuzz/fuzz.h"

/* 10 terms: of each its name and 10 hosts; 11 records, the client's names, an
 * explanation. */
enum { RECORDS = 20, QUESTIONS_MOST = 11 + 10 * 11 + 11 + 1 };

static void check_question(const struct spf_lookup *q)
{
	FUZZ_CHECK(q->name.n > 0 && q->name.n <= 253);
	for (size_t i = 0; i < q->name.n; i++)
		FUZZ_CHECK(q->name.p[i] > ' ' && q->name.p[i] <= '~');
}

static void answer(struct spf *s, struct span text,
		   const struct net_addr *client)
{
	struct spf_record records[RECORDS] = { 0 };
	struct spf_answer a = { .records = records };
	unsigned kind = fuzz_byte(&text);

	a.status = kind % 4 == 3 ? SPF_FOUND : kind % 4;
	while (text.n > 0 && a.count < RECORDS) {
		struct spf_record *r = &records[a.count++];

		r->text = span_cut(&text, '\n');
		r->addr = *client;
		r->addr.ip[3] ^= (unsigned char)r->text.n;
	}
	spf_answer(s, &a);
}

static void check_verdict(struct spf *s)
{
	struct spf_verdict v;

	spf_verdict(s, &v);
	FUZZ_CHECK(spf_result_name(v.result) != NULL);
	for (size_t i = 0; i < v.explanation.n; i++)
		FUZZ_CHECK(v.explanation.p[i] >= ' ' &&
			   v.explanation.p[i] <= '~');
	FUZZ_CHECK(v.explanation.n == 0 || v.result == SPF_FAIL);
}

static void check_macro(struct span s, const struct spf_request *r)
{
	const struct spf_macros m = { .request = r, .local = s, .sender = s,
				      .sender_domain = s, .domain = s,
				      .name = s };
	struct buf b = { 0 };

	if (spf_macro_ok(s, true) && spf_expand(&b, s, &m))
		FUZZ_CHECK(b.n <= SPF_EXPANDED_MOST);
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size), last = { 0 };
	struct spf_request r = { .receiver = SPAN_LIT("mx2.example.net") };
	unsigned asked = 0;
	struct spf_lookup q;
	struct spf *s;

	r.client.family = fuzz_byte(&in) % 2 == 0 ? AF_INET : AF_INET6;
	r.client.ip[0] = 10;
	r.sender = fuzz_text(&in);
	r.helo = r.sender;
	check_macro(r.sender, &r);
	s = spf_new(&r);
	for (; spf_next(s, &q); asked++) {
		FUZZ_CHECK(asked < QUESTIONS_MOST);
		check_question(&q);
		if (in.n > 0)
			last = fuzz_text(&in);
		answer(s, last, &r.client);
	}
	check_verdict(s);
	spf_free(&s);
	return 0;
}
