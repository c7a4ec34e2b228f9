/* The inside of the scribe: a course of steps, each short enough for the lease
 * to be renewed between two of them. */
#ifndef MX_MIRROR_SCRIBE_PRIV_H
#define MX_MIRROR_SCRIBE_PRIV_H

#include "daemon/mirror/mirror_priv.h"

struct scribe {
	struct mirror *m;
	pthread_t thread;
	struct db *db;
	enum course course;
	struct identity id;
	uint64_t seq;	   /* the database's, when we registered */
	int64_t asked_ms;  /* CLOCK_BOOTTIME, before the lease was asked for */
	int64_t length_ms; /* of the lease, as it was asked for */
	uint64_t told;	   /* messages, by our row */
	bool has_lease;	   /* what was taken of us is dropped */
	unsigned tries;	   /* to come back */
	uint64_t random;
	uint64_t after;	    /* compared up to this id */
	unsigned quiet;	    /* looks at which nothing was under way */
	int64_t last_fence; /* of our last registration; 0: none yet */
	bool is_touched;    /* others were at what is ours since */
	bool is_same;	    /* nothing differs but what is noted */
	bool is_ahead; /* the database: the spool has lost something */
};

/* One step of each course. */
enum turn scribe_away(struct scribe *s);
enum turn scribe_return(struct scribe *s);
enum turn scribe_compare(struct scribe *s);
enum turn scribe_catch(struct scribe *s);
enum turn scribe_in_step(struct scribe *s);
enum turn scribe_leave(struct scribe *s);
enum turn scribe_left(struct scribe *s);

/* SQL_FENCE or SQL_CATCH, with this number, in front of what it is for; the
 * lease counts from now. */
void scribe_fence(struct scribe *s, enum sql_id fence, uint64_t seq);
/* It went well: the lease is ours for longer. */
void scribe_renewed(struct scribe *s);
/* From now on what leaves is told at once: what is in the mirror may go. */
void scribe_has_lease(struct scribe *s);
/* The lease is asked for now; for how long. */
int64_t scribe_ask(struct scribe *s);
int64_t scribe_renew_at(const struct scribe *s); /* CLOCK_BOOTTIME */
/* If it is time to.  TURN_NONE, or TURN_LOST. */
enum turn scribe_renew(struct scribe *s);
/* What became of a transaction of the fence. */
enum turn scribe_failed(struct scribe *s, enum mx_err err);
/* How long one may take. */
int64_t scribe_timeout(const struct scribe *s);

/* The connection, and the tables behind it. */
enum mx_err scribe_connect(struct scribe *s);
/* Drop what others took of us: some of it.  *n: how many, 0: none was left. */
enum mx_err scribe_drop_taken(struct scribe *s, size_t *n);

/* Write what is offered, if anything is. */
enum turn scribe_serve(struct scribe *s);
/* The parcel as statements behind that fence, in one transaction. */
enum mx_err scribe_send(struct scribe *s, enum sql_id fence,
			const struct parcel *p, uint64_t seq);

#endif
