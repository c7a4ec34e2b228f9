/*
 * SPF over record data as a name server may send it: the sender, then answers.
 * Each is a status byte, the number of records, and these: a length byte and so
 * many bytes, read as what was asked for.  The last answer is given to all
 * questions behind it.
 *
 * - Nothing is read beyond a record (the sanitizer sees that).
 * - It ends, within the limits of RFC 7208 section 4.6.4.
 * - It asks for nothing but names; what it explains is printable.
 * - What failed, or was forged, is no void look-up and no record.
 */
#include "common/base/assert.h"
#include "daemon/proof/answers.h"

#include "tests/fuzz/fuzz.h"

enum { RECORDS = 24, QUESTIONS_MOST = 11 + 10 * 11 + 11 + 1 };

static void read_answer(struct span *in, struct dns_answer *a,
			struct span *rdata)
{
	size_t count;

	a->status = fuzz_byte(in) % (DNS_TIMEOUT + 1);
	count = fuzz_byte(in) % RECORDS;
	a->rdata = rdata;
	for (a->count = 0; in->n > 0 && a->count < count; a->count++) {
		size_t n = fuzz_byte(in);

		if (n > in->n)
			n = in->n;
		rdata[a->count] = span_of(in->p, n);
		*in = span_skip(*in, n);
	}
}

static void answer(struct spf *s, const struct spf_lookup *q,
		   const struct dns_answer *dns)
{
	struct arena arena = { 0 };
	struct spf_answer a;

	answers_read(&arena, q->type, dns, &a);
	FUZZ_CHECK(a.count <= dns->count);
	FUZZ_CHECK((a.status == SPF_FOUND) == (a.count > 0));
	FUZZ_CHECK(!dns_failed(dns->status) || a.status == SPF_UNKNOWN);
	spf_answer(s, &a);
	arena_reset(&arena);
}

static void check_question(const struct spf_lookup *q)
{
	FUZZ_CHECK(q->name.n > 0 && q->name.n <= 253);
	for (size_t i = 0; i < q->name.n; i++)
		FUZZ_CHECK(q->name.p[i] > ' ' && q->name.p[i] <= '~');
}

static void check_verdict(struct spf *s)
{
	struct spf_verdict v;

	spf_verdict(s, &v);
	FUZZ_CHECK(spf_result_name(v.result) != NULL);
	for (size_t i = 0; i < v.explanation.n; i++)
		FUZZ_CHECK(v.explanation.p[i] >= ' ' &&
			   v.explanation.p[i] <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size), rdata[RECORDS];
	struct spf_request r = { .receiver = SPAN_LIT("mx2.example.net"),
				 .helo = SPAN_LIT("helo.example") };
	struct dns_answer dns = { .status = DNS_NXDOMAIN };
	unsigned asked = 0;
	struct spf_lookup q;
	struct spf *s;

	r.client.family = fuzz_byte(&in) % 2 == 0 ? AF_INET : AF_INET6;
	r.client.ip[0] = 192;
	r.client.ip[2] = 2;
	r.client.ip[3] = 1;
	r.sender = fuzz_text(&in);
	s = spf_new(&r);
	for (; spf_next(s, &q); asked++) {
		FUZZ_CHECK(asked < QUESTIONS_MOST);
		check_question(&q);
		if (in.n > 0)
			read_answer(&in, &dns, rdata);
		answer(s, &q, &dns);
	}
	check_verdict(s);
	spf_free(&s);
	return 0;
}
