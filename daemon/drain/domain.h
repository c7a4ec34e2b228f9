/* A domain with mail: its route, and its ready units in pages. */
#ifndef MX_DRAIN_DOMAIN_H
#define MX_DRAIN_DOMAIN_H

#include <ev.h>
#include <sys/queue.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "daemon/drain/attempt.h"
#include "daemon/drain/cap.h"
#include "daemon/drain/flow.h"
#include "daemon/route/route.h"

enum {
	DOMAIN_MAGIC = 0x44646f6d,
	PAGE_IDS = 32,	       /* ids fetched from the spool at a time */
	ASKING_MAX = 256,      /* route look-ups under way */
	ASKING_STRANGERS = 64, /* the same, of domains that are not listed */
	ASKING_STARS = 128,    /* the same, of subdomains of a line with a star */
};

/* Ready ids of a domain in one direction, a page at a time; no page while
 * nobody takes units, so that ten thousand waiting domains cost little. */
struct ready_ids {
	uint64_t *page;
	size_t at, count;
	uint64_t edge; /* the last id fetched; 0: from the end */
};

TAILQ_HEAD(callout_queue, callout);

/*
 * A domain with mail.  It is in its destination's ring while it may have
 * ready units; the spool tells when a dry one has some again.
 */
struct domain {
	unsigned magic;
	enum { HAS_NO_ROUTE, HAS_ROUTE, HAS_DENIAL } standing;
	struct drain *drain;
	UT_hash_handle hh;
	char *name;
	size_t name_len;

	struct route *route; /* the last answer; NULL: none yet */
	struct route_query *query;
	TAILQ_ENTRY(domain) asking;  /* waits for its turn to ask */
	TAILQ_ENTRY(domain) refresh; /* waits for its turn to ask again */
	TAILQ_ENTRY(domain) all;
	bool is_known, wants_ask, is_asking, wants_refresh;
	struct asking *asks_in; /* while it waits or asks */
	bool is_stranger;	/* only our reports may go there; see
				   unlisted.c, drain_strangers.c */
	TAILQ_ENTRY(domain) stranger;
	bool is_left;	/* its mail is held: that was said */
	bool is_barred; /* it has mail that must not go */
	enum mark { MARK_NONE, MARK_UNLISTED, MARK_LISTED } mark;
	unsigned remembered; /* generation its options are kept of */
	int64_t marked_ms;   /* when its row was to be marked so */

	int64_t stuck_ms;      /* wall: no usable route since */
	int64_t stuck_mono_ms; /* the same by the monotonic clock */
	int64_t ask_ms;	       /* monotonic: the route is old from then */
	ev_timer expiry;       /* of the route: at ask_ms */

	struct dest *dest; /* NULL unless HAS_ROUTE */
	LIST_ENTRY(domain) member;
	bool is_counted; /* there, as a listed one */
	TAILQ_ENTRY(domain) ring;
	bool in_ring, in_askers;
	bool is_for_questions; /* or to relay; counted */
	bool has_mail;		/* may have ready units */
	bool is_flushed;	/* its hosts are to be tried at once */
	bool is_recorded;	/* the spool knows its destination */
	bool is_rewound;	/* something was announced: look again
				   from the oldest at the page's end */
	bool is_passing_over;	/* units that are set aside */
	bool is_deferral_known; /* the spool knows of deferred_ms */
	bool is_departing_full; /* more reports would be asked about */
	int64_t rewound_ms;
	struct ready_ids oldest, newest;
	size_t in_flight, ordered; /* of them, not delivered */
	size_t departing;	   /* reports to it that are asked about */
	TAILQ_ENTRY(domain) late;  /* in its destination's deferred */
	int64_t deferred_ms;	   /* wall: 4yz to its mail since; 0: no */
	int64_t deferred_run_ms;   /* the same, monotonic */
	int64_t idle_ms;	   /* since when there is nothing to do */
	struct cap cap;		   /* of reports to it */

	struct callout_queue waiting; /* questions, see callout.h */
	struct callout_queue hails;   /* those without a recipient */
	size_t callouts;	      /* those that are out, too */
	TAILQ_ENTRY(domain) asker;
	TAILQ_HEAD(, lane) lanes;     /* that wait for the route: lane.h */
	size_t lane_count;	      /* all there are */
	struct flow flow;	   /* is it stopped? */
};
LIST_HEAD(domain_list, domain);
TAILQ_HEAD(domain_ring, domain);

/* Routes asked for.  Nobody waits for the names that others make up. */
enum asking_of { OF_LISTED, OF_STRANGERS, OF_STARS, OF_COUNT };
struct asking {
	TAILQ_HEAD(, domain) waiting;
	unsigned count, most;
};

/* ---- domain.c ---- */
struct span domain_name(const struct domain *dom);
struct domain *domain_find(struct drain *d, struct span name);
/* May its route be used no longer? */
bool domain_is_old(const struct domain *dom);
void domain_enter_ring(struct domain *dom);
void domain_leave_ring(struct domain *dom);
/* What is known of it may be old, and removed since: read it again. */
void domain_reread(struct domain *dom);
/* Begin with the oldest again. */
void domain_start_over(struct domain *dom);
/* Nothing of it is ready. */
void domain_run_dry(struct domain *dom);

/* ---- domain_route.c ---- */
struct domain *domain_need(struct drain *d, struct span name);
/* The same for one without mail.  NULL: there are enough; under a pattern of
 * domains there is no end of names. */
struct domain *domain_need_bounded(struct drain *d, struct span name);
/* Ask for its route; it is out of the ring until there is an answer. */
void domain_ask(struct domain *dom);
void domain_ask_next(struct drain *d);
void domain_ask_no_more(struct domain *dom);
void domain_arm_expiry(struct domain *dom);
void domain_pace_start(struct drain *d);
void domain_pace_stop(struct drain *d);
/* ---- domain_follow.c: the answers ---- */
void domain_follow_start(struct drain *d);

/* ---- domain_wake.c ---- */
/* Units became ready: fetch them, and ask for the route if need be. */
void domain_announce(struct domain *dom);
/* Look again from the oldest: units came back. */
void domain_rewind(struct domain *dom);
void domain_record(struct domain *dom);

/* ---- domain_units.c ---- */
/* The next ready unit that is not in flight, loaded and marked; NULL: none. */
struct attempt *domain_take(struct domain *dom, bool newest);
/* This one, if it is ready and not in flight. */
struct attempt *domain_take_unit(struct domain *dom, uint64_t id);
/* How many ready units are known to wait, at most `most`. */
size_t domain_waiting(struct domain *dom, size_t most);

#endif
