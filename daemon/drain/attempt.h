/*
 * A unit in flight: from its loading until what became of it is durable.  It is
 * taken by nobody else meanwhile, and a crash sends it again.
 */
#ifndef MX_DRAIN_ATTEMPT_H
#define MX_DRAIN_ATTEMPT_H

#include <sys/queue.h>

#include "common/base/hash.h"
#include "daemon/delivery/delivery.h"
#include "daemon/drain/drain.h"
#include "daemon/report/report.h"

struct dest;
struct domain;
struct drain;

enum {
	ATTEMPT_MAGIC = 0x4468616e,
	UNSETTLED_MAX = 4096 /* outcomes the spool has not committed */
};

/* May the primary have it while the disk does not know?  See risk.c. */
enum risk { RISK_NONE, RISK_UNANSWERED, RISK_UNCOUNTED, RISK_ANSWERED };

/* The operator's word that a unit is given up. */
struct order {
	TAILQ_ENTRY(order) link; /* waits for what is under way to end */
	struct drain_order by;
	drain_given_up_cb *cb;
	void *arg;
};

TAILQ_HEAD(order_list, order);

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
	unsigned offered;	 /* SMTP_EXT_ bits */
	struct order *order;	 /* the operator's; NULL: none */
	struct order_list next;	 /* what is left of it is theirs then */
	void *question;		 /* whether he is; NULL: not asked */
	TAILQ_ENTRY(attempt) asking;
	int64_t conn_ms;
	int alternate_from;	  /* the target that could not take it */
	int alternate_next;	  /* the next to be asked */
	unsigned alternate_build; /* of the targets these are indices of */
	int alternate_missed;	  /* the last that could not be asked */
	bool is_parked;		  /* of recipients that are due, see parked.c;
				     it was not delivered */
	bool is_unproven;	  /* nobody may be told what becomes of it */
	bool is_trial;		  /* the one message of a trial */
	bool is_aside;		  /* a suspect on its own connection */
	bool is_unasked;	  /* so could not a whole host before it */
	bool is_concluding;	  /* no delivery has the job any more */
	bool is_submitted;	  /* the spool will call back */
	bool is_late;		  /* no room for it: that was said */
	bool has_report;
	bool is_taken_known;		 /* to the disk, ahead of the rest */
	void (*then)(struct attempt *a); /* once that was tried */
	enum risk risk;
	bool is_strangers_risk; /* counted among theirs */
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
	bool is_proven;			/* the sender is who he says */
	bool is_paced; /* tried again after wait_ms, whatever its
			  own retry */
};

/* Takes the unit; those of its recipients that are due stand first. */
struct attempt *attempt_new(struct domain *dom, struct unit **unit);
/* The same with all recipients, and not to be delivered: they are parked and
 * due, or (order) the operator gives it up. */
struct attempt *attempt_new_for(struct domain *dom, struct unit **unit,
				struct order *order);
/* Is it being delivered, or what came of that not yet durable? */
bool attempt_is_delivery(const struct attempt *a);
struct attempt *attempt_find(struct drain *d, uint64_t id,
			     const struct domain *dom);
bool attempt_has(struct drain *d, uint64_t id, const struct domain *dom);
void attempt_drop(struct attempt *a);
/* What came of an order; it goes. */
void order_end(struct order *o, enum mx_err err);
/* Nobody will obey those that wait for its end. */
void attempt_end_orders(struct attempt *a, enum mx_err err);
/* One that no drain knows of any more. */
void attempt_free(struct attempt *a);
unsigned attempt_hash(const struct attempt_key *k);

#endif
