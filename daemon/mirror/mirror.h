/*
 * The second copy: what the spool holds stands in PostgreSQL, too, and what
 * one node loses another delivers.
 *
 *   spool's writer --parcel--> scribe (a thread) ----> PostgreSQL
 *         loop <---questions---- scribe, taker         /
 *                                taker (a thread) ----+  other nodes' mail
 *
 * The scribe writes what the writer gives it, keeps the lease, and sends what
 * was missed; the taker looks after nodes whose lease is over.  Each has a
 * connection of its own, so that a takeover delays no commit.  Nothing here
 * makes the loop wait.
 */
#ifndef MX_MIRROR_MIRROR_H
#define MX_MIRROR_MIRROR_H

#include <ev.h>

#include "common/spool/spool.h"
#include "config/config.h"

struct mirror;

/* A message that is another node's now, or was. */
struct mirror_moved {
	uint64_t id;	  /* what it is called here */
	uint64_t there;	  /* and there; 0: not known */
	const char *node; /* the other */
	bool is_here;	  /* it has come from there; false: it goes there */
};

struct mirror_options {
	struct ev_loop *loop;
	struct spool *spool;
	struct config *config; /* a reference is taken */
	/* Take no more mail, and begin no more deliveries; is something still
	 * under way? */
	void (*leave)(void *arg);
	bool (*is_busy)(void *arg);
	/* Each unit of a message that moves; may be NULL. */
	void (*moved)(const struct mirror_moved *what, const struct unit *u,
		      void *arg);
	void *arg;
};

/* NULL when mirror.postgresql is empty.  A database that is away, or cannot be
 * used, is no reason not to start: the mirror is behind then. */
struct mirror *mirror_new(const struct mirror_options *opt);
void mirror_reload(struct mirror *m, struct config *config); /* NULL is fine */
/* Before spool_close: nothing but the writer's last batches from now on. */
void mirror_stop(struct mirror *m); /* NULL is fine */
/* Behind spool_close. */
void mirror_free(struct mirror **m);

/* What is wrong with mirror.postgresql, as far as can be said without the
 * database, and with the library.  False: nothing.  why has none of its
 * secrets. */
bool mirror_is_wrong(const struct config *c, struct buf *why);

/* ---- What is to be seen ---- */

enum mirror_state {
	MIRROR_AWAY,	/* no connection, or none that can be used */
	MIRROR_BEHIND,	/* connected; the mirror lacks something */
	MIRROR_STEP,	/* all is there, and replies wait for it */
	MIRROR_LEAVING, /* `mirror leave`: no mail is taken, nor begun */
	MIRROR_LEFT,	/* all of it is for others to take */
};
const char *mirror_state_name(enum mirror_state s); /* "away" "behind"
						 "in-step" "leaving"
						 "left" */

enum { MIRROR_NODES = 64, MIRROR_NAME = 64 };

/* A life of a node's spool: with a new disk a node has a further row. */
struct mirror_node {
	int64_t owner; /* its key in the database */
	char name[MIRROR_NAME];
	char version[32]; /* of mx20 */
	bool is_self;
	bool has_left;	   /* by `mirror leave` */
	bool is_given;	   /* by `mirror take` */
	bool is_stopped;   /* in good order, with nothing in the database */
	int64_t lease_ms;  /* left of its lease; below 0: over for so long */
	int64_t seen_ms;   /* wall: when it renewed it last */
	uint64_t messages; /* in the database */
	uint64_t taken;	   /* of it by others, and it does not know yet */
	char taken_by[MIRROR_NAME]; /* the last who did; empty: nobody */
};

struct mirror_status {
	enum mirror_state state;
	int64_t since_ms; /* wall */
	char node[MIRROR_NAME];
	bool refuses;	       /* when_away is refuse */
	uint64_t lag_messages; /* that the mirror lacks, or has as they were */
	int64_t lag_oldest_ms; /* wall: arrival of the oldest; 0: none */
	int64_t lease_ms;      /* left of our lease; below 0: over, 0: none */
	int64_t patience_ms;   /* until what is in the mirror goes without a
				  lease; 0: it goes, or need not */
	bool is_synchronous;   /* a standby has each commit as well */
	char synchronous[128]; /* the server's synchronous_standby_names */
	bool is_durable;       /* the server's disk has it: fsync is on */
	int server_version;    /* 150014; 0: not known */
	char server[128];      /* "15.14 at db1.example.net"; empty: not yet */
	int schema;	       /* of the tables; 0: not known */
	char error[256];       /* the last one; empty: none since in step */
	int64_t error_ms;      /* wall */
	uint64_t taken, dropped; /* since the start: of others, of ours */
	size_t node_count;
	struct mirror_node nodes[MIRROR_NODES]; /* by name; as last seen */
	int64_t nodes_ms;			/* wall: when; 0: never */
};

/* On the loop; at once, from memory.  False: there is no mirror (m is NULL). */
bool mirror_status(struct mirror *m, struct mirror_status *out);

/* ---- The operator; on the loop ---- */

/* err MX_OK: messages says how many there are of it.  Otherwise why is a
 * sentence.  cb runs exactly once, later, on the loop; in mirror_stop at the
 * latest, with MX_ESTOP. */
typedef void mirror_done_cb(enum mx_err err, uint64_t messages, struct span why,
			    void *arg);

/* This node is dead for certain: whoever can takes its mail now.  MX_EBUSY: its
 * lease runs; MX_ENOENT: no such node. */
void mirror_take(struct mirror *m, struct span node, mirror_done_cb *cb,
		 void *arg);
/* Hand everything over: no more mail is taken until a restart.  cb comes when
 * all that is here is for others to take. */
void mirror_leave(struct mirror *m, mirror_done_cb *cb, void *arg);

#endif
