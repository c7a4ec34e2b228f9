/*
 * Is a primary broken?  Pure decisions over what it answered for good, with an
 * explicit clock: monotonic milliseconds.  One of these judges the mail of a
 * domain, another that of all domains of a destination.  The diagram is in
 * brake.c.
 *
 * A refusal names a mailbox ("550 5.1.1 unknown", "552 5.2.2 full"), or it
 * names none: one to MAIL, to DATA, to the content, 5.3.x, 5.7.x.  Each is
 * weighed against what was taken in the same window:
 *
 *   messages   refused whole without a mailbox being named; each counts
 *   mailboxes  equal ones count once.  Fully if whoever gave us the list of
 *              recipients says that it is there; for a third if it is full, or
 *              if every local part is accepted here (recipients=*), where
 *              strangers choose whom they ask for
 *   nobody     was taken: then every message that was refused counts, also
 *              those to one mailbox.  It may be all that there is
 *
 * With a share of 0.2 and 20 at least: a primary that refuses 5 % of its
 * recipients never gets there, since 10 refusals are needed (half of the
 * least).  One that refuses 30 % as unknown after an outage in which everything
 * was accepted is well: it takes the other 70 %, and 3 in 7 count as 1 in 8.
 * From 43 % on it is broken.  One with an empty directory refuses everybody,
 * and is broken with the 20th.
 *
 * A destination is broken when more than one of its domains is: else it is
 * that domain's matter.
 */
#ifndef MX_DRAIN_BRAKE_H
#define MX_DRAIN_BRAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "daemon/delivery/delivery.h"

enum {
	BRAKE_SEEN = 128,     /* of each sort, the last ones */
	BRAKE_LEAST_MAX = 100 /* and so many can be asked for */
};

struct brake_params {
	int64_t window_ms; /* 0: there is no brake */
	unsigned share;	   /* millionths */
	unsigned least;
};

/* One outcome. */
struct brake_mark {
	uint64_t who;	/* the mailbox, or the message */
	int64_t at_ms;	/* the last time; 0: none */
	uint32_t group; /* the domain */
	uint8_t weight; /* of a refusal: thirds; 0: it counts only when nobody
			   was taken */
	bool is_refused;
	bool is_in_row; /* and nobody was taken since */
};

struct brake_ring {
	struct brake_mark marks[BRAKE_SEEN];
	unsigned next; /* the oldest */
};

/* All zero: nothing was seen. */
struct brake {
	struct brake_ring messages, mailboxes;
	bool has_row; /* some mark is_in_row */
};

/* ---- What a refusal says ---- */

struct brake_word {
	bool is_message; /* no mailbox is named */
	unsigned weight; /* thirds */
};
/* is_known: the list of recipients has it. */
struct brake_word brake_word(enum refused_at at, struct span reply,
			     bool is_known);

/* ---- What was seen ---- */

/* A mailbox was taken, or (weight not 0) refused. */
void brake_mailbox(struct brake *b, uint64_t who, uint32_t group,
		   unsigned weight, int64_t now_ms);
/* Some of a message was taken. */
void brake_took(struct brake *b, uint64_t message, uint32_t group,
		int64_t now_ms);
/* All of it was refused; weight 0: to each of its mailboxes. */
void brake_refused(struct brake *b, uint64_t message, uint32_t group,
		   unsigned weight, int64_t now_ms);
/* What that domain heard says nothing of the others. */
void brake_forget(struct brake *b, uint32_t group);

/* ---- What is to be done ---- */

/* Where the question comes from. */
struct brake_case {
	bool is_shared; /* by several domains */
	bool is_canary; /* one at a time, after an outage */
	int64_t took_ms; /* for the last answer */
};
/* Is it to be pulled now? */
bool brake_is_due(const struct brake *b, const struct brake_params *p,
		  struct brake_case c, int64_t now_ms);
/* Was nothing refused within the window?  Then it says nothing any more. */
bool brake_is_idle(const struct brake *b, const struct brake_params *p,
		   int64_t now_ms);

#endif
