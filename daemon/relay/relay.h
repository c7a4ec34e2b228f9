/*
 * Cut-through: a client's transaction is carried to the primary while it
 * arrives, so that the primary's own verdict reaches the client while it is
 * connected.  table.c has what becomes of it.
 *
 *          relay_rcpt            relay_data            relay_end
 *   nothing ──▶ asks ──▶ envelope ──────────▶ content ───────────▶ end
 *                 ▲  │     │  ▲                  │ ▲                 │
 *                 │  ▼     └──┘ relay_rcpt       └─┘ relay_feed      │
 *                 └─ over ◀──────────────────────────────────────────┘
 *
 * "Over" may come at any time: the primary refused all of it, took it, or
 * cannot take it now.  Who feeds it notices nothing, and hears it at the end.
 *
 * Whoever uses it keeps what has to be kept, and what it knows of recipients:
 * here is only what the primary says, and a bounded piece of the content on its
 * way (RELAY_PENDING_MAX).  Listeners are called from the loop, never from
 * within a function of this header, and may free the relay.
 */
#ifndef MX_RELAY_RELAY_H
#define MX_RELAY_RELAY_H

#include <ev.h>

#include "common/spool/spool.h"
#include "daemon/policy/verdict.h"
#include "daemon/relay/door.h"
#include "daemon/relay/table.h"

enum {
	RELAY_PENDING_MAX = 64 * 1024,
	/* As many as one transaction with a primary has (RFC 5321 section
	 * 4.5.3.1.8): who is refused for now may ask for ever. */
	RELAY_RCPTS_MAX = 100,
	/* A client waits five minutes for the reply to RCPT and ten for that
	 * to its content (RFC 5321 section 4.5.3.2): so long the primary has.
	 */
	RELAY_RCPT_MS = 4 * 60 * 1000,
	RELAY_END_MS = 9 * 60 * 1000,
};

struct relay; /* one transaction */

/* What the primary said, or did. */
struct relay_said {
	enum relay_fate fate;
	enum relay_stage stage;
	enum relay_event event;
	/* Its words, clean and bounded.  Of FATE_WORDS: 2yz or 5yz; else 4yz,
	 * or code 0: it said nothing that could be passed on. */
	struct verdict words;
	/* As the log shows it: "421 4.3.2 bye", "(rcpt) Time-out". */
	char reply[256];
};

struct relay_listener {
	/* The answer to relay_rcpt. */
	void (*on_rcpt)(const struct relay_said *said, void *arg);
	/* relay_is_full no more. */
	void (*on_room)(void *arg);
	/* The answer to relay_end. */
	void (*on_end)(const struct relay_said *said, void *arg);
};

struct relay_options {
	struct ev_loop *loop;
	const struct relay_door *door;
	/* What MAIL said; its spans must live as long as the relay.  bytes:
	 * what was announced, or 0. */
	const struct envelope *env;
	uint64_t size;
	const struct net_addr *client; /* lives as long; NULL: nobody's */
	const struct relay_listener *listener;
	void *arg;
};

struct relay *relay_new(const struct relay_options *opt);
/* At any time: what the primary had so far is taken back, unless it has the
 * end. */
void relay_free(struct relay **r);

/* Is it worth to call relay_rcpt for a recipient of this domain?  Not behind
 * RELAY_RCPTS_MAX of them.  O(1).  r NULL: there is none yet. */
bool relay_may(const struct relay_door *door, const struct relay *r,
	       struct span domain);

/* One at a time.  Spans are copied.  Answered FATE_WORDS, FATE_KEPT or
 * FATE_JUDGED. */
void relay_rcpt(struct relay *r, const struct recipient *to);

/* Does the primary have a recipient?  Else there is nothing to go on with. */
bool relay_has_rcpts(const struct relay *r);

/* No more recipients; content follows. */
void relay_data(struct relay *r);
/* The next piece of it, our own header fields included. */
void relay_feed(struct relay *r, struct span s);
/* The primary is slower than the client: on_room follows. */
bool relay_is_full(struct relay *r);
/* That was all. */
void relay_end(struct relay *r);

/* The primary has had its time for a reply, and the client's is nearly over: as
 * after RELAY_RCPT_MS, RELAY_END_MS. */
void relay_is_overdue(struct relay *r);

/* For the log; valid until the relay goes. */
struct relay_facts {
	const char *host; /* "": there was no connection */
	int64_t conn_ms;  /* to connect; 0: it was there */
	int64_t ms;	  /* from MAIL to the last reply, of the primary */
};
void relay_facts(const struct relay *r, struct relay_facts *out);

#endif
