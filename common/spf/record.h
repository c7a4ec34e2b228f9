/* The record of a domain as terms: RFC 7208 sections 4.5, 4.6, 5 and 6. */
#ifndef MX_SPF_RECORD_H
#define MX_SPF_RECORD_H

#include "common/base/arena.h"
#include "common/net/addr.h"
#include "common/spf/spf.h"

enum spf_mechanism {
	SPF_ALL, SPF_INCLUDE, SPF_HAS_A, SPF_HAS_MX, SPF_HAS_PTR, SPF_IP4,
	SPF_IP6, SPF_EXISTS
};

struct spf_term {
	enum spf_mechanism mechanism;
	enum spf_result result; /* when it matches */
	struct span text;       /* the whole term */
	struct span spec;       /* domain-spec; empty: the domain itself */
	unsigned bits4, bits6;  /* of a, mx */
	struct net_cidr net;    /* of ip4, ip6 */
};

struct spf_terms {
	struct spf_term *terms;
	size_t count;
	struct span redirect, explain; /* domain-spec; empty: none */
};

/* What is read takes 40 times the room of what was written. */
enum { SPF_TERMS_MOST = 2000 };

/* Does a TXT record begin as an SPF record does? */
bool spf_is_record(struct span text);

/* Read one that does.  False: a syntax error anywhere in it, which is a
 * permerror whatever stands before (section 4.6); *bad is the term, or all of
 * it where there are more than SPF_TERMS_MOST.  Spans point into text. */
bool spf_read(struct arena *a, struct span text, struct spf_terms *out,
	      struct span *bad);

#endif
