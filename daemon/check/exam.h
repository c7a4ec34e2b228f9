/* One domain on the table: what is gathered about it. */
#ifndef MX_CHECK_EXAM_H
#define MX_CHECK_EXAM_H

#include "daemon/check/mx.h"
#include "daemon/check/own.h"
#include "daemon/check/server.h"
#include "daemon/check/world.h"
#include "daemon/proof/evaluation.h"
#include "daemon/route/lookup.h"

enum { EXAM_VISITS_MAX = 24 };

/* A server of the primary, and our recipient there. */
struct exam_visit {
	const struct route_host *host;
	struct net_addr addr;
	struct server_visit v;
};

/* What SPF says of one of our addresses. */
struct exam_spf {
	struct exam *exam;
	struct net_addr addr;
	struct evaluation *evaluation; /* NULL: it has ended */
	bool is_known;
	enum spf_result result;
	struct span mechanism, problem;
};

struct exam {
	struct gather g; /* first */
	struct world *world;
	struct span domain;
	const struct config_domain *row; /* NULL: not in the allowlist */
	void (*done)(struct exam *e, void *arg); /* once, from the loop */
	void *arg;

	struct mx_set mx;
	unsigned addrs_pending;
	ev_timer again;
	bool waits_again;
	struct own *own; /* NULL: not asked for yet */

	struct lookup *lookup;
	struct route *route;
	struct exam_visit *visits;
	size_t visit_count;
	bool has_skipped_v6; /* this host has no IPv6 */

	struct answer sts_record;
	struct sts_query *sts_query;
	bool has_sts; /* it was answered */
	struct sts_known *sts;
	struct span sts_problem;

	struct answer txt;
	struct exam_spf spf[OWN_ADDRS_MAX];
	size_t spf_count;

	struct findings findings;
};

struct exam *exam_new(struct world *w, struct span domain,
		      void (*done)(struct exam *e, void *arg), void *arg);
void exam_free(struct exam **e);

/* A family of checks each: judge what was gathered. */
void primary_judge(struct exam *e);
void sts_judge(struct exam *e);
void spf_judge(struct exam *e);
void tlsa_judge(struct exam *e);
void recipients_judge(struct exam *e);
void room_judge(struct findings *f, const struct check_room *room);
void mirror_judge(struct findings *f, const struct check_mirror *m);

#endif
