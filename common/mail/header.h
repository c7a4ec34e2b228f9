/* What must be known of a message's header, found while it streams by. */
#ifndef MX_MAIL_HEADER_H
#define MX_MAIL_HEADER_H

#include "common/base/buf.h"

enum { MAIL_MSGID_MAX = 200 };

/*
 * Scans canonical content (common/smtp/content.h) fed in pieces of any size;
 * constant memory.  All zero is the start.  The header section ends at the
 * first empty line, or at a line that can be no header field (mail without a
 * header is all body).
 */
struct mail_scan {
	unsigned received;      /* Received: fields (RFC 5321 section 6.3) */
	bool tls_required_no;   /* "TLS-Required: No" (RFC 8689 section 5) */
	bool done;              /* the header section is over */
	bool any;               /* a field was seen */
	unsigned char state, value; /* in the line, in a TLS-Required field */
	unsigned char length;   /* of the field name being read */
	unsigned char msgid_n;
	char name[16];
	char msgid[MAIL_MSGID_MAX]; /* of the first Message-ID, without blanks
				       and folds; cut when it is longer */
};

void mail_scan_feed(struct mail_scan *s, struct span content);

/* Received field, RFC 5321 section 4.4: what we know of the hop. */
struct mail_received {
	struct span helo;        /* as the client said it */
	struct span client_addr; /* "192.0.2.1", "2001:db8::1" */
	struct span by;          /* our hostname */
	struct span with;        /* SMTP, ESMTP, ESMTPS, UTF8SMTP, ... */
	struct span tls;         /* "TLSv1.3 cipher ..."; empty: none */
	uint64_t id;
	struct span rcpt;        /* the only recipient; empty: several */
	int64_t wall_ms;
};

/* Append the folded field, CRLF at its end.  Nothing the peer said can break
 * the header: control bytes and parentheses are replaced. */
void mail_received_add(struct buf *out, const struct mail_received *r);

/* Append an RFC 5322 section 3.3 date in local time: "Sat, 21 Nov 2026
 * 21:34:38 +0000". */
void mail_date_add(struct buf *out, int64_t wall_ms);

/* Append "<id.random@host>". */
void mail_message_id_add(struct buf *out, uint64_t id, uint64_t nonce,
			 struct span host);

#endif
