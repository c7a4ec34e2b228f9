/* Reports to the sender: RFC 3461, 3464, 6522. */
#ifndef MX_REPORT_REPORT_H
#define MX_REPORT_REPORT_H

#include "config/config.h"
#include "common/spool/spool.h"

enum report_action { REPORT_FAILED, REPORT_DELAYED, REPORT_RELAYED };

/* Why it failed: the words to the sender go by it, not by a code alone. */
enum report_cause {
	REPORT_REFUSED, /* the host said so */
	REPORT_EXPIRED, /* the lifetime is over; reply is the last there was */
	REPORT_UNFIT,	/* it was not sent: no host takes what it is or needs */
	REPORT_OPERATOR, /* the operator of this host gave it up */
};

struct report_rcpt {
	const struct recipient *rcpt;
	enum report_action action;
	enum report_cause cause; /* of a failure */
	struct span status;	 /* "5.1.1" */
	struct span reply;	 /* the peer's words, "550 5.1.1 ..." */
	struct span host;	 /* whose words, or whom it is about; empty: we
				    speak */
	int64_t attempt_ms;	 /* wall; 0: none */
	int64_t retry_until_ms;	 /* wall, delayed only */
};

/*
 * Is a report due for this recipient of this envelope?  Never to <>, never
 * for our own DSNs, never against NOTIFY (RFC 3461 section 4.1).  RELAYED is
 * for a next hop that does not offer DSN: when it does, SUCCESS is its
 * business.
 */
bool report_is_due(const struct envelope *env, const struct recipient *rcpt,
		   enum report_action action);

/*
 * Make one report about these recipients (at least one) of the unit's message
 * into a draft for spool_settle or spool_warned.  On an error there is no
 * draft (MX_ESPACE, MX_EIO: try again later).  out->rcpt and envelope borrow
 * from the unit's arena.  Reads the spool, never waits for the disk's sync.
 *
 * Its envelope has the client of the original: what the report is to be proven
 * by when it leaves.
 */
enum mx_err report_make(struct spool *sp, const struct config *config,
			struct unit *unit, const struct report_rcpt *rcpts,
			size_t count, int64_t now_ms, struct spool_report *out);
/* It is proven already, or the operator's word: nothing is asked then. */
void report_is_proven(struct spool_report *report);

#endif
