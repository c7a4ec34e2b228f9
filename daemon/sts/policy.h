/* MTA-STS texts (RFC 8461 section 3): the TXT record and the policy.  Pure. */
#ifndef MX_STS_POLICY_H
#define MX_STS_POLICY_H

#include "common/base/arena.h"

enum {
	STS_ID_MAX = 32,
	STS_POLICY_MAX = 65536, /* bytes; RFC 8461 section 3.3 suggests it */
	STS_MX_MAX = 256,
};
#define STS_MAX_AGE_S 31557600 /* RFC 8461 section 3.2 */

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };
const char *sts_mode_name(enum sts_mode m); /* "none" ... */

struct sts_policy {
	enum sts_mode mode;
	int64_t max_age_s;
	struct span *mx;         /* patterns, lower case: "mx.example.org" or
				    "*.example.org" */
	size_t mx_count;
};

/*
 * "v=STSv1; id=20260101;" gives the id, which borrows from txt.  False: not
 * an MTA-STS record, or a malformed one.
 */
bool sts_record_parse(struct span txt, struct span *id);

/*
 * "version: STSv1\nmode: enforce\nmx: ...\nmax_age: 86400\n", lines ended by LF
 * or CRLF.  Unknown keys are passed over, of repeated ones (but mx) the first
 * counts.  Spans in out live in a.
 */
bool sts_policy_parse(struct span text, struct arena *a,
		      struct sts_policy *out);

/* Is the host named by a pattern?  "*." stands for exactly one label
 * (RFC 8461 section 4.1). */
bool sts_policy_has(const struct sts_policy *p, struct span host);

#endif
