/* A draft's content on its way to the writer, a piece at a time. */
#ifndef MX_SPOOL_PIECES_H
#define MX_SPOOL_PIECES_H

#include "common/spool/spool_priv.h"

enum { ADDED_BYTES = 512 }; /* our own Received field, roughly */

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
	uint64_t bytes;	       /* content and prefix */
	uint64_t handed_bytes; /* of the content, given to the writer */
	uint64_t stored_bytes; /* of these, committed */
	uint64_t expect_bytes;
	uint64_t reserved;   /* room taken for what is not stored yet */
	struct piece *piece; /* the one being filled */
	struct buf prefix;   /* goes in front; empty: none, or in the tail */
	struct buf hold_reason;
	struct buf fact_key, fact_value; /* recorded with it; empty: none */
	bool is_adopted; /* the mirror has it already */
	bool is_held; /* is to be when it is committed */
	enum mx_err err;
	bool may_use_margin;
	bool has_left;	  /* discarded or sealed: lives for the writer */
	size_t in_flight; /* requests about it not finished yet */
	/* writer thread only: a piece could not be stored */
	enum mx_err writer_err;
};

/* The next queue id at this time. */
uint64_t draft_next_id(struct spool *sp, int64_t now_ms);
/* A draft of this id; as spool_draft_new. */
enum mx_err draft_open(struct spool *sp, uint64_t id, uint64_t expect_bytes,
		       bool may_use_margin, struct spool_draft **out);

/* A piece of cap bytes; p, if not NULL, is the one it replaces. */
struct piece *piece_resize(struct spool_draft *d, struct piece *p, size_t cap);
void piece_free(struct piece *p); /* NULL is fine */
/* The one being filled goes to the writer. */
void piece_hand_over(struct spool_draft *d);

/* The room it needs for what is not stored yet. */
uint64_t draft_need(const struct spool_draft *d);
/* Nobody fills it any more: it lives for what is under way, and what the
 * writer has of it is to go. */
void draft_leave(struct spool_draft *d);
/* The last piece, which goes with the seal; NULL when there is none.  It has
 * the prefix, too, when it is all there is.  From here on the draft is the
 * arrival's. */
struct piece *draft_tail(struct spool_draft *d);
/* The arrival's end.  What is not sealed is to go. */
void draft_end(struct spool_draft *d, bool is_sealed);

#endif
