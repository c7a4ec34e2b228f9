/*
 * Who is a recipient, by what the primary itself has said: learned from its
 * replies to RCPT, and asked of it (verify.h) where the allowlist has
 * recipients=verify.
 *
 *               a reply to RCPT                      policy.known.positive
 *   not known ------------------> yes, or no ------------------------------>
 *       ^                            |             or .negative of up time
 *       +----------------------------+
 *
 * It ages only while its destination is up (downtime.h): what was known when an
 * outage began is known at its end.  It lives in the spool, under keyed hashes:
 * no list of addresses can be read from there.
 *
 * Nothing is learned of a domain before a recipient that nobody has was asked
 * for, once a day (trial.c): a primary that takes him takes everyone, and says
 * nothing by it.
 */
#ifndef MX_KNOWN_KNOWN_H
#define MX_KNOWN_KNOWN_H

#include <ev.h>

#include "common/spool/spool.h"
#include "config/config.h"

struct known;

/* What a primary said of a recipient, or why it did not. */
enum known_said {
	SAID_YES,
	SAID_NO,
	SAID_EARLY, /* no, but of a primary that has taken nothing since it is
		       back: not believed of a person */
	SAID_NOTHING, /* it answers, but not this: 4yz, 5.7.x, MAIL refused, no
			 answer in time */
	SAID_DOWN,    /* it cannot be asked: an outage */
};
typedef void known_said_cb(enum known_said said, struct span reply, void *arg);

/* Whom this room asks; all may be NULL. */
struct known_hooks {
	/*
	 * Ask the primary of the canonical domain for the mailbox.  cb runs
	 * once, after return and within a minute, and then the question is
	 * gone.  NULL: nobody can be asked now.
	 */
	void *(*ask)(struct span domain, struct span mailbox,
		     known_said_cb *cb, void *cb_arg, void *arg);
	void (*cancel)(void *question, void *arg);
	/* Append the key of the route the domain has now; nothing: not known.
	 */
	void (*destination)(struct span domain, struct buf *out, void *arg);
	void *arg;
};

struct known *known_new(struct ev_loop *loop, struct spool *sp,
			struct config *c);
/* Before anybody learns or asks. */
void known_connect(struct known *k, const struct known_hooks *hooks);
void known_reload(struct known *k, struct config *c);
/* No more is asked, and nobody hears of what was: before the hooks' owner
 * goes. */
void known_stop(struct known *k);
/* After spool_close. */
void known_free(struct known **k);

/* ---- Looking ---- */

struct known_fact {
	enum { FACT_NONE, FACT_YES, FACT_NO } is;
	bool is_asked;	    /* by a callout, else in a delivery */
	int64_t since_ms;   /* wall */
	int64_t expires_ms; /* wall; 0: not as long as the outage lasts */
	char reply[SPOOL_KNOWN_REPLY_MAX + 1];
};

/*
 * O(1), and never waits.  domain is canonical, local as written.  Behind a
 * delimiter (0: none) there may be anything if somebody is known without.
 */
void known_look(struct known *k, struct span domain, struct span local,
		char delimiter, int64_t now_ms, struct known_fact *out);

/* Does the domain's primary take everyone, as far as is known? */
bool known_is_catch_all(struct known *k, struct span domain);
/* How many rows there are, of everything. */
uint64_t known_count(struct known *k);

/* ---- Learning ---- */

/* What a reply to RCPT says: SAID_YES, SAID_NO or SAID_NOTHING.  Pure. */
enum known_said known_meaning(struct span reply);
/* The same in somebody's transaction: a refusal with a code alone, "550 Sender
 * verify failed", may be for the sender that he chose.  "": there is none. */
enum known_said known_meaning_from(struct span reply, struct span sender);

/* The primary of the domain, which is at this destination, said so of the
 * recipient.  Of use only if the domain has recipients=verify; ignored
 * otherwise. */
void known_learn(struct known *k, struct span domain, struct span local,
		 struct span destination, bool is_yes, bool is_asked,
		 struct span reply, int64_t now_ms);
void known_forget(struct known *k, struct span domain, struct span local);
/* Whom that destination refused since then (wall) it may have refused since it
 * was broken: that is forgotten, of this domain or (empty) of all, and what was known of
 * him before counts again.  Of the last thousand that were learned. */
void known_doubt(struct known *k, struct span domain, struct span destination,
		 int64_t since_ms);

/* A destination is up, or down: said as often as anybody likes. */
void known_note_state(struct known *k, struct span destination, bool is_down,
		      int64_t now_ms);

#endif
