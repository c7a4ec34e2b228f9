/* One connection of a destination. */
#ifndef MX_DRAIN_LINK_H
#define MX_DRAIN_LINK_H

#include "daemon/drain/dest.h"

enum {
	LINK_MAGIC = 0x446c6e6b,
	TURN_JOBS = 32, /* then an equal host may take over */
};

/* A scout probes a better target beside the connections in use; a
 * single one carries one unit to a target of its own; questions have theirs, and
 * so has what is relayed.  None of these counts for the machine.
 */
enum link_kind {
	LINK_USUAL,
	LINK_SCOUT,
	LINK_SINGLE,
	LINK_CALLOUT,
	LINK_RELAY
};
TAILQ_HEAD(link_queue, link);

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
	bool is_asking;		   /* LINK_CALLOUT, LINK_RELAY: it can be
				      given some */
	bool is_trial;		   /* up when it has taken a message */
	struct config *config;	   /* delivery borrows names from it */
	size_t jobs_done, turn_at; /* then another host is looked for */
	int64_t started_ms, conn_ms;
	uint64_t size_most; /* that the server announced; 0: none */
	unsigned offered;   /* SMTP_EXT_ bits */
	struct lane *lane;  /* what it carries, or NULL */
	bool is_heard;	    /* it has answered that */
	ev_timer idle;
};

/* Can it carry something? */
static inline bool link_works(const struct link *l)
{
	return !l->is_leaving &&
	       (l->is_ready || (l->kind == LINK_RELAY && l->is_asking));
}

/* ---- link.c ---- */
struct link *link_new(struct dest *dst, int target, enum link_kind kind);
void link_free(struct link *l);
/* No more mail for it; it finishes what it has. */
void link_leave(struct link *l);
/* It is none of those that work, or are being made, any more. */
void link_uncount(struct link *l);
/* Its server was heard of: is up, if it was, and its facts are of now. */
void link_heard_of(const struct link *l);
/* It has nothing to do, and can be given something. */
bool link_is_free(const struct link *l);
/* It was given something, or nothing: then it ends in some seconds. */
void link_set_idle(struct link *l);

/* ---- link_fill.c ---- */
void link_fill(struct link *l);
/* There is another link, beside as many as there may be: one ends. */
void link_relieve(struct dest *dst, const struct link *by);

/* ---- link_events.c: what delivery says ---- */
void link_start(struct drain *d);

#endif
