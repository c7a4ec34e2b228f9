/* The inside of the mirror: what its two threads and the loop share. */
#ifndef MX_MIRROR_MIRROR_PRIV_H
#define MX_MIRROR_MIRROR_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/spool/mirror.h"
#include "daemon/mirror/calls.h"
#include "daemon/mirror/db.h"
#include "daemon/mirror/hand.h"
#include "daemon/mirror/lease.h"
#include "daemon/mirror/mirror.h"

struct scribe;
struct taker;
struct orders; /* of the operator */

/*
 * Who we are in the database.  A registration makes a new one; a connection
 * that is lost ends it.  The taker works for one of them and stops when it has
 * become another.
 */
struct identity {
	int64_t owner, fence;
	unsigned number; /* counts times in step; 0: not in step */
};

struct mirror {
	unsigned magic;
	struct mirror_options opt;
	char *conninfo;
	char node[MIRROR_NAME], spool_uuid[40];
	char place[128]; /* where the spool is: machine, and folder */
	uint64_t first_id; /* ids up to it are of former lives of ours */

	struct calls *calls;
	struct hand *hand;
	int stop_fd;		 /* readable: end at once */
	atomic_bool is_stopping; /* only what the writer offers, from now on */
	atomic_bool is_leaving;
	_Atomic int64_t lease_ms, patience_ms;
	_Atomic uint64_t messages;	 /* in the spool */
	_Atomic int64_t oldest_ms;	 /* of them; wall; 0: none */
	atomic_bool is_lacking;		 /* something is noted */
	struct spool_adoption *adoption; /* the taker's, by calls alone */
	_Atomic int64_t until_ms; /* of our lease, CLOCK_BOOTTIME; 0: none */
	_Atomic uint64_t taken, dropped;

	struct scribe *scribe;
	struct taker *taker;
	struct orders *orders;
	ev_timer tick;

	/* under the lock */
	pthread_mutex_t lock;
	struct identity identity;
	struct mirror_status status; /* without what is found when asked */
	char said[2][256];	     /* the last errors that have a line */
	unsigned numbers;	     /* of identities so far */

	/* A thread that reads by its view holds its lock; the loop takes the
	 * views away. */
	pthread_mutex_t view_lock;
	struct spool *view; /* the scribe's; NULL: the spool is closing */
};

/* ---- What is to be seen (board.c); from any thread ---- */

/* A new state; the log has a line at each change.  reason may be empty. */
void board_state(struct mirror *m, enum mirror_state s, const char *reason);
enum board_who { BOARD_SCRIBE, BOARD_TAKER };
void board_error(struct mirror *m, enum board_who who, const char *text);
void board_server(struct mirror *m, struct db *db);
/* Registered; or (all zero) no more. */
void board_identity(struct mirror *m, const struct identity *i);
/* In step with this identity, from now on; or (false) no more. */
void board_step(struct mirror *m, bool is_in_step);
struct identity board_who(struct mirror *m);
/* Is it still so?  For a call, on the loop. */
bool board_is(struct mirror *m, const struct identity *i);
/* Our lease, as asked for at that time (CLOCK_BOOTTIME) for so long; 0: none,
 * and nothing that is in the mirror goes from here. */
void board_lease(struct mirror *m, int64_t asked_ms, int64_t length_ms);
/* The database cannot be told what leaves: if the lease runs it ends here,
 * though nobody else may take anything before it does there. */
void board_cut(struct mirror *m);

/* ---- Threads ---- */

/* Both NULL when there is no thread to be had. */
struct scribe *scribe_start(struct mirror *m);
struct taker *taker_start(struct mirror *m);
/* Behind stop_fd.  False: it hangs somewhere, and is left to itself. */
bool scribe_join(struct scribe **s);
bool taker_join(struct taker **t);
/* Wait until stop_fd is readable, at most so long; true: it is. */
bool mirror_sleep(struct mirror *m, int64_t ms);
/* A thread without signals; false: none. */
bool mirror_thread(pthread_t *thread, void *(*run)(void *arg), void *arg);
bool mirror_join(pthread_t thread);

/* The tables are there (or were made) and are of our version; the statements
 * are prepared. */
enum mx_err schema_ready(struct db *db, int64_t timeout_ms);

/*
 * A node that stands still (SIGSTOP, a frozen machine) in the middle of a
 * transaction keeps its locks for as long as its kernel answers: end what takes
 * longer than any of ours may.  Before a row is written that may be locked so.
 */
enum mx_err schema_unfreeze(struct mirror *m, struct db *db,
			    int64_t timeout_ms);

/* ---- Orders of the operator (orders.c) ---- */

struct orders *orders_new(struct mirror *m);
void orders_close(struct orders *o); /* each is answered */
void orders_free(struct orders **o);
/* On the loop, now and then: have we left? */
void orders_look(struct orders *o);
/* The taker's: can be read when something is asked; carry it out. */
int orders_fd(const struct orders *o);
void orders_work(struct orders *o, struct db *db);

#endif
