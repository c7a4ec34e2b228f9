/* What is stored of a message, as values. */
#ifndef MX_SPOOL_RECORD_H
#define MX_SPOOL_RECORD_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/span.h"
#include "common/smtp/command.h"
#include "common/smtp/reply.h"

enum envelope_proto { PROTO_LOCAL, PROTO_SMTP, PROTO_ESMTP };

/* Spans borrow: from the session when it commits, from an arena when read. */
struct envelope {
	uint64_t id;
	int64_t arrived_ms;      /* wall */
	uint64_t bytes;          /* content, our Received field included */
	struct span from;        /* reverse-path; empty: <> */
	struct span client_addr; /* text; of our own DSN: of what it is about,
				    "unknown", or empty when its sender is
				    proven */
	struct span helo;
	struct span envid;       /* xtext */
	struct span tls;         /* "TLSv1.3 ..."; empty: none */
	enum envelope_proto proto;
	enum smtp_body body;
	enum smtp_ret ret;
	bool smtputf8, requiretls, tls_required_no;
	bool is_dsn;             /* made here; goes out by its own route and is
				    never bounced */
};

/*
 * Where a recipient stands.
 *
 *   pending --refused--> refused --final: no report--> shelved
 *      ^                    |                             |
 *      +----undone, or released by the operator-----------+--time over: gone
 *
 * Only pending ones are delivered.  Whatever is refused, shelved or taken has a
 * time at which it is to be looked at again (until_ms).
 */
enum recipient_state {
	RECIPIENT_PENDING,
	RECIPIENT_HELD,    /* failed for good and kept for the operator */
	RECIPIENT_REFUSED, /* failed; not final, or not yet reported */
	RECIPIENT_SHELVED, /* failed for good, nobody is told; kept a while */
	RECIPIENT_TAKEN,   /* delivered; a report of that may be due */
};

/* Why it failed: refused, shelved and held ones. */
enum recipient_failure {
	FAILURE_REFUSED, /* a host said so */
	FAILURE_EXPIRED, /* its lifetime was over */
	FAILURE_UNFIT,   /* no host takes what it is or needs */
};

/* One forward-path that is still here. */
struct recipient {
	uint32_t number;         /* within the message: the key's last part */
	struct span path;        /* local@domain as the client wrote it */
	struct span domain;      /* canonical: the unit's domain */
	struct span orcpt;       /* "type;xtext" */
	unsigned notify;         /* SMTP_NOTIFY_ bits */
	/* what became of it so far */
	uint32_t attempts;
	int64_t attempt_ms;      /* wall time of the last attempt; 0: none */
	struct span last_reply;  /* "450 4.2.1 mailbox busy" */
	struct span last_host;   /* who said it */
	enum recipient_state state;
	enum recipient_failure failure;
	int64_t until_ms;        /* wall; refused: final then; shelved: gone
				    then; else 0 */
};

/* Is it neither pending nor held? */
bool recipient_is_parked(const struct recipient *r);

/* Where a unit stands. */
enum unit_state {
	UNIT_READY,
	UNIT_DEFERRED,
	UNIT_HELD,
	UNIT_REFUSED /* none of its recipients is pending, and one is parked */
};

/* One message for one domain. */
struct unit {
	struct arena arena;      /* owns everything the spans point at */
	struct envelope envelope;
	struct span domain;
	enum unit_state state;
	struct span hold_reason; /* held only; empty: none was given */
	bool is_held_alone;      /* by itself, whatever its domain is */
	int64_t due_ms;          /* wall; deferred only */
	int64_t expires_ms;      /* wall; when the lifetime ends */
	struct recipient *rcpts;
	size_t rcpt_count;
	uint32_t message_units;  /* that the message still has, this one too */
};

/* NULL is fine. */
void unit_free(struct unit **u);

/* Append its recipients as the log lists them (log_list_path). */
void unit_list_rcpts(const struct unit *u, struct buf *out);

/* A domain's row: what `status` shows without touching its messages. */
struct spool_domain {
	char name[256];
	uint64_t units;          /* messages with pending recipients here */
	uint64_t bytes;          /* sum of their envelope.bytes */
	int64_t oldest_ms;       /* arrival of the oldest; 0: none */
	uint64_t ready, deferred, held, refused; /* sum is units */
	uint64_t refused_bytes; /* of bytes; less when some were refused before
				   this was counted */
	bool is_held;            /* the whole domain, by whomever */
	bool is_unlisted;        /* its line went while mail waited */
	char hold_reason[256];
	char hold_pattern[256];  /* the pattern whose hold it is; "": its own */
	char destination[512];   /* route key last used: ties it to targets */
};

/* Last known state of a target; survives a restart. */
struct spool_target {
	char name[300];          /* "mx.example.org[192.0.2.1]:25" */
	bool is_up;
	int64_t since_ms;        /* wall */
	int64_t checked_ms;      /* wall: last heard of; 0: an earlier version's
				    row, then not later than since_ms */
	char last_reply[512];
	char ehlo[256];
	int64_t ehlo_ms;         /* wall: when it last said that; 0: never, or
				    it is not known */
	uint32_t latency_ms;     /* good-day reply latency */
};

enum spool_known_what {
	KNOWN_NO, /* the primary has no such recipient */
	KNOWN_YES,
	/* of a domain, by a made-up recipient: */
	KNOWN_SELECTIVE, /* its primary refuses strangers */
	KNOWN_CATCH_ALL, /* it takes everyone */
	KNOWN_WHATS,
};

/* What is known of a recipient. */
enum { SPOOL_KNOWN_REPLY_MAX = 160 };
struct spool_known {
	enum spool_known_what what;
	bool is_asked;	      /* by a callout, else in a delivery */
	int64_t at_ms;	      /* wall: when it was learned */
	uint64_t destination; /* from whom, as a number: whose down time */
	int64_t down_ms;      /* ... was so much by then */
	char reply[SPOOL_KNOWN_REPLY_MAX + 1]; /* its words */
};

#endif
