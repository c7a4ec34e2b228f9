/*
 * A second copy of what waits, kept by somebody else: what the spool tells a
 * mirror, and what it does with mail that comes back from one.
 */
#ifndef MX_SPOOL_MIRROR_H
#define MX_SPOOL_MIRROR_H

#include "common/spool/spool.h"

/* ---- Parcels ------------------------------------------------------------ */

/*
 * What changed, as rows for the mirror.  A row replaces one of the same key.
 * Whatever the order of the items: what is gone goes first, then the others
 * are put, so that GONE and rows of one id replace all that there was.
 */
enum parcel_kind {
	PARCEL_MESSAGE, /* id, row: the envelope.  All of its units follow in
			   this parcel: others of it go.  It is there only when
			   all of its content is, before or in this parcel */
	PARCEL_UNIT,	/* id, domain, state, row: its recipients */
	PARCEL_CONTENT, /* id, offset, row: the bytes that stand there */
	PARCEL_UNIT_GONE,  /* id, domain */
	PARCEL_GONE,	   /* id: the message, its units, its content */
	PARCEL_DRAFT_GONE, /* id: its content, unless there is a message */
	PARCEL_HOLD,	   /* domain, row: why the operator holds it */
	PARCEL_HOLD_GONE,  /* domain */
};

/* What a kind has not is 0 or empty. */
struct parcel_item {
	enum parcel_kind kind;
	uint64_t id, offset;
	struct span domain; /* at most 255 bytes; of HOLD: a pattern, too */
	struct span state;  /* at most 300: where the unit stands */
	struct span row;    /* below 4 GiB */
};

struct parcel; /* owned by one thread at a time */

struct parcel *parcel_new(void);
void parcel_free(struct parcel **p); /* NULL is fine */
/* Copies the item. */
void parcel_add(struct parcel *p, const struct parcel_item *item);
/* Memory that its items take; how many there are. */
size_t parcel_bytes(const struct parcel *p);
size_t parcel_count(const struct parcel *p);
/* Take off what was added since it was of this size, and had so many. */
void parcel_cut(struct parcel *p, size_t bytes, size_t count);
/* The item at *pos (0: the first), which is then that of the next.  False: no
 * more.  Spans borrow from the parcel, until the next parcel_add. */
bool parcel_next(const struct parcel *p, size_t *pos, struct parcel_item *out);

/* ---- The mirror, as the spool sees it ----------------------------------- */

/*
 * All on the writer's thread; they stay until spool_close has returned.
 * Whatever goes to the mirror has a number, parcels and what is sent behind
 * (spool_mirror_pick) alike, and numbers only grow.
 */
struct spool_mirror_ops {
	/* In step from here on; the next that is offered is seq + 1.  May come
	 * again without anything between.  NULL is fine. */
	void (*joined)(uint64_t seq, void *arg);
	/* What a transaction changes; takes the parcel. */
	void (*offer)(struct parcel *p, uint64_t seq, void *arg);
	/* Once for each: MX_OK, it is durable there.  MX_ENOENT: it was not
	 * sent, the mirror has nothing of it and never will.  Anything else:
	 * nobody knows.  Not MX_OK: the spool is behind from then on.  Bounded
	 * in time. */
	enum mx_err (*wait)(void *arg);
};

/* While the mirror is away: */
enum spool_mirror_away {
	SPOOL_AWAY_ACCEPT, /* mail is taken, and sent to it later.  In step both
			      copies are made side by side */
	SPOOL_AWAY_REFUSE, /* new mail ends with MX_EMIRROR (451 4.3.0).  In
			      step the mirror has it first */
};

/*
 * There is a mirror, from now on, for as long as the spool is open; ops stays
 * the caller's.  To be called before anything else is asked of the spool.  It
 * begins behind: what changes is noted.  A spool that never had a mirror notes
 * all of its mail, in the background.
 */
void spool_mirror_start(struct spool *sp, const struct spool_mirror_ops *ops,
			void *arg, enum spool_mirror_away away);
void spool_mirror_set_away(struct spool *sp, enum spool_mirror_away away);

/* The name of this spool's life: another one has another, its copy the same. */
enum { SPOOL_UUID_SIZE = 37 };
void spool_mirror_uuid(const struct spool *sp, char out[SPOOL_UUID_SIZE]);

/* The last number that was given out. */
uint64_t spool_mirror_seq(const struct spool *sp);
/* A mirror that is at this number differs in nothing but what is noted?  Else
 * it has to be compared. */
bool spool_mirror_knows(const struct spool *sp, uint64_t seq);

struct spool_mirror_lag {
	bool is_in_step;
	uint64_t lacking;  /* messages and holds that are noted */
	int64_t oldest_ms; /* wall: when the oldest of them arrived; 0: none */
};
/* O(1). */
enum mx_err spool_mirror_lag(struct spool *sp, struct spool_mirror_lag *out);

/*
 * Be in step, if nothing is lacking; else MX_EBUSY.  What is noted later, while
 * in step, is left to spool_mirror_pick as before.
 */
void spool_mirror_join(struct spool *sp, spool_count_cb *cb, void *arg);

/* ---- Catching up --------------------------------------------------------- */

/*
 * Some of what is lacking: picked on the loop, exported on any thread from a
 * view that was made before or after, sent with its number, and struck off.
 * One at a time.  When it could not be sent it is freed; it stays noted, and
 * from the pick on the mirror may have it.
 */
struct arrears;
typedef void spool_arrears_cb(enum mx_err err, struct arrears *a, void *arg);
/* About so many bytes of it, to be the callee's.  MX_ENOENT, NULL: nothing is
 * lacking. */
void spool_mirror_pick(struct spool *sp, size_t max_bytes,
		       spool_arrears_cb *cb, void *arg);
/* Append it as it is now.  max_bytes are exceeded by the rows of one message,
 * and a piece of content, at most; a large content goes in parts. */
enum mx_err spool_mirror_export(struct spool *view, struct arrears *a,
				size_t max_bytes, struct parcel *out);
/* What was exported is there: strike it off, unless it changed meanwhile.
 * Takes it; cb may be NULL. */
void spool_mirror_sent(struct spool *sp, struct arrears **a,
		       spool_count_cb *cb, void *arg);
uint64_t arrears_seq(const struct arrears *a);
void arrears_free(struct arrears **a); /* NULL is fine */

/* ---- Comparing ----------------------------------------------------------- */

/*
 * While the spool is behind and nothing is being sent, all that is not noted
 * stands still on both sides.
 *
 * Messages behind `after`, up to and with `upto`, by id, in one look; stops
 * when cb returns false.  hash: the first 8 bytes of SHA-256, as a big-endian
 * number, of state and row of each unit in the order of their domains.  What is
 * noted has no hash: whether the mirror has a message of that id is to be said
 * by spool_mirror_note in any case.
 */
typedef bool spool_mirror_page_cb(uint64_t id, uint64_t hash, bool is_noted,
				  void *arg);
enum mx_err spool_mirror_page(struct spool *view, uint64_t after, uint64_t upto,
			      spool_mirror_page_cb *cb, void *arg);
/*
 * When the mirror's number is above spool_mirror_seq the spool has lost its last
 * commits, or is an old copy.  What the mirror has then, and the spool has not,
 * is not to be noted but to be adopted, once in step: it is the only copy.  What
 * is noted as gone goes before.
 *
 * The mirror differs in these: it has no message of that id (is_missing); or
 * it has one, and we have none or another.  What is noted already stays so, or
 * more is.
 * For mail of ours that was taken over and is here: tells the mirror so.
 */
void spool_mirror_note(struct spool *sp, const uint64_t *ids, size_t n,
		       bool is_missing, spool_count_cb *cb, void *arg);
/* The mirror has holds of these domains, each with NUL behind it: they are
 * sent again, and so is all that is held here. */
void spool_mirror_note_holds(struct spool *sp, struct span names,
			     spool_count_cb *cb, void *arg);
/* Everything was compared with a mirror at this number; above INT64_MAX: it has
 * none yet. */
void spool_mirror_compared(struct spool *sp, uint64_t seq, spool_count_cb *cb,
			   void *arg);

/* ---- The lease ----------------------------------------------------------- */

/*
 * Until then (CLOCK_BOOTTIME) nobody else may have what is in the mirror.
 * Behind that it is not shown by spool_ready, spool_unit_load and their like
 * for as long as patience says; then it is again, whoever else has it.  What
 * the mirror never had is shown always.  Before the first call the lease is
 * over since the start; and so it is from a parcel that was not answered to the
 * next call.  When it is back, or patience is over, subscribers hear
 * of all domains, from the loop, within a second.  From any thread, one at a
 * time.
 */
void spool_mirror_lease(struct spool *sp, int64_t until_ms,
			int64_t patience_ms);
/* May this message be delivered from here, now?  To be asked right before its
 * end goes out: others may have taken it since it was loaded.  On the loop. */
bool spool_mirror_lets_go(struct spool *sp, uint64_t id);
/* For tests: a clock in the place of CLOCK_BOOTTIME. */
void spool_mirror_set_clock(struct spool *sp, int64_t (*boot_ms)(void));

/* ---- Taking over --------------------------------------------------------- */

/* n fresh queue ids in a row: cb hears of the first, when a crash and a clock
 * that is set back can no longer have one of them given out again. */
void spool_mirror_ids(struct spool *sp, int64_t now_wall_ms, size_t n,
		      spool_count_cb *cb, void *arg);
/* Ids given out from now on are above this one: the highest of ours that the
 * mirror has. */
void spool_mirror_past(struct spool *sp, uint64_t id);

/* A message that the mirror has under an id of ours, on its way here. */
struct spool_adoption;
struct spool_adopted { /* a unit, as PARCEL_UNIT has it */
	struct span domain, state, row;
	bool is_held; /* is to be, as spool_hold would hold it */
	struct span hold_reason;
};
/* MX_EBUSY: it is here, or was: spool_mirror_note tells the mirror.  MX_ETIME:
 * not yet, shortly after the start.  MX_ESPACE; MX_EIO. */
enum mx_err spool_adopt_new(struct spool *sp, uint64_t id,
			    struct spool_adoption **out);
/* The next bytes of its content.  Errors are remembered. */
void spool_adopt_content(struct spool_adoption *a, struct span bytes);
/*
 * Make it durable, with arrival, lifetime and history as they are, and then
 * tell the mirror by a parcel with all of it, or note that.  Takes it; cb, if
 * not NULL, runs once: both are done.  MX_EINVAL: rows that do not decode, or
 * another length of content than they say.
 */
void spool_adopt_commit(struct spool_adoption **a, struct span message,
			const struct spool_adopted *units, size_t count,
			spool_done_cb *cb, void *arg);
void spool_adopt_discard(struct spool_adoption **a); /* NULL is fine */

/* Others have these: they go without a report.  units: how many went. */
void spool_mirror_drop(struct spool *sp, const uint64_t *ids, size_t n,
		       spool_count_cb *cb, void *arg);

#endif
