/* What DNS answers, as values; and its wire formats.  Pure. */
#ifndef MX_DNS_ANSWER_H
#define MX_DNS_ANSWER_H

#include "common/base/arena.h"
#include "common/net/addr.h"
#include "common/net/tls.h"

enum dns_type {
	DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_PTR = 12, DNS_MX = 15,
	DNS_TXT = 16, DNS_AAAA = 28, DNS_TLSA = 52,
};

enum dns_status {
	DNS_OK,       /* records are there */
	DNS_NODATA,   /* the name exists, this type does not */
	DNS_NXDOMAIN,
	DNS_SERVFAIL, /* also REFUSED and the like */
	DNS_BOGUS,    /* DNSSEC says: forged or broken */
	DNS_TIMEOUT,
};
const char *dns_status_name(enum dns_status s); /* "NXDOMAIN" */

/* SERVFAIL, bogus, time-out: nothing is known, ask again. */
static inline bool dns_failed(enum dns_status s)
{
	return s >= DNS_SERVFAIL;
}

/* Of two look-ups for one thing: that of the first that failed, else of the
 * second. */
static inline enum dns_status dns_failure_of(enum dns_status first,
					     enum dns_status second)
{
	return dns_failed(first) ? first : second;
}

/* What one question came to. */
struct dns_answer {
	enum dns_status status;
	bool secure;              /* validated; of a denial as well */
	int64_t ttl_s;
	struct span canon;        /* end of a CNAME chain; else empty */
	const struct span *rdata; /* wire format */
	size_t count;
	struct span why;          /* of a bogus answer */
};

/*
 * Decode one record's data; false when it is malformed.  Names come out in
 * lower case without the last dot ("" is the root); an octet that no host name
 * has (anything but letters, digits, '-', '_') becomes '?'.
 */
bool dns_read_mx(struct arena *a, struct span rdata, unsigned *preference,
		 struct span *host);
bool dns_read_ptr(struct arena *a, struct span rdata, struct span *host);
bool dns_read_addr(enum dns_type type, struct span rdata, struct net_addr *out);
bool dns_read_tlsa(struct arena *a, struct span rdata, struct tls_tlsa *out);
/* The strings of one TXT record in one piece (RFC 8461 section 3.1). */
bool dns_read_txt(struct arena *a, struct span rdata, struct span *out);

#endif
