/* The inside of relay.h.  The files stand on each other in this order:
 * relay_tell, relay_content, relay_rcpt, relay. */
#ifndef MX_RELAY_RELAY_PRIV_H
#define MX_RELAY_RELAY_PRIV_H

#include "common/base/assert.h"
#include "daemon/relay/relay.h"

enum {
	RELAY_MAGIC = 0x72656c79,
	REFUSED_MAX = 4, /* destinations whose words are kept */
};

/* What is to be done in a turn of its own: hand on what was fed, in one piece;
 * tell the listener; or go on with the recipient in question. */
enum { PUSH = 1, TELL_RCPT = 2, TELL_ROOM = 4, TELL_END = 8, GO_ON = 16 };

/* Of whom the primary has heard enough at MAIL. */
struct refusal {
	struct span domain;
	struct relay_said said;
};

struct relay {
	unsigned magic;
	struct relay_options opt;
	enum { AT_NOTHING, AT_ENVELOPE, AT_CONTENT, AT_END, AT_OVER } at;
	struct lane *lane;   /* NULL: none yet, or no more */
	struct lane *beside; /* asked whether a domain goes the same way */
	struct arena arena;
	/* The domains that go there; and the recipient in question. */
	struct span *domains;
	size_t domain_count, domain_cap;
	struct refusal *refused[REFUSED_MAX];
	size_t refused_count;
	struct recipient to;
	bool is_asking;	    /* about it */
	bool is_given;	    /* the primary has it */
	size_t given;	    /* recipients, to the primary */
	size_t first_taken; /* SIZE_MAX: none */
	unsigned asked;	    /* recipients, whatever became of them */
	unsigned tries;
	bool is_only, is_reused;
	unsigned offered; /* SMTP_EXT_ bits */
	uint64_t size_most;

	struct buf pending; /* content on its way, from `at` on */
	size_t sent;	    /* of it */
	uint64_t fed;	    /* of content, in all */
	bool is_waited;	    /* for room */

	unsigned tell;
	ev_prepare soon; /* never started, only fed */
	ev_timer patience;
	struct relay_said rcpt, end; /* to be told */
	char host[300];
	int64_t conn_ms, began_ms, ended_ms; /* monotonic, the last two */
};

static inline struct relay *relay_of(void *arg)
{
	struct relay *r = arg;

	MX_ASSERT(r->magic == RELAY_MAGIC);
	return r;
}

/* ---- relay_tell.c: what is told, in a turn of its own ---- */

/* PUSH, TELL_..., GO_ON; 0: see whether there is more. */
void relay_tell(struct relay *r, unsigned what);
/* The primary has so long for its reply; 0: it owes none. */
void relay_arm(struct relay *r, int64_t ms);
/* r->rcpt, filled in, is the answer about the recipient in question. */
void relay_answer_rcpt(struct relay *r);
/* r->end, filled in, is what becomes of it all. */
void relay_over(struct relay *r);

/* ---- relay_content.c ---- */

/* Hand on what was fed.  A piece of content is many writes of the session's,
 * and one to the primary. */
void relay_push(struct relay *r, bool is_all);
/* Where a lane gets the content from (struct delivery_source). */
enum mx_err relay_read(void *arg, const struct delivery_job *job,
		       uint64_t offset, size_t most, struct buf *out);

/* ---- relay_rcpt.c ---- */

/* Do what is to be done about the recipient in question. */
void relay_go_on(struct relay *r);

#endif
