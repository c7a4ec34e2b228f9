/* Why a server does not take a recipient from us: what its reply means.  Pure.
 */
#ifndef MX_CHECK_REFUSAL_H
#define MX_CHECK_REFUSAL_H

#include "common/base/span.h"

enum refusal {
	REFUSAL_NONE,	   /* 2yz */
	REFUSAL_GREYLIST,  /* comes back later, and is let in */
	REFUSAL_BLOCKLIST, /* our address is on a list */
	REFUSAL_SPF,
	REFUSAL_REVERSE,   /* our address has no (good) reverse name */
	REFUSAL_RATE,      /* too many of us */
	REFUSAL_TLS,       /* not without TLS */
	REFUSAL_RELAY,     /* the domain is not its own */
	REFUSAL_UNKNOWN,   /* no such mailbox */
	REFUSAL_SENDER,    /* the null sender is refused */
	REFUSAL_BUSY,      /* another 4yz */
	REFUSAL_OTHER,     /* another 5yz */
};

/* text is the reply as printed: "550 5.7.1 ...". */
enum refusal refusal_of(bool is_mail, int code, const char *enhanced,
			struct span text);

#endif
