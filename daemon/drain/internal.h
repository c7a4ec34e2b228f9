/* The inside of the drain; for this folder only. */
#ifndef MX_DRAIN_INTERNAL_H
#define MX_DRAIN_INTERNAL_H

#include <sys/queue.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/spool/scope.h"
#include "daemon/delivery/delivery.h"
#include "daemon/drain/drain.h"
#include "daemon/drain/machine.h"
#include "daemon/drain/suspect.h"
#include "daemon/report/report.h"

enum {
	DOMAIN_MAGIC = 0x44646f6d,
	DEST_MAGIC = 0x44647374,
	LINK_MAGIC = 0x446c6e6b,
	ATTEMPT_MAGIC = 0x4468616e,

	PAGE_IDS = 32,	       /* ids fetched from the spool at a time */
	ASKING_MAX = 256,      /* route look-ups under way */
	ASKING_STRANGERS = 64, /* the same, of domains that are not listed */
	REFRESH_MAX = 50,      /* old routes asked for again each 100 ms */
	UNSETTLED_MAX = 4096   /* outcomes the spool has not committed */
};

/* Ready ids of a domain in one direction, a page at a time; no page while
 * nobody takes units, so that ten thousand waiting domains cost little. */
struct ready_ids {
	uint64_t *page;
	size_t at, count;
	uint64_t edge; /* the last id fetched; 0: from the end */
};

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
				   unlisted.c */
	bool is_left;		/* its mail is held: that was said */
	bool is_barred;		/* it has mail that must not go */
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
	bool in_ring;
	bool has_mail;		/* may have ready units */
	bool is_recorded;	/* the spool knows its destination */
	bool is_rewound;	/* something was announced: look again
				   from the oldest at the page's end */
	bool is_passing_over;	/* units that are set aside */
	bool is_deferral_known; /* the spool knows of deferred_ms */
	int64_t rewound_ms;
	struct ready_ids oldest, newest;
	size_t in_flight, ordered; /* of them, by the operator */
	TAILQ_ENTRY(domain) late;  /* in its destination's deferred */
	int64_t deferred_ms;	   /* wall: 4yz to its mail since; 0: no */
	int64_t deferred_run_ms;   /* the same, monotonic */
	int64_t idle_ms;	   /* since when there is nothing to do */
	struct cap {		   /* of reports to it, see cap.c */
		int64_t began_ms;  /* monotonic: of the minute counted */
		unsigned taken;	   /* in it */
		int64_t slot_ms;   /* the minute that is given out now */
		unsigned slot_taken;
		unsigned deferring; /* on their way to the disk */
		bool is_full;	    /* more would be */
		bool is_said;	    /* in this minute */
	} cap;
};
LIST_HEAD(domain_list, domain);
TAILQ_HEAD(domain_ring, domain);

/* One address of one host of a destination. */
struct target {
	char name[300]; /* "mx.example.org[192.0.2.1]:25" */
	struct net_addr addr;
	const struct route_host *host;
	char last_reply[512];
	char ehlo[256];
	int64_t since_ms;	  /* wall */
	unsigned without;	  /* SMTP_EXT_ and DELIVERY_ bits offered, but
				     refused */
	int64_t without_until_ms; /* monotonic: it may have been mended */
	char said[512];		  /* the failed probe last logged: stage and
				     reply; "": none since it was up */
	int64_t said_ms;	  /* monotonic: when */
	unsigned left_out;	  /* equal ones since */
	unsigned untested;	  /* of without: nothing has come through
				     without them yet */
	int64_t proven_until_ms;  /* monotonic: delivery_is_proven */
	int64_t stored_ms;	  /* monotonic: in the spool */
	UT_hash_handle hh;	  /* in the address's group */
	LIST_ENTRY(target) same;
	struct dest *dest;
	size_t index;
};

/* All targets of one IP address, for drain_heard_from. */
struct at_address {
	struct net_addr addr; /* port 0 */
	UT_hash_handle hh;
	LIST_HEAD(, target) targets;
};

LIST_HEAD(link_list, link);
TAILQ_HEAD(link_queue, link);

/* Nothing goes to destinations of this name.  A few at most: an operator made
 * each. */
struct dest_hold {
	LIST_ENTRY(dest_hold) link;
	char name[SCOPE_DESTINATION_MAX + 1];
	char reason[256];
};
LIST_HEAD(dest_hold_list, dest_hold);

/* A unit that a host refused when it refused everybody.  It is tried again
 * and again: greylisting wants the same one, and it may be all there is. */
enum { PILOTS_MAX = 4 };
struct pilot {
	uint64_t id;
	struct domain *domain;
};

/* Connections out, of our domains' destinations or of strangers': slots.c. */
TAILQ_HEAD(dest_queue, dest);
struct slots {
	unsigned links, most;
	struct dest_queue waiting; /* for one to end */
	int64_t said_ms;	   /* monotonic: that there is none */
};

/* Routes asked for, the same way apart. */
struct asking {
	TAILQ_HEAD(, domain) waiting;
	unsigned count, most;
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
	struct slots *waits_in; /* for a connection, or NULL */
	TAILQ_ENTRY(dest) slot;
	struct domain_ring ring;
	struct link_list links;
	unsigned live, trying; /* links that work; probes included */
	unsigned singles;      /* links that are one */
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
	bool is_shaken;		     /* a connection was lost, and nothing was
					answered since: */
	int64_t shaken_ms;	     /* monotonic */
	bool is_owing;		     /* put_off is due at the next success */
	unsigned generation;	     /* of the settings its facts are from: if
					they are new, so are the next ones */
	int64_t doubted_ms;	     /* when its policies were asked for anew */
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

/* A scout probes a better target beside the connections in use; an single
 * takes one unit to a target of its own.  Neither counts for the machine. */
enum link_kind { LINK_USUAL, LINK_SCOUT, LINK_SINGLE };

/* One connection. */
struct link {
	unsigned magic;
	struct dest *dest;
	struct slots *slots; /* whose it takes */
	LIST_ENTRY(link) entry;
	struct delivery *delivery;
	int target;	/* MACHINE_NONE: not in the route now */
	char host[300]; /* the target's name */
	enum link_kind kind;
	unsigned without;	/* what it began without */
	struct attempt *single; /* waits for it to be ready, or NULL */
	bool is_ready, is_leaving, is_newest_first;
	bool is_held_back; /* waits for room, see risk.c */
	TAILQ_ENTRY(link) held_back;
	bool is_trial;		   /* up when it has taken a message */
	struct config *config;	   /* delivery borrows names from it */
	size_t jobs_done, turn_at; /* then another host is looked for */
	int64_t started_ms, conn_ms;
	ev_timer idle;
};

/* May the primary have it while the disk does not know?  See risk.c. */
enum risk { RISK_NONE, RISK_UNANSWERED, RISK_UNCOUNTED, RISK_ANSWERED };

/* A unit in flight: from its loading until what became of it is durable. */
struct attempt_key {
	uint64_t id;
	const struct domain *domain;
};
TAILQ_HEAD(attempt_queue, attempt);

struct attempt {
	unsigned magic;
	struct attempt_key key;
	UT_hash_handle hh;
	struct drain *drain; /* NULL: drain_free went by */
	struct domain *domain;
	struct delivery_job *job;
	char host[300];		 /* whose words the outcomes are */
	const char *tls;	 /* static; "": clear text */
	enum report_cause cause; /* why it is given up, if it is */
	const char *status;	 /* static, for the report; NULL: as the
				    reply says */
	struct order *order;	 /* the operator's; NULL: none */
	unsigned offered;	 /* SMTP_EXT_ bits */
	int64_t conn_ms;
	int alternate_from;	  /* the target that could not take it */
	int alternate_next;	  /* the next to be asked */
	unsigned alternate_build; /* of the targets these are indices of */
	int alternate_missed;	  /* the last that could not be asked */
	bool is_trial;		  /* the one message of a trial */
	bool is_aside;		  /* a suspect on its own connection */
	bool is_unasked;	  /* so could not a whole host before it */
	bool is_concluding;	  /* no delivery has the job any more */
	bool is_submitted;	  /* the spool will call back */
	bool is_late;		  /* no room for it: that was said */
	bool has_report;
	bool again; /* recipients remain to be tried */
	enum risk risk;
	int64_t risky_ms; /* since when */
	struct dest *risk_dest;
	TAILQ_ENTRY(attempt) unanswered;
	int64_t concluded_ms, due_ms;	/* wall */
	uint64_t report_id;		/* of the last try to record; 0: none */
	int64_t wait_ms;		/* at least, before it is tried again */
	ev_timer retry;			/* the spool could not record it */
	TAILQ_ENTRY(attempt) join;	/* see join.c: waits, or follows */
	struct attempt_queue followers; /* its report is about them, too */
	bool is_following;		/* its report is that of another */
	bool is_early;			/* deferred, lest it be reported */
	bool is_capped;			/* a report above bounce.rate */
	bool is_paced; /* tried again after wait_ms, whatever its
			  own retry */
};

/* A unit that connections died with, see aside.c. */
struct outcast {
	struct attempt_key key;
	UT_hash_handle hh;
	struct domain *domain;
	struct suspect suspect;
	bool is_usual;	   /* goes as others do: none waits */
	bool is_excusable; /* when anything is answered there */
};

struct turns {
	ev_timer timer;
	struct dest_queue dirty;    /* each once */
	TAILQ_HEAD(, visit) visits; /* one after the other */
	TAILQ_HEAD(, domain) domains;
	TAILQ_HEAD(, dest) dests; /* all there are, for these */
};

struct drain {
	struct ev_loop *loop;
	struct spool *spool;
	struct router *router;
	struct config *config;
	unsigned generation; /* of config, counted from 1 */
	unsigned left_said;  /* alarms of this hour, see unlisted.c */
	int64_t reminded_ms;

	struct domain *domains;	       /* hash by name */
	struct dest *dests;	       /* hash by route key */
	struct at_address *by_address; /* hash by address */
	struct attempt *attempts;      /* hash by id and domain */
	struct dest_hold_list dest_holds;
	unsigned hold_changes;	  /* of that list */
	struct outcast *outcasts; /* hash by the same */
	struct asking asking[2];  /* [1]: of strangers */
	struct slots slots[2];	  /* the same */
	ev_timer slots_timer;
	TAILQ_HEAD(, domain) to_refresh;
	ev_timer pace; /* of refreshing */
	struct turns turns;
	unsigned unsettled;
	struct group *groups; /* hash by message; see join.c */
	TAILQ_HEAD(, group) group_order;
	size_t joining;		   /* attempts in them */
	struct reported *reported; /* hash by message */
	TAILQ_HEAD(, reported) reported_order;
	unsigned at_risk;		 /* counted units, see risk.c */
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

/* ---- drain.c ---- */
/* A look at the spool failed: nothing is known by it, least of all that
 * nothing waits.  Everything pauses for a second, then looks again. */
void drain_is_unreadable(struct drain *d, struct span domain, enum mx_err err);
/* Reports to domains that take no mail go nowhere: their end is recorded. */
void drain_reap(struct drain *d);
/* There is room for outcomes again: everyone goes on. */
void drain_go_on(struct drain *d);

/* ---- domain.c ---- */
struct domain *domain_find(struct drain *d, struct span name);
struct domain *domain_need(struct drain *d, struct span name);
void domain_free(struct domain *dom);
/* Units became ready: fetch them, and ask for the route if need be. */
void domain_announce(struct domain *dom);
void domain_record(struct domain *dom);
/* Look again from the oldest: units came back. */
void domain_rewind(struct domain *dom);
void domain_ask(struct domain *dom);
/* May its route be used no longer? */
bool domain_is_old(const struct domain *dom);
void domain_pace_start(struct drain *d);
void domain_pace_stop(struct drain *d);
void domain_ask_next(struct drain *d);
/* The next ready unit that is not in flight, loaded and marked; NULL: none. */
struct attempt *domain_take(struct domain *dom, bool newest);
/* This one, if it is ready and not in flight. */
struct attempt *domain_take_unit(struct domain *dom, uint64_t id);
void domain_enter_ring(struct domain *dom);
void domain_leave_ring(struct domain *dom);
/* How many ready units are known to wait, at most `most`. */
size_t domain_waiting(struct domain *dom, size_t most);
/* What is known of it may be old, and removed since: read it again. */
void domain_reread(struct domain *dom);
struct span domain_name(const struct domain *dom);

/* ---- unlisted.c ---- */
/* May its mail be routed?  Asked before each look-up; false: it is held.  Also
 * notices that the domain is listed again. */
bool unlisted_may_go(struct domain *dom);
/* May this unit be delivered, by what unlisted_may_go found? */
bool unlisted_takes(struct domain *dom, const struct unit *u);
/* May its lifetime end? */
bool unlisted_may_end(struct domain *dom, const struct unit *u);
/* The alarm of the hour. */
void unlisted_remind(struct drain *d);

/* ---- dest.c ---- */
struct dest *dest_find(struct drain *d, const struct route *route);
struct dest *dest_need(struct drain *d, struct route *route);
void dest_free(struct dest *dst);
void dest_stop(struct dest *dst);
void dest_join(struct dest *dst, struct domain *dom);
void dest_quit(struct domain *dom);  /* leave its destination */
void dest_weigh(struct domain *dom); /* is it a stranger now, or no more? */
/* Give out mail, connect, set the timer.  From the loop only: whoever changes
 * something calls turns_touch. */
void dest_run(struct dest *dst);
struct attempt *dest_take(struct dest *dst, bool newest);
void dest_note(struct dest *dst, int target, const struct smtp_reply *reply);
void dest_note_text(struct dest *dst, int target, struct span reply);
bool dest_is_idle(struct dest *dst); /* nothing waits, nothing is under way */
void dest_store_target(struct dest *dst, int target);
void dest_store_now_and_then(struct dest *dst, int target);
/* What nobody has asked for long is not known any more. */
void dest_forget(struct dest *dst);
void dest_trigger(struct dest *dst, const char *why);
/* The link to this target has had its share: may another host take its place?
 * False: ask again, it cannot be found out now. */
bool dest_seek_relief(struct dest *dst, int target);
/* There is another link, beside as many as there may be: one ends. */
void dest_relieve(struct dest *dst, const struct link *by);
void dest_count_links(const struct dest *dst, int target, unsigned *here,
		      unsigned *live);
void dest_doubt_policy(struct dest *dst);
void dest_heard_from(struct dest *dst, int target);
/* The drain's settings are new. */
void dest_set_config(struct dest *dst, struct span none);

/* ---- deferral.c: what is refused for now ---- */
/* What the reply to this job says of the host it went to. */
enum temper_news {
	TEMPER_SAME,
	TEMPER_REFUSES, /* everybody, from now on */
	TEMPER_TAKES,	/* somebody was taken */
};
enum temper_news deferral_weigh(struct link *l, struct attempt *a);
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
/* A former run put mail of this domain off, and ended before it was due. */
void deferral_recall(struct drain *d, struct span name);

/* ---- target.c ---- */
void targets_build(struct dest *dst, struct route *route);
void targets_clear(struct dest *dst);
/* Is a failed probe worth a line: another failure than the last one, or an hour
 * later?  left_out: how many were not, since the last line. */
bool target_is_news(struct target *t, const char *stage, const char *reply,
		    int64_t now_ms, unsigned *left_out);
/* It is up. */
void target_forget_failure(struct target *t);
struct at_address *targets_at(struct drain *d, const struct net_addr *addr);

/* ---- link.c ---- */
extern const struct delivery_listener link_listener; /* jobs of attempts */
struct link *link_new(struct dest *dst, int target, enum link_kind kind);
void link_fill(struct link *l);
void link_free(struct link *l);
void link_leave(struct link *l);

/* ---- risk.c ---- */
void risk_start(struct drain *d);
void risk_stop(struct drain *d);
/* From now on the other side may have the unit.  False: not yet, the link
 * will be resumed. */
bool risk_take(struct attempt *a, struct link *l);
/* The other side has it. */
void risk_answered(struct attempt *a);
/* It does not, or the disk knows. */
void risk_over(struct attempt *a);
void risk_hold_back(struct link *l);
void risk_forget(struct link *l);

/* ---- alternate.c ---- */
/* The job came back obstructed over this link.  True: somebody else is asked;
 * false: settle it, as its outcomes are now. */
bool alternate_send(struct attempt *a, const struct link *l);
/* It is ready: here is what it is for. */
void alternate_give(struct link *l);
/* The job is back.  A connection that got nowhere with it is a failure of the
 * unit: at once again it would only be obstructed, and sent there again. */
void alternate_over(struct delivery_job *job);
/* It could not be asked: the next one, or later. */
void alternate_failed(struct attempt *a, struct dest *dst);

/* ---- hand.c ---- */
/* Takes the unit; those of its recipients that are due stand first. */
struct attempt *attempt_new(struct domain *dom, struct unit **unit);
/* The same with all recipients, and not to be delivered. */
struct attempt *attempt_new_for(struct domain *dom, struct unit **unit,
				struct order *order);
struct attempt *attempt_find(struct drain *d, uint64_t id,
			     const struct domain *dom);
bool attempt_has(struct drain *d, uint64_t id, const struct domain *dom);
void attempt_drop(struct attempt *a);
/* The longest wait there is. */
int64_t retry_longest_ms(const struct config *c);
/* The wait behind so many failures. */
int64_t retry_step_ms(const struct config *c, uint32_t attempts);
/* When a recipient that failed before may be tried again (wall). */
int64_t retry_due_ms(const struct config *c, const struct recipient *r);
unsigned attempt_hash(const struct attempt_key *k);

/* ---- slots.c: connections out ---- */
/* most: what the system has room for; 0: as many as we want. */
void slots_start(struct drain *d, unsigned most);
void slots_stop(struct drain *d);
/* Do only reports go there, by what strangers' DNS says? */
bool slots_is_strangers(const struct dest *dst);
bool slots_have_room(const struct dest *dst);
/* It wants a connection: it is kicked when there may be one. */
void slots_wait(struct dest *dst);
void slots_forget(struct dest *dst);
void slots_take(struct link *l);
void slots_give_back(struct link *l);
/* Strangers' hosts have less time. */
void slots_limit(const struct dest *dst, struct delivery_options *opt);
/* How many connections one destination may have. */
unsigned slots_each(const struct dest *dst);

/* ---- cap.c: reports a minute ---- */
/* May a report leave for it now?  It is counted if so. */
bool cap_allows(struct domain *dom);
/* It may not: it is deferred.  Takes the attempt. */
void cap_defer(struct attempt *a);
/* As many as may be are on their way to the disk: look again when told. */
bool cap_is_full(struct domain *dom);
/* One of them got there.  True: look again. */
bool cap_is_recorded(struct domain *dom);

/* ---- join.c: one report a message ---- */
/* Record the outcome, alone or with others of its message. */
void join_conclude(struct attempt *a);
/* The attempt is settled, with the report about it and its followers or, since
 * the unit had left, without. */
void join_recorded(struct attempt *lead, bool has_report);
void join_start(struct drain *d);
void join_hurry(struct drain *d); /* nobody waits any longer */
void join_forget(struct drain *d);

/* ---- aside.c ---- */
/* Is it to be passed over, since connections died with it? */
bool aside_has(struct drain *d, uint64_t id, const struct domain *dom);
/* The job is back: did its connection end with it under way? */
void aside_judge(struct attempt *a);
/* Does the time of a suspect come now? */
void aside_look(struct dest *dst);
/* When it may (monotonic); 0: not before something happens. */
int64_t aside_timer(const struct dest *dst);
/* Something was answered: what was lost while nothing was may go. */
void aside_mended(struct dest *dst);
/* An operator wants all to be tried now. */
void aside_hurry(struct dest *dst);
void aside_failed(struct attempt *a);
void aside_forget(struct drain *d);
void aside_forget_domain(struct domain *dom);

/* ---- conclude.c ---- */
/* Does anything of the unit stay? */
bool conclude_is_partial(const struct attempt *a);
/* What was refused, and would be reported, is tried again then; but not
 * before its own retry, and not later than the longest. */
void conclude_defer_failed(struct attempt *a, int64_t wait_ms);
/* Record it; with a report about it and its followers, unless it follows. */
void conclude_submit(struct attempt *a);
/* Takes the attempt; everything else is in its job. */
void conclude(struct attempt *a);
/* Settle all recipients alike, without a connection (no route, expired).  An
 * empty reply: each with its last one. */
void conclude_with(struct attempt *a, enum outcome outcome, struct span reply);

/* ---- operator.c ---- */
void holds_load(struct drain *d);
void holds_forget(struct drain *d);
/* The hold because of which nothing may go there; NULL: it may. */
const struct dest_hold *dest_held(struct dest *dst);

/* ---- expire.c ---- */
void expire_start(struct drain *d);
void expire_stop(struct drain *d);
/* A unit was deferred until then (wall). */
void expire_due_at(struct drain *d, int64_t due_ms);
void expire_look(struct drain *d);

#endif
