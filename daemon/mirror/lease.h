/*
 * Whose mail is it?  Decisions over a clock that is given.  Pure.
 *
 * A lease is given by the database for `length` from the moment the request
 * arrives there; the node counts from the moment before it asked, by a clock
 * that goes on while the machine sleeps (CLOCK_BOOTTIME).  So a node's own
 * lease is over first, always, and at that moment it begins no more deliveries.
 *
 *    asks          arrives       own end        end           may be taken
 *   --+--------------+--------------+------------+--------------+---------->
 *     |<-- length, by our clock --->|            |<-- length -->|
 *                    |<-- length, by the database's clock ----->|
 *
 * Others take what was not renewed for twice the length, and only if they have
 * seen for that long that it was not: when the database itself was away no
 * lease could be renewed, and nobody is dead for that.
 *
 *            registered     dropped      compared      nothing lacks
 *   away ------> returning -----> comparing -----> catching -----> in step
 *    ^ ^            |  dropped, and the number is known ^  |           |
 *    | |            +-----------------------------------+  |           |
 *    | +--- lost: no answer, no connection, no more ours --+-----------+
 *    |                                       asked to leave |
 *    +------------------- lost ---------- leaving, left <---+
 */
#ifndef MX_MIRROR_LEASE_H
#define MX_MIRROR_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Ours ---- */

/* Until when we may deliver, if what was asked at asked_ms is granted. */
int64_t lease_until(int64_t asked_ms, int64_t length_ms);
/* When to renew what was asked for at asked_ms. */
int64_t lease_renew_at(int64_t asked_ms, int64_t length_ms);
/* How long a commit may take before the database counts as away: what then is
 * left of the lease is enough to come back. */
int64_t lease_patience_ms(int64_t length_ms);
/* How long to wait before the n-th try (from 1) to come back: doubled each
 * time, and never so long that others give us up; random: any number. */
int64_t lease_backoff_ms(unsigned tries, int64_t length_ms, uint64_t random);

/* ---- Theirs ---- */

/* A node's row, as the database has it. */
struct lease_row {
	int64_t owner;
	int64_t seen_ms; /* when it was renewed, by the database's clock */
	int64_t length_ms;
	bool is_over; /* left, given, or not renewed for twice the length,
			 says the database */
	bool is_free; /* left, or given */
};

/* What we know of it. */
struct lease_watch {
	int64_t owner;
	int64_t seen_ms;  /* as above, the last time we looked */
	int64_t since_ms; /* our clock: since when it is so */
	bool is_over;	  /* it could be taken; the caller's */
};

/* Look at a row.  w is of that owner, or all zero.  True: it may be taken. */
bool lease_watch(struct lease_watch *w, const struct lease_row *row,
		 int64_t now_ms);

/* ---- The way back ---- */

enum course {
	COURSE_AWAY,
	COURSE_RETURNING, /* what was taken of us is dropped */
	COURSE_COMPARING,
	COURSE_CATCHING,
	COURSE_STEP,
	COURSE_LEAVING, /* deliveries run dry, all is sent */
	COURSE_LEFT,
	COURSE_COUNT,
};
enum turn {
	TURN_NONE, /* more of the same */
	TURN_LOST, /* the connection, or the fence */
	TURN_REGISTERED,
	TURN_KNOWN,   /* nothing differs but what is noted */
	TURN_UNKNOWN, /* dropped; anything may differ */
	TURN_COMPARED,
	TURN_JOINED,
	TURN_LACKS,  /* something does, again */
	TURN_ASKED,  /* to leave */
	TURN_HANDED, /* all is there, and nothing is ours */
	TURN_COUNT,
};
/* Where that leads.  COURSE_COUNT: it cannot be. */
enum course course_next(enum course now, enum turn what);

#endif
