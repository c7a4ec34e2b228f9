/*
 * May this client send mail as that domain?  RFC 7208.  Pure: it says what it
 * wants to know of DNS, is told, and ends with a result; whoever drives it
 * asks, and gives up after 20 seconds (section 4.6.4).
 *
 *	s = spf_new(&request);
 *	while (spf_next(s, &lookup))
 *		... spf_answer(s, &answer) ...
 *	spf_verdict(s, &verdict);
 */
#ifndef MX_SPF_SPF_H
#define MX_SPF_SPF_H

#include "common/net/addr.h"

/* RFC 7208 section 2.6 */
enum spf_result {
	SPF_NONE, SPF_NEUTRAL, SPF_PASS, SPF_FAIL, SPF_SOFTFAIL, SPF_TEMPERROR,
	SPF_PERMERROR
};
const char *spf_result_name(enum spf_result r); /* "permerror" */

/* Spans are copied; all but client may be empty. */
struct spf_request {
	struct net_addr client;
	struct span sender;   /* without <>; empty: postmaster at helo */
	struct span helo;
	struct span receiver; /* this host: the r of explanations */
	int64_t now_s;        /* wall: their t */
};

enum spf_type { SPF_TXT, SPF_A, SPF_AAAA, SPF_MX, SPF_PTR };

/* name has no last dot, and is a name that DNS can be asked for. */
struct spf_lookup {
	enum spf_type type;
	struct span name; /* valid until the answer */
};

enum spf_status {
	SPF_FOUND,
	SPF_VOID,    /* no such name, or nothing of that type */
	SPF_UNKNOWN  /* no answer, or one that says neither */
};

/* text: the strings of a TXT record as one (section 3.3), or the host of an MX
 * or PTR record. */
struct spf_record {
	struct span text;
	struct net_addr addr; /* of A, AAAA */
};

struct spf_answer {
	enum spf_status status;
	const struct spf_record *records; /* copied as far as needed */
	size_t count;
};

struct spf_verdict {
	enum spf_result result;
	struct span domain;      /* whose record decided; never NULL */
	struct span mechanism;   /* as it stands there; empty: none matched */
	struct span explanation; /* of a fail, what the domain says: printable
				    ASCII; a stranger's words */
	struct span problem;     /* of an error: ours */
};

struct spf;

struct spf *spf_new(const struct spf_request *r);
void spf_free(struct spf **s); /* *s may be NULL */

/* False: it is over.  Else the question, the same until it is answered. */
bool spf_next(const struct spf *s, struct spf_lookup *out);
void spf_answer(struct spf *s, const struct spf_answer *a);

/* Time is over: a temperror, unless it has ended. */
void spf_give_up(struct spf *s, const char *why);

/* Only when it is over.  Spans live as long as s. */
void spf_verdict(const struct spf *s, struct spf_verdict *out);

#endif
