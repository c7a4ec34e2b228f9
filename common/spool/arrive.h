/* How a message gets from its draft into the tables; for this folder only. */
#ifndef MX_SPOOL_ARRIVE_H
#define MX_SPOOL_ARRIVE_H

#include "common/spool/internal.h"

/*
 * A piece of content; the draft fills it, the writer stores it as it is.  Its
 * bytes go as soon as the transaction has its own copy: a large content would
 * else be in memory twice while it is flushed.
 */
struct piece {
	struct request req;
	struct spool_draft *draft;
	uint64_t offset;
	bool is_first;
	size_t n, cap;
	char *data; /* NULL: stored, or tried to */
};

struct spool_draft {
	struct spool *sp;
	uint64_t id;
	uint64_t bytes;	       /* written by the caller */
	uint64_t handed_bytes; /* of these, given to the writer */
	uint64_t stored_bytes; /* of these, committed */
	uint64_t expect_bytes;
	uint64_t reserved;   /* room taken for what is not stored yet */
	struct piece *piece; /* the one being filled */
	enum mx_err err;
	bool may_use_margin;
	bool has_left;	  /* discarded or sealed: lives for the writer */
	size_t in_flight; /* requests about it not finished yet */
	/* writer thread only: a piece could not be stored */
	enum mx_err writer_err;
};

/*
 * A whole message on its way to the writer: the row of the message, then for
 * each unit
 *
 *   domain:str expires:8 warn:8 claim:1 recipients:4, of each number:4 row:str
 *
 * encoded by the loop, so that the writer only puts.
 */
struct arrival {
	struct spool_draft *draft;
	struct piece *tail; /* what the writer does not have yet */
	uint64_t id, bytes;
	int64_t arrived_ms;
	uint32_t units;
	size_t message_n; /* the row of the message */
	size_t n;
	char *blob;
};

/*
 * Memory for one arrival behind extra bytes of the caller's; *at is the whole
 * of it (free() it).  NULL: some string is longer than can be stored.
 */
struct arrival *arrival_new(size_t extra, struct spool_draft *d,
			    const struct envelope *env,
			    const struct spool_rcpt *rcpts, size_t count,
			    void **at);

/* Writer: put all rows.  A fault of the draft goes to *fault. */
enum mx_err arrival_apply(struct batch *b, struct arrival *a,
			  enum mx_err *fault);
/* Loop: the draft's end, after success or failure. */
void arrival_finish(struct arrival *a, enum mx_err err);

/* Store a piece. */
extern const struct request_ops piece_ops;
/* Forget the pieces of a draft. */
extern const struct request_ops discard_ops;
void piece_free(struct piece *p); /* NULL is fine */
void draft_unref(struct spool_draft *d);
/* Loop: so many bytes of it are committed; from here on they count as used. */
void draft_stored(struct spool_draft *d, size_t n);
/* The last piece, which goes with the seal; NULL when there is none.  From
 * here on the draft is the arrival's. */
struct piece *draft_tail(struct spool_draft *d);

#endif
