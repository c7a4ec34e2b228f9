/* A destination: all domains that share one route. */
#ifndef MX_DRAIN_DEST_H
#define MX_DRAIN_DEST_H

#include <ev.h>
#include <sys/queue.h>

#include "daemon/drain/domain.h"
#include "daemon/drain/machine.h"
#include "daemon/drain/target.h"

struct dest_hold;
struct link;
struct slots;

enum { DEST_MAGIC = 0x44647374 };

LIST_HEAD(link_list, link);
TAILQ_HEAD(dest_queue, dest);

/* A unit that a host refused when it refused everybody.  It is tried again
 * and again: greylisting wants the same one, and it may be all there is. */
enum { PILOTS_MAX = 4 };
struct pilot {
	uint64_t id;
	struct domain *domain;
};

/* Relayed mail: lane.h. */
TAILQ_HEAD(lane_queue, lane);
struct lanes {
	struct lane_queue waiting; /* for a connection */
	unsigned count, held;	   /* of those; of those that have one */
	struct lane_net *nets;	   /* whose they are: lane_net.h */
	unsigned links, trying;	   /* all; not ready yet */
	unsigned limit, streak;	   /* slow start, as in machine.h */
	unsigned cap;		   /* more were refused, until: */
	int64_t capped_until_ms;   /* monotonic */
	unsigned losses;	   /* on end */
	int64_t pause_ms;	   /* monotonic: none is made before */
	int64_t look_ms;	   /* monotonic: then it is run in any case */
	int64_t latency_ms8;	   /* of the primary, smoothed, times 8 */
};

/* All domains that share one route. */
struct dest {
	unsigned magic;
	struct drain *drain;
	UT_hash_handle hh;
	TAILQ_ENTRY(dest) all;
	TAILQ_ENTRY(dest) dirty; /* has something to do: turns.h */
	struct route *route;	 /* its key is ours */
	struct machine machine;
	struct machine_target *mtargets;
	struct target *targets;
	size_t target_count;
	unsigned builds; /* how often they were made anew */
	struct domain_list domains;
	unsigned listed;	/* of them, not strangers */
	bool is_admitted;	/* to probe, need not wait */
	bool is_called;		/* to be probed for more than its time */
	struct slots *waits_in; /* for a connection, or NULL */
	TAILQ_ENTRY(dest) slot;
	struct dest_queue *probe_in; /* waits to probe: probes.h; or NULL */
	TAILQ_ENTRY(dest) probe;
	int64_t probe_due_ms; /* monotonic: waits so since */
	struct domain_ring ring;
	struct domain_ring askers;     /* with questions that wait */
	unsigned callout_links;	       /* see callout.h */
	int64_t callout_pause_ms;      /* monotonic: none is made before */
	int64_t awaited_until_ms;      /* monotonic: probed for a question */
	int64_t null_refused_until_ms; /* monotonic: it takes no <> */
	struct lanes lanes;
	struct flow flow; /* is it stopped? */
	struct link_list links;
	unsigned live, trying; /* links that work; probes included */
	unsigned singles;      /* links that carry one unit */
	unsigned serial;       /* of links made */
	unsigned at_risk;      /* units, see risk.c */
	unsigned turn;	       /* of trials */
	struct link *scout;    /* probe of a better target, or NULL */
	struct link *aside;    /* with a suspect, or NULL */
	int64_t wary_until_ms; /* monotonic: after a loss */
	ev_timer timer;
	const struct dest_hold *hold; /* as found with these: */
	unsigned hold_builds, hold_changes;
	bool is_dirty;
	bool is_owing;	     /* all in `deferred` is due at the next success */
	bool is_shaken;	     /* a connection was lost, and nothing was
				answered since shaken_ms */
	unsigned generation; /* of the settings its facts are from: if
				they are new, so are the next ones */
	int64_t shaken_ms;   /* monotonic */
	int64_t doubted_ms;  /* when its policies were asked for anew */
	struct domain_ring deferred; /* domains with mail that heard 4yz */
	int64_t excuse_ms;	     /* monotonic: when they may be; 0: no
					one is to be */
	struct pilot pilots[PILOTS_MAX];
	size_t pilot_count;
	int64_t called_ms;	 /* monotonic: a pilot was made ready */
	enum drain_state logged; /* up or down, as last said */
	char last_reply[512];
	int64_t since_ms; /* wall, of the last change */
};

/* ---- dest_facts.c ---- */
struct dest *dest_find(struct drain *d, const struct route *route);
void dest_join(struct dest *dst, struct domain *dom);
void dest_quit(struct domain *dom);  /* leave its destination */
void dest_weigh(struct domain *dom); /* is it a stranger now, or no more? */
void dest_set_params(struct dest *dst);
void dest_note(struct dest *dst, int target, const struct smtp_reply *reply);
void dest_note_text(struct dest *dst, int target, struct span reply);
/* The machine knows how many connections each target has. */
void dest_note_links(struct dest *dst);
void dest_count_links(const struct dest *dst, int target, unsigned *here,
		      unsigned *live);
/* What it says to EHLO now. */
void dest_note_ehlo(struct dest *dst, int target, const struct smtp_ehlo *ehlo);
void dest_store_target(struct dest *dst, int target);
void dest_store_now_and_then(struct dest *dst, int target);
/* What nobody has asked for long is not known any more. */
void dest_forget(struct dest *dst);

/* ---- dest_supply.c ---- */
/* The next unit, of each domain in turn; NULL: none now. */
struct attempt *dest_take(struct dest *dst, bool newest);
/* How many units wait for a connection, at most `most`; for_probe: looked up
 * again.  is_known: those that were not looked at would not change it. */
unsigned dest_waiting(struct dest *dst, unsigned most, bool for_probe,
		      bool *is_known);
bool dest_is_idle(struct dest *dst); /* nothing waits, nothing is under way */

/* ---- dest.c ---- */
struct dest *dest_need(struct drain *d, struct route *route);
void dest_free(struct dest *dst);
/* If no domain, connection or unit belongs to it. */
void dest_free_unused(struct dest *dst);
void dest_stop(struct dest *dst);
/* Give out mail, connect, set the timer.  From the loop only: whoever changes
 * something calls turns_touch. */
void dest_run(struct dest *dst);
void dest_trigger(struct dest *dst, const char *why);
void dest_heard_from(struct dest *dst, int target);
/* Its MTA-STS policy cannot be met. */
void dest_doubt_policy(struct dest *dst);
/* A target greets with our own name. */
void dest_found_here(struct dest *dst, int target);

#endif
