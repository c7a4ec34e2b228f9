/* What is refused for now: how it comes back. */
#ifndef MX_DRAIN_DEFERRAL_H
#define MX_DRAIN_DEFERRAL_H

#include "daemon/drain/link.h"

/* What the reply to this job says of the host it went to. */
enum temper_news {
	TEMPER_SAME,
	TEMPER_REFUSES, /* everybody, from now on */
	TEMPER_TAKES,	/* somebody was taken */
};
/* is_last: nobody else waits for the destination. */
enum temper_news deferral_weigh(struct link *l, struct attempt *a,
				bool is_last);
/* The one message to try a host with; NULL: there is none now. */
struct attempt *deferral_trial(struct dest *dst);
/* Nothing is ready, and a probe is due: make a pilot ready. */
void deferral_call(struct dest *dst);
/* A connection was lost with it, and nothing was answered there since one was
 * before: it is due when anything is.  True: until then it is one of the few
 * that are tried at the pace of probes. */
bool deferral_lost(struct attempt *a);
/* Something was answered. */
void deferral_mended(struct dest *dst);
/* Time has come: excuse some more. */
void deferral_look(struct dest *dst);
/* When deferral_call or deferral_look have something to do (monotonic); 0: not
 * before something happens. */
int64_t deferral_timer(const struct dest *dst);
/* The domain leaves its destination: what was refused there is due now. */
void deferral_leave(struct domain *dom);
/* A former run deferred mail of this domain, and ended before it was due. */
void deferral_recall(struct drain *d, struct span name);

#endif
