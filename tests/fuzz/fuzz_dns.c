/*
 * Record data as a name server may send it, and the choice made of it: each
 * record is a length byte and so many bytes, read as MX and as everything
 * else.
 *
 * - Nothing is read beyond a record (the sanitizer sees that).
 * - A host name that comes out has only letters a host name has, or '?'.
 * - Whoever is used has an address, and stands before this host.
 */
#include "daemon/route/choose.h"
#include "daemon/route/tlsa.h"

#include "tests/fuzz/fuzz.h"

enum { RECORDS_MOST = 48 };

static void check_name(struct span name)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		FUZZ_CHECK((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			   memchr("-_.?", c, 4) != NULL);
	}
}

static void check_record(struct arena *a, struct span rdata)
{
	struct net_addr addr;
	struct tls_tlsa tlsa;
	struct span text;
	unsigned preference;

	if (dns_read_mx(a, rdata, &preference, &text)) {
		FUZZ_CHECK(preference <= 65535);
		check_name(text);
	}
	if (dns_read_ptr(a, rdata, &text))
		check_name(text);
	if (dns_read_addr(DNS_AAAA, rdata, &addr))
		FUZZ_CHECK(rdata.n == 16);
	if (dns_read_tlsa(a, rdata, &tlsa) && tlsa_is_usable(&tlsa))
		FUZZ_CHECK(tlsa.usage >= 2 && tlsa.data.n > 0);
	if (dns_read_txt(a, rdata, &text))
		FUZZ_CHECK(text.n <= rdata.n);
}

static void check_choice(const struct dns_answer *mx, struct arena *a)
{
	struct span me = SPAN_LIT("me.test");
	struct self self = { .names = &me, .name_count = 1 };
	struct choice c = { .arena = a, .self = &self };
	unsigned best_self = 65536;

	if (!choice_read_mx(&c, mx, 25))
		return;
	for (size_t i = 0; i < c.count; i++)
		choice_read_addrs(&c, &c.hosts[i], DNS_A, mx);
	choice_settle(&c, mx->count);
	for (size_t i = 0; i < c.count; i++) {
		if (c.hosts[i].fate == ROUTE_IS_SELF &&
		    c.hosts[i].preference < best_self)
			best_self = c.hosts[i].preference;
	}
	for (size_t i = 0; i < c.count; i++) {
		const struct candidate *h = c.order[i];

		if (h->fate == ROUTE_USED)
			FUZZ_CHECK(h->addr_count > 0 &&
				   h->preference < best_self);
		FUZZ_CHECK(i == 0 ||
			   c.order[i - 1]->preference <= h->preference);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size), rdata[RECORDS_MOST];
	struct dns_answer answer = { .status = DNS_OK, .rdata = rdata };
	struct arena a = { 0 };

	while (in.n > 0 && answer.count < RECORDS_MOST) {
		size_t n = fuzz_byte(&in);

		if (n > in.n)
			n = in.n;
		rdata[answer.count] = span_of(in.p, n);
		check_record(&a, rdata[answer.count++]);
		in = span_skip(in, n);
	}
	check_choice(&answer, &a);
	arena_reset(&a);
	return 0;
}
