#include "daemon/route/tlsa.h"

enum { TLSA_MOST = 64, TLSA_BYTES_MOST = 4096 /* a whole certificate */ };

/* RFC 6698 sections 2.1.1 to 2.1.3 */
enum {
	USAGE_DANE_TA = 2,
	USAGE_DANE_EE = 3,
	SELECTOR_MAX = 1,
	MATCHING_FULL = 0,
	MATCHING_SHA256 = 1,
	MATCHING_SHA512 = 2,
};

bool tlsa_is_usable(const struct tls_tlsa *t)
{
	if (t->usage != USAGE_DANE_TA && t->usage != USAGE_DANE_EE)
		return false;
	if (t->selector > SELECTOR_MAX)
		return false;
	switch (t->matching) {
	case MATCHING_FULL:
		return t->data.n > 0;
	case MATCHING_SHA256:
		return t->data.n == 32;
	case MATCHING_SHA512:
		return t->data.n == 64;
	default:
		return false;
	}
}

void tlsa_name(struct buf *out, in_port_t port, struct span base)
{
	buf_addf(out, "_%u._tcp.%.*s", port, SPAN_ARG(base));
}

static void take_records(struct choice *c, struct candidate *h,
			 const struct dns_answer *answer)
{
	size_t most = c->is_brief ? BRIEF_RECORDS_MAX : TLSA_MOST;

	if (answer->count < most)
		most = answer->count;
	h->tlsa = arena_alloc_array(c->arena, most, sizeof(*h->tlsa));
	h->tlsa_published = answer->count;
	for (size_t i = 0; i < most; i++) {
		struct tls_tlsa *t = &h->tlsa[h->tlsa_count];

		if (answer->rdata[i].n <= TLSA_BYTES_MOST &&
		    dns_read_tlsa(c->arena, answer->rdata[i], t) &&
		    tlsa_is_usable(t))
			h->tlsa_count++;
	}
	if (h->tlsa_count == 0)
		choice_note(c, h->name,
			    "none of its %zu TLSA records can be used: TLS "
			    "without authentication",
			    h->tlsa_published);
}

bool tlsa_take(struct choice *c, struct candidate *h, struct span base,
	       const struct dns_answer *answer)
{
	if (dns_failed(answer->status)) {
		h->tlsa_dnssec = answer->status == DNS_BOGUS ? ROUTE_BOGUS
							     : ROUTE_NO_ANSWER;
		choice_drop(c, h, ROUTE_UNKNOWN_NOW,
			    answer->status == DNS_BOGUS
				    ? "not used: its TLSA records are bogus by "
				      "DNSSEC"
				    : "not used now: no answer about its TLSA "
				      "records");
		return true;
	}
	h->tlsa_dnssec = answer->secure ? ROUTE_SECURE : ROUTE_INSECURE;
	if (answer->status != DNS_OK || !answer->secure)
		return false;
	h->tlsa_base = arena_span(c->arena, base);
	take_records(c, h, answer);
	return true;
}
