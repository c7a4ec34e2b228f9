/* The inside of lookup.h: machine, rounds, policies. */
#ifndef MX_ROUTE_LOOKUP_PRIV_H
#define MX_ROUTE_LOOKUP_PRIV_H

#include "daemon/route/choose.h"
#include "daemon/route/lookup.h"

enum { LOOKUP_MAGIC = 0x100c0bad };

/* One DNS question of the round. */
struct question {
	struct lookup *lookup;
	struct candidate *host; /* NULL: about the domain */
	enum dns_type type;
	struct span base;	 /* of TLSA */
	struct dns_query *query; /* NULL: answered */
};

/* One MTA-STS question; they run beside the rounds. */
struct sts_question {
	struct lookup *lookup;
	struct candidate *host;	 /* NULL: for all hosts */
	struct sts_query *query; /* NULL: answered */
	struct sts_known *known;
};

/*
 *  mx --> addresses --> aliases --> tlsa --> tlsa of the original name --> sts
 *   |                                                                       |
 *   \--null MX, SERVFAIL (no host to ask about)--> done <-------------------/
 *
 * A round without questions is over at once: primary= has no mx, unsigned
 * zones have no tlsa, tls=none has no sts.
 */
enum round {
	ROUND_START,
	ROUND_MX,
	ROUND_ADDRESSES,
	ROUND_ALIASES,
	ROUND_TLSA,
	ROUND_TLSA_ORIGINAL,
	ROUND_STS,
	ROUND_DONE,
};

struct lookup {
	unsigned magic;
	struct lookup_options opt;
	struct arena arena;
	struct span domain;
	ev_timer start; /* so that nothing happens before lookup_new returns */
	enum round round;
	struct question *questions;
	size_t question_count, pending;
	struct sts_question *policies;
	size_t policy_count, policies_pending;
	struct choice choice;
	bool has_asked;	 /* DNS or a file, about anything */
	bool is_settled; /* by the MX answer alone */
	enum route_result result;
	struct buf reason;
	unsigned findings; /* when it began */
	enum route_dnssec mx_dnssec;
	struct span canon; /* where a CNAME of the domain led */
	int64_t ttl_s;
	/* The last question of a round is answered: may free l. */
	void (*advance)(struct lookup *l);
	lookup_cb *cb;
	void *arg;
};

/* lookup_rounds.c: ask what a round asks.  Nothing asked: it is over. */
void lookup_start_mx(struct lookup *l);
void lookup_start_addresses(struct lookup *l);
void lookup_start_aliases(struct lookup *l);
void lookup_start_tlsa(struct lookup *l);
void lookup_start_tlsa_original(struct lookup *l);
/* The list of hosts can be trusted. */
bool lookup_is_set_secure(const struct lookup *l);

/* lookup_sts.c: MTA-STS, beside the rounds. */
void lookup_ask_policies(struct lookup *l);
void lookup_start_sts(struct lookup *l); /* the round that waits for them */
void lookup_hand_policies(struct lookup *l);
struct route_sts lookup_policy_facts(const struct lookup *l);

#endif
