/*
 * One state machine per destination: probe, ramp, who is due, retry.
 *
 *  unknown --mail--> probing --EHLO ok--> up --all targets fail--> down
 *                       ^  \--fails--------------------------------> |
 *                       +-----------------timer or trigger-----------+
 */
#ifndef MX_DRAIN_DRAIN_H
#define MX_DRAIN_DRAIN_H

#include <ev.h>

#include "config/config.h"
#include "common/spool/spool.h"
#include "common/status/destination.h"
#include "daemon/delivery/command.h"
#include "daemon/drain/proof.h"
#include "daemon/history/history.h"
#include "daemon/history/tally_keeper.h"
#include "daemon/history/traces.h"
#include "daemon/known/known.h"
#include "daemon/relay/door.h"
#include "daemon/route/route.h"

struct callout;
struct drain;

enum drain_state { DRAIN_UNKNOWN, DRAIN_PROBING, DRAIN_UP, DRAIN_DOWN };
const char *drain_state_name(enum drain_state s); /* "unknown" ... */

struct drain_options {
	struct ev_loop *loop;
	struct spool *spool;
	struct router *router;
	struct config *config;		   /* a reference is taken */
	const struct give_up_proof *proof; /* NULL: nobody is ever proven */
	struct history *history; /* NULL: none is kept */
	struct traces *traces;	 /* so, too */
	struct tally *tally;	 /* so, too */
	/* Who learns from what primaries say; NULL: nobody. */
	struct known *known;
	/* Descriptors for connections out; 0: enough. */
	unsigned most_links;
};

/* Subscribes to the spool and starts on whatever waits in it. */
struct drain *drain_new(const struct drain_options *opt);
/* Take no more mail on; connections end with what they have. */
void drain_stop(struct drain *d);
/* Units in flight: being delivered, or delivered and not yet recorded.  At 0
 * after drain_stop nothing will be sent twice. */
size_t drain_busy(const struct drain *d);
/* Closes connections politely but at once; nothing is lost. */
void drain_free(struct drain **d);
/* New settings: routes are asked again, a changed route wakes its mail. */
void drain_reload(struct drain *d, struct config *config);

/* ---- Triggers that cut the wait ---- */

/* Probe and retry now: a domain, or every one (empty). */
void drain_flush(struct drain *d, struct span domain);
/* A host connected to us: if it is a target that is down, probe it. */
void drain_heard_from(struct drain *d, const struct net_addr *peer);
/* Is peer an address of one of the domain's targets?  For ETRN. */
bool drain_is_target(struct drain *d, struct span domain,
		     const struct net_addr *peer);

/* Is it an address of any target in use, those of strangers aside?  O(1). */
bool drain_goes_to_address(struct drain *d, const struct net_addr *addr);

/* Would the domain's mail leave at once?  Also when nothing is known of where
 * it goes: its first message finds out.  O(1). */
bool drain_flows(struct drain *d, struct span domain);

/* Is the domain here, for its mail or for questions, and how many are?  O(1). */
bool drain_has_domain(struct drain *d, struct span domain, size_t *all);

/* ---- Standby ---- */

enum drain_answers {
	ANSWERS_NO,	 /* down, held, or no route leads there */
	ANSWERS_YES,	 /* up, and heard of within ANSWERS_MS */
	ANSWERS_UNKNOWN, /* drain_hail finds out */
};
enum { ANSWERS_MS = 60000 };

/* Does the primary of this listed domain answer now?  O(1), and nothing is
 * begun. */
enum drain_answers drain_answers(struct drain *d, struct span domain);
/*
 * Find out, over a connection if need be.  cb runs once, after return, within
 * policy.verify_timeout: SAID_YES, or it does not answer.  NULL: nobody can be
 * asked now, which is a no, too.  drain_ask_cancel takes it back.
 */
struct callout *drain_hail(struct drain *d, struct span domain,
			   known_said_cb *cb, void *arg);
/*
 * What does every host of the listed domain's route lack for this mail, by what
 * it said to EHLO within a week?  LACKS_NOTHING unless that is known of each;
 * whether a host can be authenticated is not asked.  Looks at the spool.
 */
enum command_lack drain_lacks(struct drain *d, struct span domain,
			      const struct envelope *env,
			      const struct recipient *rcpt);

/* ---- Questions: known_hooks ---- */

/*
 * Would the primary of this listed domain take the mailbox?  As mail it wakes a
 * destination that is down.  cb runs once, after return, within a minute; then
 * the question is gone.  NULL: nobody can be asked now.
 */
struct callout *drain_ask(struct drain *d, struct span domain,
			  struct span mailbox, known_said_cb *cb, void *arg);
/* cb will not run.  Before drain_free. */
void drain_ask_cancel(struct callout *c);
/* Append the key of the domain's route, if it is at hand. */
void drain_destination(struct drain *d, struct span domain, struct buf *out);

/* ---- Relaying: relay_door ---- */

bool drain_may_answer(struct drain *d, struct span domain);
struct lane *drain_lane_ask(struct drain *d, const struct lane_ask *ask);
void drain_lane_more_rcpt(struct lane *l, const struct recipient *r);
void drain_lane_more_content(struct lane *l, uint64_t bytes, bool is_all);
/* All are closed before drain_free. */
void drain_lane_close(struct lane **l);
void drain_lane_give_up(struct lane **l);

/* ---- For the operator ---- */

/*
 * Return a unit to its sender, whatever state it is in and whatever the mode;
 * by whom goes into the log.  Nobody delivers it from now on.
 *
 * What is being delivered is left to it, and what it leaves is given up then.
 *
 * MX_OK: cb is called once, after this call and perhaps after drain_free, with
 * what came of it (MX_ENOENT: it had left meanwhile; MX_ESTOP: the daemon
 * left).  MX_EBUSY: an order for it is waiting; MX_ENOENT, MX_ESPACE, MX_EIO:
 * as they say.  Then cb is not called.
 */
struct drain_order {
	int64_t uid;
	char claimed_uid[24];
};
typedef void drain_given_up_cb(enum mx_err err, void *arg);
enum mx_err drain_give_up(struct drain *d, uint64_t id, struct span domain,
			  const struct drain_order *by, drain_given_up_cb *cb,
			  void *arg);
/* Is this unit being delivered, or what became of it not yet durable? */
bool drain_is_in_flight(struct drain *d, uint64_t id, struct span domain);
/* How many units of the domain are. */
size_t drain_in_flight(struct drain *d, struct span domain);

/* Does the domain's mail go to a destination of this name: one of its targets
 * or hosts, or its whole route (common/spool/scope.h)?  Without a route in
 * use, the row's last one counts. */
bool drain_goes_to(struct drain *d, const struct spool_domain *row,
		   struct span name);
/* Is there a destination of this name?  Some are looked at; *is_over: no more
 * need be, else ask again with the same buffer, which is empty at first. */
bool drain_knows_destination(struct drain *d, struct span name,
			     struct buf *after, bool *is_over);
/* Probe every destination of this name now. */
void drain_flush_destination(struct drain *d, struct span name);
/* A hold of destinations of this name was stored in the spool, or taken out
 * of it: nothing goes to them, or everything again. */
void drain_destination_changed(struct drain *d, struct span name);

/* Release the brake of this domain and of its destination.  False: neither was
 * pulled. */
bool drain_release(struct drain *d, struct span domain);

/* ---- For status ---- */

/* State of the destination the domain belongs to; false: none known yet.
 * Spans live until the next return to the loop. */
bool drain_status(struct drain *d, struct span domain,
		  struct status_destination *out);
/* Some destinations in use, `most` at most, in no order.  Spans live during
 * cb. */
typedef void drain_dest_cb(const struct status_destination *dst, void *arg);
void drain_destinations(struct drain *d, size_t most, drain_dest_cb *cb,
			void *arg);

#endif
