/* An MTA-STS policy as it was fetched, and as it is kept. */
#ifndef MX_STS_KNOWN_H
#define MX_STS_KNOWN_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "daemon/sts/policy.h"

/* Immutable, shared by counting. */
struct sts_known {
	unsigned refs;
	struct arena arena;
	struct sts_policy policy;
	struct span domain, id;
	int64_t fetched_ms; /* wall */
};

/* NULL: the text is no policy. */
struct sts_known *sts_known_new(struct span domain, struct span id,
				int64_t fetched_ms, struct span text);
struct sts_known *sts_known_ref(struct sts_known *k);
void sts_known_unref(struct sts_known **k); /* *k may be NULL */

int64_t sts_known_age_ms(const struct sts_known *k);
/* max_age is not over; false for NULL. */
bool sts_known_in_force(const struct sts_known *k);

/* Where it outlives a restart; both may be NULL. */
struct sts_facts {
	void (*put)(struct span key, struct span value, void *arg);
	enum mx_err (*get)(struct span key, struct buf *out, void *arg);
	void *arg;
};

/*
 * The fact "sts:example.org": "20260101T0 1764000000000\n" (id, wall time of
 * the fetch), then the policy as it came, which is text.
 */
void sts_known_put(const struct sts_facts *f, const struct sts_known *k,
		   struct span text);
struct sts_known *sts_known_get(const struct sts_facts *f, struct span domain);
/* Is it such a fact, and has its max_age gone by?  Pure but for the clock. */
bool sts_known_is_over(struct span key, struct span value);
void sts_known_delete(const struct sts_facts *f, struct span domain);

#endif
