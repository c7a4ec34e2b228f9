/* The inside of drain.h. */
#ifndef MX_DRAIN_DRAIN_PRIV_H
#define MX_DRAIN_DRAIN_PRIV_H

#include "common/base/buf.h"
#include "daemon/drain/departure.h"
#include "daemon/drain/holds.h"
#include "daemon/drain/link.h"
#include "daemon/drain/probes.h"
#include "daemon/drain/slots.h"
#include "daemon/drain/stops.h"
#include "daemon/drain/strangers.h"
#include "daemon/drain/turns.h"

LIST_HEAD(callout_list, callout);

/* Questions to primaries: callout.h. */
struct callouts {
	struct callout_list all;
	size_t count;
	size_t domains;		       /* made for a question */
	struct callout_queue answered; /* and not told yet */
	ev_timer timer;
	const struct delivery_listener *listener;
};

struct drain {
	struct ev_loop *loop;
	struct spool *spool;
	struct router *router;
	struct config *config;
	const struct give_up_proof *proof; /* NULL: nobody is proven */
	struct history *history; /* NULL: nobody keeps it */
	struct traces *traces;	 /* so, too */
	struct tally *tally;	 /* so, too */
	struct departures departures;
	struct known *known; /* may be NULL */
	struct callouts callouts;
	unsigned generation; /* of config, counted from 1 */
	unsigned left_said;  /* alarms of this hour, see unlisted.c */
	int64_t reminded_ms;

	struct domain *domains;	       /* hash by name */
	struct dest *dests;	       /* hash by route key */
	struct at_address *by_address; /* hash by address */
	struct attempt *attempts;      /* hash by id and domain */
	struct dest_hold_list dest_holds;
	unsigned hold_changes;	  /* of that list */
	struct stop *stops;	  /* hash by name */
	size_t watches;		  /* see braking.c */
	struct outcast *outcasts; /* hash by the same */
	struct strangers strangers;
	struct asking asking[OF_COUNT];
	struct slots slots[2];	 /* [1]: of strangers */
	ev_timer slots_timer;
	struct probes probes;
	TAILQ_HEAD(, domain) to_refresh;
	ev_timer pace; /* of refreshing */
	struct turns turns;
	/* who is called from below: */
	const struct delivery_events *link_events;
	const struct delivery_listener *link_listener;
	const struct delivery_listener *lane_listener;
	unsigned lane_links; /* of all destinations */
	route_cb *on_route;
	const struct visit_ops *reap;
	/* what is left of a unit is to be given up */
	void (*on_dropped)(struct domain *dom, uint64_t id,
			   struct order_list *orders);
	unsigned unsettled;
	struct group *groups; /* hash by message; see join.c */
	TAILQ_HEAD(, group) group_order;
	size_t joining;		   /* attempts in them */
	struct reported *reported; /* hash by message */
	TAILQ_HEAD(, reported) reported_order;
	TAILQ_HEAD(, warning) warnings; /* that wait for a proof */
	size_t warning_count;
	struct attempt_queue asking_proof; /* attempts, see parked.c */
	size_t asked;
	unsigned at_risk;		 /* counted units, see risk.c */
	unsigned strangers_at_risk;	 /* of these */
	struct attempt_queue unanswered; /* of these, the oldest first */
	struct link_queue held_back;	 /* until there are fewer */
	ev_timer patience, resume;	 /* for the two */
	bool is_full;			 /* stopped taking units for that */
	bool is_broken; /* the disk failed: deliver nothing more */
	bool is_stopping;
	bool is_blind;		 /* the spool could not be read just now */
	bool is_listed;		 /* what waited at the start is known */
	int64_t blind_said_ms;	 /* when that was logged */
	ev_timer sight;		 /* look again */
	int64_t starved_said_ms; /* when want of descriptors was logged */

	ev_timer due;  /* deferred units */
	ev_timer ends; /* lifetimes and warnings */
	struct spool_expiry
		ends_seen; /* look behind it; id 0: from the first */
	int64_t forget_ms; /* monotonic: facts, the next time */
	ev_timer sweep;	   /* what has nothing to do is forgotten */
	int64_t due_at_ms; /* wall: what `due` is armed for; 0: no */

	struct buf text; /* scratch for status */
	struct status_target *status;
	size_t status_cap;
};

static inline bool drain_is_at_work(const struct drain *d)
{
	return !d->is_broken && !d->is_stopping && !d->is_blind &&
	       !spool_has_failed(d->spool);
}

/* ---- drain_pause.c ---- */
/* A look at the spool failed: nothing is known by it, least of all that
 * nothing waits.  Everything pauses for a second, then looks again. */
void drain_is_unreadable(struct drain *d, struct span domain, enum mx_err err);
/* Reports to domains that take no mail go nowhere: their end is recorded. */
void drain_reap(struct drain *d);
/* As many outcomes as may wait for the disk: no unit is taken, and drain_go_on
 * follows. */
bool drain_is_full(struct drain *d);
/* There is room for outcomes again: everyone goes on. */
void drain_go_on(struct drain *d);

/* ---- drain_reap.c ---- */
void drain_reap_start(struct drain *d);

/* ---- drain_strangers.c ---- */
void drain_strangers_start(struct drain *d);
void drain_strangers_stop(struct drain *d);
/* May there be a struct domain of this name?  False: its mail, which is nothing
 * but reports, stays in the spool and is found again from there. */
bool drain_admits(struct drain *d, struct span name);

/* ---- drain_sweep.c ---- */
void drain_sweep_start(struct drain *d);
void drain_sweep_stop(struct drain *d);
void domain_free(struct domain *dom);

#endif
