/* What the doctor found, and the table of what it looks for. */
#ifndef MX_CHECK_FINDING_H
#define MX_CHECK_FINDING_H

#include "common/base/arena.h"

/* The names are a contract: mx20ctl(8). */
enum check_id {
	CHECK_MX_LISTED, CHECK_MX_ORDER, CHECK_MX_TARGET, CHECK_MX_NULL,
	CHECK_MX_TTL, CHECK_OWN_ADDRESS, CHECK_OWN_PTR, CHECK_OWN_TLS,
	CHECK_OWN_TLSA, CHECK_STS_POLICY, CHECK_PRIMARY_ANSWERS,
	CHECK_PRIMARY_TLS, CHECK_PRIMARY_RECIPIENT, CHECK_PRIMARY_TRUST,
	CHECK_SPF, CHECK_DNSBL, CHECK_RECIPIENTS, CHECK_SPOOL_ROOM,
	CHECK_MIRROR_LAG, CHECK_MIRROR_SYNCHRONOUS, CHECK_MIRROR_VERSION,
	CHECK_MIRROR_NODES,
	CHECKS,
};
const char *check_name(enum check_id id); /* "mx-listed" */
/* Is it about this host, the same for every domain? */
bool check_is_of_host(enum check_id id);

enum severity { SEVERITY_OK, SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_ERROR };
const char *severity_name(enum severity s); /* "warning" */

/* Words may hold what strangers said: cleaned where they are shown. */
struct finding {
	enum check_id id;
	enum severity severity;
	struct span what;
	struct span remedy; /* what to publish or to write; may be empty */
};

/* All zero but the arena, which owns what is found, is empty. */
struct findings {
	struct arena *arena;
	struct finding *list;
	size_t count, room;
};

/* One more, with a remedy of its own behind it, if it needs one. */
void findings_add(struct findings *f, enum check_id id, enum severity s,
		  const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The remedy of the last one; a second one goes on a line of its own. */
void findings_remedy(struct findings *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* As findings_add, with ok, unless something was found by this check. */
void findings_ok(struct findings *f, enum check_id id, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Those of another list, which lives longer. */
void findings_join(struct findings *f, const struct findings *more);
/* In the order of the table, the worst of a check first. */
void findings_sort(struct findings *f);
/* The worst of one check; SEVERITY_OK: nothing was found. */
enum severity findings_worst(const struct findings *f, enum check_id id);

#endif
