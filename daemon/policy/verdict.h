/* What the gate says: go on, or a reply in words of its own. */
#ifndef MX_POLICY_VERDICT_H
#define MX_POLICY_VERDICT_H

#include "common/base/span.h"
#include "config/allow/domains.h"

enum {
	/* With code, enhanced code and CRLF a reply line of at most 512 octets
	 * (RFC 5321 section 4.5.3.1.5). */
	VERDICT_TEXT_MAX = 480,
	VERDICT_LINE_MAX = 512,
};

struct verdict {
	int code; /* 0: go on, and nothing else below means anything */
	char enhanced[12];
	char text[VERDICT_TEXT_MAX + 1]; /* printable ASCII */
	/* Both static, for people: "unknown_recipient", and the setting that
	 * is behind it: "limits.hops"; "": none can change it. */
	const char *reason, *setting;
	/* The line of the allowlist that has the option; 0: mx20.conf does, or
	 * nothing has. */
	unsigned line;
	/* The recipient is none: somebody who has many of these guesses. */
	bool is_guess;
	/* It counts against limits.errors; all 5yz do. */
	bool is_error;
};

/* Words that are ours and fixed, in one table. */
enum verdict_id {
	V_GO,
	V_BUSY,
	V_CLIENT_BUSY,
	V_CLIENT_FAST,
	V_NOT_A_PROXY,
	V_EARLY,
	V_NO_TLS, /* RFC 3207 section 4 */
	V_RATE_MESSAGES,
	V_RATE_UNKNOWN,
	V_RCPT_EMPTY,
	V_RCPT_NO_DOMAIN,
	V_RCPT_BAD_DOMAIN,
	V_RCPT_LITERAL,
	V_RCPT_FOREIGN,
	V_RCPT_ROUTED, /* for another domain behind ours */
	V_RCPT_LEFT, /* foreign since a moment ago */
	V_RCPT_UNKNOWN,
	V_RCPT_UNTOLD,	   /* his list was never read */
	V_RCPT_UNVERIFIED, /* his primary was asked, and did not say */
	V_RCPT_UNREACHED,  /* nobody can be asked now */
	V_RCPT_NOT_NOW,	   /* either, with unknown=reject */
	V_STANDBY,	   /* his primary answers: it is to be asked */
	V_QUOTA,
	V_SUBDOMAINS, /* mail for too many made-up ones waits */
	V_NULL_MX, /* RFC 7505 section 4.1 */
	V_TOO_LARGE_THERE, /* for the primary, not for us */
	V_NO_UTF8_THERE,   /* RFC 6531 section 3.5 */
	V_NO_REQUIRETLS_THERE, /* RFC 8689 section 4.2.1 */
	V_LOOP,
	V_COUNT,
};

void verdict_set(struct verdict *v, enum verdict_id id);
/* The same about a domain (NULL: of none): what its own line says is named
 * where that decided. */
void verdict_set_for(struct verdict *v, enum verdict_id id,
		     const struct config_domain *row);

/*
 * The words of somebody else: a primary, a milter, a list.  Whatever they are,
 * they become one line of printable ASCII that fits: lines are joined, what
 * does not show is a '?', what is too long is cut.  A code that refuses nothing
 * becomes 451; an enhanced code that is none, or not of the code's class (RFC
 * 2034 section 4), becomes "4.0.0" or "5.0.0".  reason and setting are static.
 */
void verdict_say(struct verdict *v, int code, struct span enhanced,
		 struct span text, const char *reason, const char *setting);

/* The same for words that may also be those of a yes: a code of 200 to 599
 * stays. */
void verdict_echo(struct verdict *v, int code, struct span enhanced,
		  struct span text, const char *reason, const char *setting);

/* "550 5.1.1 No such recipient here" with its CRLF, in line. */
struct span verdict_line(const struct verdict *v,
			 char line[static VERDICT_LINE_MAX]);

#endif
