/* The inside of the spool; for this folder only. */
#ifndef MX_SPOOL_INTERNAL_H
#define MX_SPOOL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/assert.h"
#include "common/base/buf.h"
#include "common/spool/codec.h"
#include "common/spool/lifetime.h"
#include "common/spool/request.h"
#include "common/spool/table.h"

enum {
	CHUNK_PAGES_BYTES = 64 << 10, /* one full piece of content */
	PAGE_HEADER_BYTES = 16,	      /* LMDB's, on the first page of a run */
	MAP_PAGE_MIN = 512,
};

/*
 * Room is judged from numbers the writer leaves after each commit, so that
 * the loop answers MAIL without a system call.
 */
struct room {
	atomic_uint_least64_t used_bytes;  /* pages in use */
	atomic_uint_least64_t spare_bytes; /* pages of the file not in use */
	atomic_uint_least64_t disk_bytes;  /* free on the file system */
	atomic_uint_least64_t size_bytes, reserve_bytes; /* the limits */
	atomic_bool is_short;	 /* somebody was refused: look again soon */
	uint64_t reserved_bytes; /* loop: promised to open drafts */
	uint64_t secured_to;	 /* writer: the file's blocks reach so far */
};

/* Memory of drafts, all together: loop thread. */
struct draft_memory {
	size_t bytes;
	size_t count;
};

struct writer {
	pthread_t thread;
	bool is_running;
	/* under the lock */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct request_list queue;
	size_t eager;	   /* queued requests that somebody waits for */
	size_t bounded;	   /* of these, the bounded ones */
	size_t lazy_bytes; /* memory of the others */
	size_t lazy;
	size_t wanted; /* wake the writer when so many eager ones wait */
	bool is_asleep, stop;
	struct request_list done;
	struct buf ready; /* names of domains to announce, each with NUL */
	/* writer thread only */
	int64_t commit_us;  /* how long the last commit took */
	int64_t checked_ms; /* monotonic: readers checked, room looked at */
	int64_t stored_ms;  /* monotonic: the state row was written */
	bool has_dead;	    /* garbage of kind dead may be there */
	bool opened_clean;  /* what a former process left open is gone */
	uint64_t former_id; /* drafts up to here are of former processes */
	struct state_row state;
	uint64_t commits;
};

struct spool {
	MDB_env *env;
	MDB_env *read_env;    /* in its place for reading, after a failure */
	int lock_fd;       /* the directory, with our lock on it */
	int fd;            /* the data file */
	bool is_reader;
	struct buf path; /* of the data file, for messages */
	size_t page_bytes, chunk_bytes;
	uint64_t map_bytes;
	void *map;            /* where the file is mapped; NULL: not known */
	size_t map_length;
	int statm_fd;           /* how much of it is resident */
	uint64_t mapped_before; /* files resident when it was opened */
	struct table tables[T_COUNT];
	atomic_bool has_failed;	       /* the disk did: nothing is written */
	atomic_bool has_patterns;      /* a pattern of domains is, or was, held */
	atomic_uint_least64_t last_id; /* handed out; loop writes */
	struct room room;
	struct lifetime life;		  /* loop thread */
	atomic_int_least64_t believed_ms; /* its last answer, for the writer */

	/* loop thread */
	struct ev_loop *loop;
	ev_async done_async;
	size_t pending, pending_bytes; /* handed over, not finished */
	struct request_list answered;  /* finished without the writer */
	TAILQ_HEAD(waiter_list, spool_waiter) waiters;
	struct draft_memory drafts;
	spool_ready_cb *ready_cb;
	void *ready_arg;
	bool is_requeueing, is_striking, is_shifting;
	struct shift_row shift; /* lifetimes that are still to be moved */
	int64_t requeue_ms; /* the latest time asked for meanwhile */
	MDB_txn *read_txn;  /* reset between uses */
	unsigned reading;   /* looks under way, one inside the other */

	struct writer writer;
};

/* ---- look.c ---- */

/* A read transaction.  When there is no slot, those of readers that were
 * killed are taken back.  What LMDB says; *txn is NULL on failure. */
int read_txn_new(MDB_env *env, MDB_txn **txn);

/* A short look at the spool: every read_begin that succeeded has its read_end
 * before the return to the loop. */
enum mx_err read_begin(struct spool *sp, MDB_txn **txn);
void read_end(struct spool *sp);

/* ---- read.c ---- */

/* Find out at the start whether a pattern of domains is held. */
void patterns_look(struct spool *sp, MDB_txn *txn);

/* ---- shift.c: the clock, and lifetimes when it was wrong ---- */

/* Loop: the time that ends lifetimes, while the clock says this. */
int64_t clock_believed(struct spool *sp, int64_t wall_ms);
/* The same; what waits for a doubt to end is begun. */
int64_t clock_look(struct spool *sp, int64_t wall_ms);
/* At the start: what was left undone; then begin to doubt. */
enum mx_err clock_learn(struct spool *sp, MDB_txn *txn);
void clock_start(struct spool *sp);

/* ---- mapping.c ---- */

void mapping_find(struct spool *sp);
/* Keep the resident part of the map small.  Any thread. */
void mapping_trim(struct spool *sp);

/* ---- room.c ---- */

void room_init(struct spool *sp, const struct spool_options *opt);
/* Writer: count the pages inside txn, which is about to be committed. */
void room_count(struct spool *sp, MDB_txn *txn);
/* Any thread: the free space of the disk, the size of the file. */
void room_look(struct spool *sp);
/* Writer: have the disk's blocks for so many bytes more, and for a cushion
 * behind them that only deletions use.  false: there are none. */
bool room_secure(struct spool *sp, uint64_t bytes);
/* Loop: would so much more fit now?  Promise (or refuse) more; return what was
 * promised. */
enum mx_err room_check(struct spool *sp, uint64_t bytes, bool may_use_margin);
enum mx_err room_take(struct spool *sp, uint64_t bytes, bool may_use_margin);
void room_give(struct spool *sp, uint64_t bytes);
/* Any thread: what may still be stored, reservations not deducted. */
uint64_t room_left(const struct spool *sp, bool may_use_margin);
/* Somebody was refused: the writer looks for room each second. */
void room_is_wanted(struct spool *sp);
/* What a content of so many bytes takes, rows and page ends included. */
uint64_t room_need(uint64_t content_bytes);

/* ---- fair.c ---- */

/* Any thread.  Will less than the last fifth be left, when so many bytes have
 * come? */
bool room_is_tight(const struct spool *sp, uint64_t coming);
/* May a message of so many bytes be added to what the domain has?  coming: what
 * it and others will take that does not count as used yet. */
bool room_is_fair(const struct spool *sp, const struct spool_domain *d,
		  uint64_t bytes, uint64_t coming, enum spool_claim claim);

/* ---- writer.c ---- */

enum mx_err writer_start(struct spool *sp);
void writer_stop(struct spool *sp);
/* Loop: there is something to look at, without a request. */
void writer_wake(struct spool *sp);

/* ---- batch.c ---- */

/* A domain's row while a transaction changes it: written once, at the end. */
struct domain_entry;

struct batch {
	struct spool *sp;
	MDB_txn *txn;
	struct domain_entry *domains;
	struct state_row state;
	uint64_t coming; /* content stored by this transaction */
	size_t work;	/* rows touched by requests that work in steps */
	bool made_dead; /* garbage to sweep was made */
};

/* The row of a domain, an empty one if there is none.  MX_ECORRUPT. */
enum mx_err batch_domain(struct batch *b, struct span domain,
			 struct domain_row **row);
/* After the commit tell the subscriber that units of it became ready. */
void batch_announce(struct batch *b, struct span domain);
/* The message was the domain's oldest and is gone from it. */
void batch_oldest_left(struct batch *b, struct span domain);
struct table *batch_table(struct batch *b, enum table_id t);

/* Run everything in list in as few transactions as can be; sets r->err and
 * r->again.  Appends to ready the domains to announce. */
void batch_run(struct spool *sp, struct request_list *list, struct buf *ready);

/* ---- arrive.c ---- */

/* Delete some of the content nobody needs; true in *more when there is more.
 */
enum mx_err sweep_step(struct batch *b, bool *more);
/* Content of a message that goes: at once if it is small, else later. */
enum mx_err content_drop(struct batch *b, uint64_t id, uint64_t bytes);

/* ---- listing.c ---- */

/* Does the row stay?  It has units, or a hold of the operator's. */
bool domain_is_kept(const struct spool_domain *d);

/* ---- unit.c: units inside a transaction ---- */

enum mx_err unit_state_get(struct spool *sp, MDB_txn *txn, uint64_t id,
			   struct span domain, enum unit_state *state,
			   int64_t *due_ms);
/* The domain's first id from `from` on in these tables; UINT64_MAX: none. */
enum { IN_READY = 1, IN_PARKED = 2, IN_BOTH = 3 };
enum mx_err unit_first(struct spool *sp, MDB_txn *txn, unsigned where,
		       struct span domain, uint64_t from, uint64_t *id);
/* Move a unit from where it is to where it shall be. */
enum mx_err unit_move(struct batch *b, uint64_t id, struct span domain,
		      enum unit_state to, int64_t due_ms);
/* Say why a unit that is held is held; and read it, borrowed from the row. */
enum mx_err unit_hold_reason(struct batch *b, uint64_t id, struct span domain,
			     struct span reason);
enum mx_err unit_hold_reason_get(struct spool *sp, MDB_txn *txn, uint64_t id,
				 struct span domain, struct span *reason);
/*
 * A unit without recipients goes; with the last one the message.  The times
 * are those of its expiry rows.
 */
enum mx_err unit_drop(struct batch *b, uint64_t id, struct span domain,
		      int64_t expires_ms, int64_t warn_ms);
/* The unit's recipient with this number or the next one.  MX_ENOENT: none.
 * The row borrows until the transaction changes. */
enum mx_err unit_recipient(struct spool *sp, MDB_txn *txn, uint64_t id,
			   struct span domain, uint32_t number,
			   struct recipient_row *row);
/* Write it, at its number. */
enum mx_err unit_recipient_put(struct batch *b, uint64_t id,
			       struct span domain,
			       const struct recipient_row *row);
enum mx_err unit_expiry_put(struct batch *b, uint64_t id, struct span domain,
			    int64_t expires_ms, int64_t warn_ms);
enum mx_err unit_expiry_del(struct batch *b, uint64_t id, struct span domain,
			    int64_t expires_ms, int64_t warn_ms);

#endif
