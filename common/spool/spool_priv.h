/* The spool, and a transaction of its writer: what the files here share. */
#ifndef MX_SPOOL_SPOOL_PRIV_H
#define MX_SPOOL_SPOOL_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/assert.h"
#include "common/spool/codec.h"
#include "common/spool/request.h"
#include "common/spool/table.h"
#include "common/spool/trusted_clock.h"

enum {
	CHUNK_PAGES_BYTES = 64 << 10, /* one full piece of content */
	PAGE_HEADER_BYTES = 16,	      /* LMDB's, on the first page of a run */
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

struct queue {
	/* under the lock */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct request_list waiting;
	size_t eager;	   /* of these, those that somebody waits for */
	size_t bounded;	   /* of those, the bounded ones */
	size_t mirrors;	   /* of those, the mirror's */
	size_t lazy_bytes; /* memory of the others */
	size_t lazy;
	size_t batch_bytes; /* as many are worth a transaction */
	size_t wanted; /* wake the writer when so many eager ones wait */
	bool is_asleep, stop;
	struct request_list done;
	struct buf ready; /* names of domains to announce, each with NUL */

	/* loop thread */
	struct ev_loop *loop;
	ev_async done_async;
	size_t pending, pending_bytes; /* handed over, not finished */
	size_t busy_bytes; /* with so much pending it is busy */
	struct request_list answered;  /* finished without the writer */
	TAILQ_HEAD(waiter_list, spool_waiter) waiters;
	spool_ready_cb *ready_cb;
	void *ready_arg;
};

struct spool_mirror_ops;
struct writeback;

/* What a transaction changed; touch.h. */
struct touches {
	struct touch *all;
	size_t n, cap;
	struct buf names;
};

/*
 * The row "mirror" of meta.  Whatever goes to the mirror is numbered.  While
 * it is at a number from low to seq, it differs in nothing but what is noted.
 */
struct mirror_row {
	unsigned char uuid[16]; /* of this spool's life */
	uint64_t seq;		/* the last number that was given out */
	uint64_t low;
	/* messages above this id that are not noted are absent there: a first
	 * mirror is new to what was there before */
	uint64_t walked;
};

struct mirror_state {
	/* writer thread; its start has these from the loop */
	const struct spool_mirror_ops *ops; /* NULL: there is no mirror */
	void *arg;
	bool is_kept;	 /* meta has the row, and the mark of who may open */
	bool is_counted; /* without a mirror, though there was one: once */
	bool in_step;
	struct mirror_row row;
	uint64_t offered;     /* the last number */
	struct touches doubt; /* of it, and it is not known what became */
	bool is_doubt_sent;   /* the mirror may have it */
	uint64_t picked; /* the last stale id that was picked */
	int64_t calm_until_ms, calm_again_ms; /* calm.c; monotonic */
	int64_t calm_ms; /* 0: as long as usual */
	/* for all */
	atomic_bool is_in_step, refuses;
	atomic_uint_least64_t seq, low, walked;
	atomic_int_least64_t over_ms, patient_ms; /* lease.c */
	atomic_bool is_cut; /* what leaves cannot be told to the mirror */
	/* loop thread */
	unsigned char uuid[16];
	bool is_known; /* it is in meta */
	bool is_on;
	bool has_withheld; /* somebody asked, and did not hear of mail */
	int64_t (*clock)(void); /* NULL: CLOCK_BOOTTIME */
	int64_t began_ms;
	ev_timer timer;
	struct buf announced; /* up to this domain; while is_announcing */
	bool is_announcing;
	size_t turn; /* domains of this turn */
};

struct spool {
	MDB_env *env;
	MDB_env *read_env; /* in its place for reading, after a failure */
	int lock_fd;	   /* the directory, with our lock on it */
	int fd;		   /* the data file */
	struct buf path; /* of the data file, for messages */
	size_t page_bytes, chunk_bytes;
	uint64_t map_bytes;
	void *map; /* where the file is mapped; NULL: not known */
	size_t map_length;
	uint64_t mapped_before; /* files resident when it was opened */
	int statm_fd;		/* how much of the map is resident */
	bool is_reader;
	atomic_bool has_failed;	  /* the disk did: nothing is written */
	atomic_bool has_patterns; /* a pattern of domains is, or was, held */
	atomic_uint_least64_t last_id; /* handed out; loop writes */
	atomic_int_least64_t trusted_ms; /* of the last commit; loop writes */
	struct table tables[T_COUNT];
	struct room room;
	struct queue queue;
	struct mirror_state mirror;

	/* loop thread */
	struct trusted_clock clock;
	size_t draft_bytes; /* memory of all drafts together */
	struct forgive *forgives; /* under way, by domain */
	bool is_requeueing, is_striking, is_shifting;
	struct shift_row shift; /* lifetimes that are still to be moved */
	int64_t requeue_ms;	/* the latest time asked for meanwhile */
	MDB_txn *read_txn;	/* reset between uses */
	unsigned reading;	/* looks under way, one inside the other */
	void (*at_close)(void *arg); /* NULL: nobody is to be told */
	void *at_close_arg;

	/* writer thread */
	pthread_t writer;
	bool writer_runs;
	struct writeback *writeback; /* NULL: none was needed so far */
	int64_t commit_us;  /* how long the last commit took */
	int64_t flush_us;   /* how long a flush of nearly nothing takes */
	int64_t checked_ms; /* monotonic: readers checked, room looked at */
	int64_t stored_ms;  /* monotonic: the state row was written */
	struct state_row state;
	bool has_dead;	    /* garbage of kind dead may be there */
	bool awaits_first;  /* nothing is written before the first request */
	atomic_bool opened_clean; /* what a former process left open is gone */
	uint64_t former_id; /* drafts up to here are of former processes */
};

struct domain_entry; /* counters.c */
struct touch;
struct parcel;

struct batch {
	struct spool *sp;
	MDB_txn *txn;
	struct domain_entry *domains;
	struct state_row state;
	uint64_t coming; /* content stored by this transaction */
	size_t work;	 /* rows touched by requests that work in steps */
	bool made_dead;	 /* garbage to sweep was made */
	/* the mirror's; step.c */
	struct touches touches;
	struct mirror_row mirror;
	bool mirror_changed, joins, in_step, is_offered;
	bool is_waited, is_taken, is_sent; /* what became of it */
	bool has_notes; /* something is lacking */
	bool is_known_there; /* what is put: the mirror has it */
	struct request *join;  /* NULL: nobody wants to be in step */
	struct parcel *parcel; /* NULL: nothing is to be offered */
};

static inline struct table *batch_table(struct batch *b, enum table_id t)
{
	return &b->sp->tables[t];
}

#endif
