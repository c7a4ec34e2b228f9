/*
 * The day's digest of a domain, for its postmaster: what its own mail server
 * refused and this host keeps on the shelf.  Pure but for report_clean's like:
 * values in, a message out; no clock, spool or randomness.
 *
 *   digest_due      when is one due, and about which time?
 *   digest_add      units, one after the other: grouped and counted
 *   digest_build    the message
 *
 * All is bounded, whatever waits and whatever strangers wrote: so many groups,
 * senders of each and bytes; what is left out is counted and said.
 */
#ifndef MX_REPORT_DIGEST_H
#define MX_REPORT_DIGEST_H

#include "common/base/buf.h"
#include "common/spool/record.h"
#include "common/status/outage.h"

enum {
	DIGEST_BYTES_MAX = 64 * 1024, /* of the message */
	DIGEST_GROUPS_MAX = 64,	      /* that are told apart */
	DIGEST_NAMES_MAX = 16,	      /* senders, or recipients, of each */
	DIGEST_OUTAGES_MAX = 5,
};

/* ---- When ---- */

/*
 * Once a day, between 5 and 6 o'clock UTC: each domain at its own second.  A
 * digest is about what came on the shelf behind from_ms, up to until_ms (wall).
 * last_ms: until_ms of the one before; 0: there was none.  False: none is due.
 * A day that was missed is made up for by one; of a last_ms that a wrong clock
 * has left ahead nothing is kept.
 */
struct digest_span {
	int64_t from_ms, until_ms;
};
bool digest_due(struct span domain, int64_t last_ms, int64_t now_ms,
		struct digest_span *out);

/* ---- What ---- */

struct digest_name {
	struct buf name; /* as it came; "" is <> */
	uint64_t count;
};

/* Those that were refused in the same words, but for addresses and ids. */
struct digest_group {
	struct buf key, reply; /* reply: of the first */
	enum recipient_failure failure;
	uint64_t recipients;
	struct digest_name from[DIGEST_NAMES_MAX], to[DIGEST_NAMES_MAX];
	size_t from_count, to_count;
	uint64_t from_others, to_others; /* recipients, with other names */
	uint64_t first_id;
};

struct digest {
	struct span domain, hostname; /* borrowed */
	struct digest_span about;
	int64_t shelf_ms; /* how long the shelf keeps */
	int64_t now_ms;
	uint64_t messages, recipients; /* new ones */
	uint64_t before;	       /* messages from days before */
	int64_t first_end_ms;	       /* when the first of all goes; 0: none */
	struct digest_group *groups[DIGEST_GROUPS_MAX];
	size_t group_count;
	uint64_t other_recipients; /* in no group */
	/* of the same time; borrowed by nobody */
	struct buf outage_keys[DIGEST_OUTAGES_MAX],
		outage_values[DIGEST_OUTAGES_MAX];
	size_t outage_count;
	uint64_t outages_left_out;
};

/* All zero but for the first four is the start. */
void digest_fini(struct digest *d);
/* Those of its recipients that are on the shelf.  Our own reports, and digests,
 * do not count. */
void digest_add(struct digest *d, const struct unit *u);
/* An outage's fact, if the domain is named in it and it was in that time. */
void digest_add_outage(struct digest *d, struct span key, struct span value);

/* ---- The message ---- */

/* Append it; 7bit, lines of at most 78 octets, at most DIGEST_BYTES_MAX.  Only
 * if something is new. */
void digest_build(struct digest *d, uint64_t id, uint64_t nonce,
		  struct buf *out);

#endif
