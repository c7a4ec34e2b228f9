/* Connections out, of our domains' destinations or of strangers'. */
#ifndef MX_DRAIN_SLOTS_H
#define MX_DRAIN_SLOTS_H

#include "daemon/delivery/delivery.h"
#include "daemon/drain/dest.h"

struct slots {
	unsigned links, most;
	struct dest_queue waiting; /* for one to end */
	int64_t said_ms;	   /* monotonic: that there is none */
};

/* most: what the system has room for; 0: as many as we want. */
void slots_start(struct drain *d, unsigned most);
void slots_stop(struct drain *d);
/* Do only reports go there, by what strangers' DNS says? */
bool slots_is_strangers(const struct dest *dst);
bool slots_have_room(const struct dest *dst);
/* It wants a connection: it is run when there may be one. */
void slots_wait(struct dest *dst);
void slots_forget(struct dest *dst);
void slots_take(struct link *l);
void slots_give_back(struct link *l);
/* Strangers' hosts have less time. */
void slots_limit(const struct dest *dst, struct delivery_options *opt);
/* How many connections one destination may have. */
unsigned slots_each(const struct dest *dst);

#endif
