/* Macros in names and explanations: RFC 7208 section 7.  Pure. */
#ifndef MX_SPF_MACRO_H
#define MX_SPF_MACRO_H

#include "common/base/arena.h"
#include "common/spf/spf.h"

/* Is it a macro-string?  Of an explanation: spaces, and the letters c, r, t. */
bool spf_macro_ok(struct span s, bool is_explanation);

/* The same, and does it end as a domain-spec must: in a macro, or a label that
 * can be a top-level one? */
bool spf_domain_spec_ok(struct span s);

/* Does it ask for the validated name of the client? */
bool spf_macro_wants_name(struct span s);

struct spf_macros {
	const struct spf_request *request;
	struct span local, sender, sender_domain;
	struct span domain; /* <domain> of check_host() */
	struct span name;   /* validated, or "unknown" */
};

/* So much is more than any name, and than an explanation of ours. */
enum { SPF_EXPANDED_MOST = 4096 };

/* Append s with all macros replaced.  s was found ok.  False: out has a part of
 * it, since the whole is longer than SPF_EXPANDED_MOST.  A record of 64 KiB
 * stands for 100 times as much, and a stranger wrote it. */
bool spf_expand(struct buf *out, struct span s, const struct spf_macros *m);

#endif
