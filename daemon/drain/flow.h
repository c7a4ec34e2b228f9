/* Does the mail of a domain, or of a destination, flow?  See braking.h, and
 * canary.h. */
#ifndef MX_DRAIN_FLOW_H
#define MX_DRAIN_FLOW_H

#include "common/status/braked.h"

struct attempt;
struct domain;
struct drain;
struct spool_domain;
struct stop;
struct watch;

struct flow {
	struct watch *watch;	     /* of what is refused; NULL: nothing was,
					or there are too many already */
	bool is_strangers;	     /* it counts in drain->watches */
	int64_t refused_ms;	     /* monotonic: something was, last; 0: not
					of late */
	struct stop *stop;	     /* its brake; NULL: that is not pulled */
	bool is_trial;		     /* and one message goes all the same */
	bool is_canary;		     /* one at a time, until one is taken */
	unsigned tries;		     /* that were not, since */
	const struct attempt *ahead; /* the one that is under way, or NULL */
};

static inline bool flow_is_open(const struct flow *f)
{
	return (f->stop == NULL || f->is_trial) && f->ahead == NULL;
}

/* Is there a brake at all? */
bool flow_is_watched(const struct drain *d);
/* Nothing is known of it any more, or it goes. */
void flow_drop_watch(struct drain *d, struct flow *f);
/* Why it is pulled, of the domain or its destination; NULL: it is not. */
const struct braked *flow_stopped_by(const struct domain *dom);
/* Is it believed that a recipient is none?  A primary that comes back with an
 * empty directory knows nobody: not before it has taken some mail. */
bool flow_knows_its_own(const struct domain *dom);

/* What the domain was refused, and is not final yet, waits again. */
void flow_unrefuse(struct drain *d, struct span domain);
/* At the start: a former run pulled the brake, and may not have undone all. */
void flow_recall(struct drain *d, const struct spool_domain *row);
/* An attempt of the domain was recorded that has refusals: if they were on
 * their way when the brake was pulled they are undone, too. */
void flow_recorded(const struct domain *dom);

#endif
