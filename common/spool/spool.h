/*
 * The spool: a message becomes durable here and is forgotten here.
 *
 * One LMDB environment, one writer thread that puts all waiting requests into
 * one transaction (group commit).  Every function is for the loop thread; none
 * waits for a disk sync.  Callbacks run on the loop thread, never before the
 * call that named them has returned.  Nothing outside this folder knows LMDB.
 */
#ifndef MX_SPOOL_SPOOL_H
#define MX_SPOOL_SPOOL_H

#include <ev.h>
#include <sys/queue.h>

#include "common/base/err.h"
#include "common/spool/record.h"

struct spool;
struct spool_draft; /* a message still arriving; not yet ours */

struct spool_options {
	const char *path;        /* directory; created 0700 if missing */
	uint64_t size_bytes;     /* quota, counted from used pages */
	uint64_t reserve_bytes;  /* kept free on the disk */
	bool is_mirrored; /* spool_mirror_start is the first that follows: until
			     then nothing is written, which would count as a
			     time without a mirror */
};

/*
 * Open for the daemon: start the writer, drop unsealed content (in the
 * background), be ready in O(domains).  MX_EBUSY: another daemon has it;
 * MX_ECORRUPT: not a spool, damaged, or of an unknown schema.  why gets a
 * sentence for the operator that names the path.
 */
enum mx_err spool_open(struct spool **out, struct ev_loop *loop,
		       const struct spool_options *opt, struct buf *why);

/*
 * Open for reading only, beside a running daemon or without one (mx20ctl).
 * Only the functions of the section "Reading" may be called on it.
 *
 * Root becomes the owner of the directory, for good, before anything in it is
 * opened.  Links in place of the files are not followed.
 */
enum mx_err spool_open_reader(struct spool **out, const char *path,
			      struct buf *why);

/*
 * The daemon's own spool, to be read on another thread: made on the loop,
 * used by one thread at a time, and only with spool_totals, spool_domains,
 * spool_domain_get, spool_list, spool_message, those of facts, and those of
 * mirror.h that ask for one.  To be freed before spool_close.
 */
struct spool *spool_view(struct spool *sp);
void spool_view_free(struct spool **view);

/* Commit all that was asked for, run the callbacks of it, stop the writer.
 * Waits for the disk: only at the end of the process. */
void spool_close(struct spool **sp);
/* What spool_close calls when it has run all callbacks; what is asked for then
 * is written, too. */
void spool_at_close(struct spool *sp, void (*cb)(void *arg), void *arg);

/* New quota and reserve after a reload. */
void spool_set_limits(struct spool *sp, uint64_t size_bytes,
		      uint64_t reserve_bytes);

/* ---- Arriving --------------------------------------------------------- */

/*
 * Begin a message.  expect_bytes is what the client announced (SIZE), 0 if it
 * did not: it has to fit now, but room is taken only as content comes, and
 * given back when the draft ends.
 * MX_ESPACE (452 4.3.1): no room; MX_EIO (451 4.3.0): the disk failed before.
 */
enum mx_err spool_draft_new(struct spool *sp, int64_t now_wall_ms,
			    uint64_t expect_bytes, struct spool_draft **out);

/* The same for a report to the sender: it may use the room that is kept for
 * settlements, so that mail that fails can leave a spool that is full. */
enum mx_err spool_draft_report(struct spool *sp, int64_t now_wall_ms,
			       uint64_t expect_bytes,
			       struct spool_draft **out);

/* Did the disk fail?  Then nothing is recorded any more until a restart, and
 * what was delivered from now on would be delivered again after it. */
bool spool_has_failed(const struct spool *sp);

/* Could a message of this size be taken now?  The answer to MAIL; nothing is
 * taken by it. */
enum mx_err spool_room(struct spool *sp, uint64_t expect_bytes);
/* How much may still be taken, by all who come. */
uint64_t spool_left(const struct spool *sp);

/*
 * When less than a fifth is left (SPOOL_TIGHT), a domain may hold no more than
 * is left for all others, and half of that fifth is for mail that leaves at
 * once; see fair.c.
 */
enum spool_claim {
	SPOOL_CLAIM_ALL,  /* there is nobody to share with */
	SPOOL_CLAIM_FLOW, /* its mail leaves at once */
	SPOOL_CLAIM_SHARE,
};
/* Also when a message of so many bytes has come? */
bool spool_is_tight(const struct spool *sp, uint64_t bytes);
/* May a message of this size for this domain be taken now?  MX_ESHARE (452
 * 4.3.1): the domain has its share.  The answer to RCPT. */
enum mx_err spool_domain_room(struct spool *sp, struct span domain,
			      uint64_t bytes, enum spool_claim claim);

/* The highest queue id given out so far. */
uint64_t spool_last_id(const struct spool *sp);

/* The queue id it will have; never used twice, also when discarded. */
uint64_t spool_draft_id(const struct spool_draft *d);

/*
 * Where to put the next content bytes, and how many may go there (at least
 * 64): decode straight into it, then say how many were used.  Full chunks go
 * to the writer.  An error is remembered and returned by spool_commit; the
 * caller may go on writing (the bytes are thrown away).
 */
char *spool_draft_buffer(struct spool_draft *d, size_t *room);
void spool_draft_used(struct spool_draft *d, size_t n);
/* The same for bytes that are at hand. */
void spool_draft_write(struct spool_draft *d, struct span s);
enum mx_err spool_draft_error(const struct spool_draft *d);

/*
 * Header lines that go in front of the content and are a part of it: our
 * Received field, and whatever else is known only at the end.  To be called
 * once, before spool_commit, whatever was written before.  Copied.  MX_EINVAL:
 * longer than a chunk (64 KiB, less a page's header); nothing is in front then.
 */
enum mx_err spool_draft_prefix(struct spool_draft *d, struct span lines);
/* Commit it held, as spool_hold would hold each of its units; reason may be
 * empty. */
void spool_draft_hold(struct spool_draft *d, struct span reason);

/* A fact (see below) that is put in the same transaction: it is known if, and
 * only if, the message is.  Once at most. */
void spool_draft_fact(struct spool_draft *d, struct span key,
		      struct span value);

/* It is given up at any time before the commit: nothing of it is left.  *d is
 * NULL then, and may have been. */
void spool_draft_discard(struct spool_draft **d);

typedef void spool_commit_cb(enum mx_err err, uint64_t msg_id, void *arg);

/* One recipient as spool_commit takes it. */
struct spool_rcpt {
	struct span path;    /* local@domain as it came */
	struct span domain;  /* canonical */
	struct span orcpt;
	unsigned notify;
	int64_t expires_ms;  /* wall; the end of its domain's lifetime */
	int64_t warn_ms;     /* wall; when to warn of the delay; 0: never */
	enum spool_claim claim; /* the same for all of a domain */
	uint64_t quota_bytes;   /* so too; of what waits for it; 0: none */
};

/*
 * Make a draft durable.
 *
 * On MX_OK the message survives power loss and the 250 may be sent; from that
 * reply on we owe delivery or a DSN (RFC 5321 section 4.2.5).  Otherwise
 * MX_ESPACE (answer 452 4.3.1), MX_ESHARE (the same: one of the domains has its
 * share), MX_EQUOTA (452 4.2.2: with this one more would wait for a domain than
 * its quota), MX_EMIRROR (451 4.3.0: no second copy can be made, and it is to be
 * refused then) or MX_EIO (answer 451 4.3.0).
 *
 * Takes the draft: *d is NULL on return, whatever the outcome.  env->id and
 * env->bytes are filled in from the draft.  cb runs exactly once (cb may be
 * NULL).  env and rcpts are copied.
 */
void spool_commit(struct spool_draft **d, const struct envelope *env,
		  const struct spool_rcpt *rcpts, size_t count,
		  spool_commit_cb *cb, void *arg);

/*
 * Backpressure: true while the writer has more pending than it should.  A
 * session in DATA then pauses its socket and waits here; waiters are called
 * once, in order, when there is room again.
 */
struct spool_waiter {
	TAILQ_ENTRY(spool_waiter) link;
	void (*cb)(struct spool_waiter *w);
	bool is_waiting;
};
bool spool_is_busy(const struct spool *sp);
void spool_wait(struct spool *sp, struct spool_waiter *w);
void spool_wait_cancel(struct spool *sp, struct spool_waiter *w);

/* ---- Leaving ---------------------------------------------------------- */

/*
 * Units of this domain became ready (committed, due again, released).  At most
 * once per domain and commit.
 */
typedef void spool_ready_cb(struct span domain, void *arg);
void spool_subscribe(struct spool *sp, spool_ready_cb *cb, void *arg);

/* What happened to a recipient of a unit. */
enum outcome {
	OUTCOME_UNTRIED,   /* stays as it is, ready */
	OUTCOME_DELIVERED, /* the primary has it: forget it */
	OUTCOME_TRANSIENT, /* stays; attempts + 1, reply remembered */
	OUTCOME_PERMANENT, /* forget it; the caller has made a report of it or
			      decided that none is due */
	OUTCOME_HELD,      /* failed for good, kept for the operator */
	OUTCOME_REFUSED,   /* failed: final, or to be reported, at until_ms */
	OUTCOME_SHELVED,   /* failed for good: kept until until_ms */
	OUTCOME_TAKEN,     /* delivered; whether a report is due is seen at
			      until_ms */
	OUTCOME_WAITING,   /* stays as it is and was not tried: its own retry
			      is not due yet; defers the unit */
};

struct settlement {
	uint32_t number;        /* the recipient */
	enum outcome outcome;
	struct span reply;      /* "450 4.2.1 ..." */
	struct span host;
	int64_t until_ms;       /* wall; the three that are parked */
	enum recipient_failure failure; /* the same */
};

typedef void spool_done_cb(enum mx_err err, void *arg);

/*
 * Record what became of a unit's recipients in one commit.  If a recipient is
 * transient or waiting the unit is deferred to due_ms (wall); if all that is
 * left is untried it stays ready; if any is parked and none pending the unit is
 * refused; if any is held and no other left it is held; if nothing is left the
 * unit goes, and with its last unit the message.  Who is parked already has its
 * time moved, and its state; this is no attempt, and no words are changed.
 * MX_ENOENT: the unit was removed meanwhile (the report is dropped, too).
 * report, if not NULL, is a DSN draft that becomes a message in the same
 * transaction: neither a crash nor a full disk can lose or double it.  When
 * the room for a report is short the settlement may use the reserve.
 * On failure nothing was recorded: the unit is as it was.
 */
struct spool_report {
	struct spool_draft *draft; /* taken */
	struct envelope envelope;
	struct spool_rcpt rcpt;
};
void spool_settle(struct spool *sp, uint64_t id, struct span domain,
		  const struct settlement *set, size_t count, int64_t now_ms,
		  int64_t due_ms, struct spool_report *report,
		  spool_done_cb *cb, void *arg);

/*
 * The same for recipients that were parked when they were loaded
 * (spool_unit_parked); the others stand as they do.  MX_ENOENT also when one of
 * them is parked no longer: then it is about to be tried.
 */
void spool_settle_parked(struct spool *sp, uint64_t id, struct span domain,
			 const struct settlement *set, size_t count,
			 int64_t now_ms, struct spool_report *report,
			 spool_done_cb *cb, void *arg);

/*
 * The next ready ids of a domain after `after` (0: from the oldest), oldest
 * first; *n says how many (0: none or domain held).  The unit stays ready
 * until settled: the caller remembers what it has in hand.
 *
 * With a mirror whose lease is over, only of what nobody else can have
 * (mirror.h); the same goes for spool_unit_load and spool_unit_parked.
 *
 * Here and below an error means that nothing is known, not that nothing is
 * there: look again later.  MX_ECORRUPT will not pass by itself.
 */
enum mx_err spool_ready(struct spool *sp, struct span domain, uint64_t after,
			uint64_t *ids, size_t max, size_t *n);
/* The newest ready ids before `before` (0: from the newest), newest first. */
enum mx_err spool_ready_newest(struct spool *sp, struct span domain,
			       uint64_t before, uint64_t *ids, size_t max,
			       size_t *n);

/* Load one unit with its pending recipients; of one that is held or refused,
 * with all that are not delivered.  MX_ENOENT: gone meanwhile. */
enum mx_err spool_unit_load(struct spool *sp, uint64_t id, struct span domain,
			    struct unit **out);
/* The same with those parked recipients that are due by then (wall).
 * MX_ENOENT: there is none. */
enum mx_err spool_unit_parked(struct spool *sp, uint64_t id,
			      struct span domain, int64_t by_ms,
			      struct unit **out);

/*
 * Content by position: append up to max bytes from offset on to out.  Returns
 * MX_OK with nothing appended at the end of the content.  Also for a reader.
 */
enum mx_err spool_content(struct spool *sp, uint64_t id, uint64_t offset,
			  size_t max, struct buf *out);

/* When the next deferred unit is due (wall ms); MX_ENOENT: none is deferred. */
enum mx_err spool_next_due(struct spool *sp, int64_t *due_ms);
/* When the last of them is. */
enum mx_err spool_last_due(struct spool *sp, int64_t *due_ms);
/* Ask the writer to make all units ready that are due by now_ms (in bounded
 * steps); subscribers hear of it. */
void spool_requeue_due(struct spool *sp, int64_t now_ms);

/*
 * Ask the writer to make those deferred units of the domain ready that have
 * been tried since then (wall), and to forget how often their recipients were
 * (attempts = 0; attempt_ms stays).  In bounded steps; subscribers hear of it.
 * Held units stay held.  Cheap to ask for again: there is one walk a domain,
 * and one behind it for all that ask meanwhile.
 */
void spool_forgive(struct spool *sp, struct span domain, int64_t since_ms);

typedef void spool_count_cb(enum mx_err err, uint64_t units, void *arg);

/*
 * Undo refusals that are not final: who was refused at since_ms (wall) or later
 * in this domain, or (empty) in any, is pending again as if that had not been
 * tried, and its unit ready.  Whoever is shelved stays so.  In bounded steps;
 * units: how many.  cb may be NULL.
 *
 * A refusal that is not final within UNREFUSE_WITHIN from now is not looked
 * for.
 */
#define UNREFUSE_WITHIN HOURS(1)
void spool_unrefuse(struct spool *sp, struct span domain, int64_t since_ms,
		    spool_count_cb *cb, void *arg);

/* Units whose lifetime ended, whose delay warning is due, or of which a parked
 * recipient is, by now_ms, in this order; those behind `after` only, NULL: from the first.  *n says how
 * many were filled in. */
struct spool_expiry {
	int64_t at_ms;
	uint64_t id;
	char domain[256];
	bool is_warning;
	bool is_parked;	 /* neither: the end */
};
enum mx_err spool_expired(struct spool *sp, int64_t now_ms,
			  const struct spool_expiry *after,
			  struct spool_expiry *out, size_t max, size_t *n);
/* When the next of them is; MX_ENOENT: there is none. */
enum mx_err spool_next_expiry(struct spool *sp, int64_t *at_ms);
/* The warning was sent (or none is due): strike it off; report as above. */
void spool_warned(struct spool *sp, uint64_t id, struct span domain,
		  struct spool_report *report, spool_done_cb *cb, void *arg);

/* ---- The operator ------------------------------------------------------ */

/* Which units a command is about: one message, or a whole domain. */
struct spool_selection {
	uint64_t id;        /* 0: by domain */
	struct span domain; /* canonical; empty with id: every domain of it */
};

/*
 * Keep from being delivered.  With a domain: also what arrives later, until
 * release; reason is shown by status.  The domain may be a pattern
 * ("*.example.org": each of its subdomains), or a row that stands for a
 * destination (scope.h), which means nothing to the spool.  A hold of a domain
 * and holds of its units are two things: neither changes the other.
 */
void spool_hold(struct spool *sp, struct spool_selection sel,
		struct span reason, spool_count_cb *cb, void *arg);
/* A message: its units become ready.  A domain: its hold ends, and its units
 * that are deferred or failed (held for that, refused, shelved) become ready;
 * those that the operator held by themselves stay so. */
void spool_release(struct spool *sp, struct spool_selection sel,
		   spool_count_cb *cb, void *arg);
/* Deferred (not held) units become ready. */
void spool_flush(struct spool *sp, struct spool_selection sel,
		 spool_count_cb *cb, void *arg);
/* Forget without a report.  In bounded steps; units = how many went. */
void spool_remove(struct spool *sp, struct spool_selection sel,
		  spool_count_cb *cb, void *arg);

/* ---- Domains that are listed no longer ---------------------------------- */

/*
 * The allowlist has no line for this domain any more, and mail waits: mark it,
 * and hold it for the reason below unless the operator holds it already.
 * While it is marked, held or released, no lifetime of its units ends; the
 * mark goes with its last unit.  units: how many wait.
 */
#define SPOOL_UNLISTED "no longer in the allowlist"
void spool_unlisted(struct spool *sp, struct span domain, spool_count_cb *cb,
		    void *arg);
/* Is it held for that reason, and not by the operator? */
bool spool_is_held_unlisted(const struct spool_domain *d);
/* Bytes that wait to be delivered: all but what was refused, for good or not
 * yet.  A quota is of these. */
uint64_t spool_domain_waiting(const struct spool_domain *d);
/*
 * It is listed again: the hold goes at once if it came with the mark, the mark
 * when every unit has until then (wall) to live at least, in bounded steps.
 * What the operator held stays held.
 */
void spool_listed(struct spool *sp, struct span domain, int64_t until_ms,
		  spool_count_cb *cb, void *arg);

/* ---- Small facts that survive a restart -------------------------------- */

/* Written behind, with the next commit; errors are logged, not returned. */
void spool_target_put(struct spool *sp, const struct spool_target *t);
void spool_domain_destination(struct spool *sp, struct span domain,
			      struct span route_key);
/* Any other keyed fact (down time "down:", MTA-STS policy "sts:").
 * An empty value deletes. */
void spool_fact_put(struct spool *sp, struct span key, struct span value);

/*
 * Forget targets that were not heard of since then (wall), and facts that are
 * of no use: is_old is asked on the writer's thread, and must be pure.  In
 * bounded steps, behind whatever else there is to write.
 */
typedef bool spool_is_old(struct span key, struct span value);
void spool_forget(struct spool *sp, int64_t before_ms, spool_is_old *is_old,
		  spool_count_cb *cb, void *arg); /* of rows; may be NULL */

/* ---- What is known of recipients ---------------------------------------- */

enum { SPOOL_KNOWN_KEY_SIZE = 8 };

/*
 * Written behind, as facts are.  There are max rows at most, and the oldest go
 * first; KNOWN_NO rows have half of it.  cb (may be NULL): it can be read now,
 * or never will.
 */
void spool_known_put(struct spool *sp,
		     const unsigned char key[static SPOOL_KNOWN_KEY_SIZE],
		     const struct spool_known *row, uint64_t max,
		     spool_count_cb *cb, void *arg);
void spool_known_forget(struct spool *sp,
			const unsigned char key[static SPOOL_KNOWN_KEY_SIZE],
			spool_count_cb *cb, void *arg);
/* MX_ENOENT: nothing is known.  Also for a reader. */
enum mx_err
spool_known_get(struct spool *sp,
		const unsigned char key[static SPOOL_KNOWN_KEY_SIZE],
		struct spool_known *out);
/* How many rows there are; O(1).  Also for a reader. */
enum mx_err spool_known_count(struct spool *sp, uint64_t *rows);

/* ---- Reading (also for mx20ctl) ----------------------------------------- */

/*
 * How much room there is.  A reader knows the limits only when it was told
 * (spool_set_limits).
 */
struct spool_space {
	uint64_t used_bytes, size_bytes;    /* of the quota */
	uint64_t disk_bytes, reserve_bytes; /* free on the disk; to stay free */
	enum spool_pressure {
		SPOOL_ROOMY,
		SPOOL_TIGHT, /* more than 80 % of what can be is used */
		SPOOL_FULL,  /* new mail is refused with 452 4.3.1 */
		SPOOL_FAILED /* the disk did: refused with 451 4.3.0 */
	} pressure;
	bool is_disk; /* it is the disk, not the quota, that limits */
};
const char *spool_pressure_name(enum spool_pressure p); /* "ok" "tight" ... */

/* From numbers at hand: no look at the spool, nothing that waits.  They are
 * those of the last commit, and never older than a minute. */
void spool_space_get(struct spool *sp, struct spool_space *out);

struct spool_totals {
	uint64_t messages, bytes;
	int64_t oldest_ms; /* 0: empty */
	struct spool_space space;
};
enum mx_err spool_totals(struct spool *sp, struct spool_totals *out);

/* Rows of domains that have mail or a hold, in name order behind `after`
 * (empty: from the first on); stops when cb returns false.  The row is valid
 * during cb. */
typedef bool spool_domain_cb(const struct spool_domain *row, void *arg);
enum mx_err spool_domains(struct spool *sp, struct span after,
			  spool_domain_cb *cb, void *arg);
/* MX_ENOENT: it has neither, and no pattern holds it. */
enum mx_err spool_domain_get(struct spool *sp, struct span domain,
			     struct spool_domain *out);

/* All servers that were heard of, in the order of their names; stops when cb
 * returns false.  t is valid during cb, which may look at the spool. */
typedef bool spool_target_cb(const struct spool_target *t, void *arg);
enum mx_err spool_targets(struct spool *sp, spool_target_cb *cb, void *arg);
/* MX_ENOENT: nothing is known of it. */
enum mx_err spool_target_get(struct spool *sp, struct span name,
			     struct spool_target *out);

/* Append the value.  MX_ENOENT: there is none. */
enum mx_err spool_fact_get(struct spool *sp, struct span key, struct buf *out);
/* Facts whose key begins so, in the order of their keys, behind the key `after`
 * (empty: from the first on); stops when cb returns false.  Both spans are
 * valid during cb, which may look at the spool. */
typedef bool spool_fact_cb(struct span key, struct span value, void *arg);
enum mx_err spool_facts(struct spool *sp, struct span prefix, struct span after,
			spool_fact_cb *cb, void *arg);

/*
 * Messages in id order after `after`, of one domain or (empty) of all; a unit
 * at a time, recipients included; stops when cb returns false.  The read
 * transaction is renewed between pages, so that a slow reader does not pin
 * pages.
 */
typedef bool spool_unit_cb(const struct unit *u, void *arg);
enum mx_err spool_list(struct spool *sp, struct span domain, uint64_t after,
		       spool_unit_cb *cb, void *arg);
/* The same of those units alone that have a recipient on the shelf. */
enum mx_err spool_list_shelved(struct spool *sp, struct span domain,
			       uint64_t after, spool_unit_cb *cb, void *arg);
/* The units of one message. */
enum mx_err spool_message(struct spool *sp, uint64_t id, spool_unit_cb *cb,
			  void *arg);

#endif
