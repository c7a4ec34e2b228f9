/*
 * One report as bytes: what report_make hands to the builder, and the pieces
 * the builder is made of.  Pure: no clock, no spool, no randomness.
 */
#ifndef MX_REPORT_PRIV_H
#define MX_REPORT_PRIV_H

#include "daemon/report/report.h"

/* What of the original is quoted at most: enough to know it again, too little
 * to make a report worth forging a sender for.  One that is longer, and its
 * header is quoted so far (RFC 3461 section 4.3 leaves it to us). */
enum { REPORT_QUOTE_MAX = 4 * 1024 };

struct report {
	struct span hostname;
	uint64_t id;		    /* of the report itself */
	uint64_t nonce;		    /* random: Message-ID and boundary */
	int64_t now_ms;		    /* wall */
	const struct envelope *env; /* of the original */
	struct span domain;	    /* the unit's */
	const struct report_rcpt *rcpts;
	size_t count;
	/* The original from its first byte on, at least up to REPORT_QUOTE_MAX
	 * bytes of it; canonical. */
	struct span original;
	bool original_is_whole;
};

/* What its own envelope must say. */
struct report_needs {
	bool is_8bit; /* BODY=8BITMIME */
	bool is_smtputf8;
};

/*
 * Append the whole message.  Whatever the peer, the sender or the original
 * say: lines are at most 998 octets, there is no control byte in a field, and
 * the boundary occurs in no part.
 */
void report_build(const struct report *r, struct buf *out,
		  struct report_needs *needs);

/* ---- The parts, without their boundary lines (build.c joins them) ---- */

/*
 * Append the address that the report goes to: the reverse-path, its domain in
 * A-labels if that makes it ASCII.  So the report asks no more of the servers
 * on its way than it must (RFC 6531 section 3.2).
 */
void report_reply_path(struct buf *out, struct span from);

/* Some address of it needs UTF-8: the global types of RFC 6533 are used. */
bool report_is_global(const struct report *r);

/* The explanation for people. */
void report_human_add(const struct report *r, struct buf *out);
/* The fields of message/delivery-status, RFC 3464 section 2. */
void report_status_add(const struct report *r, struct buf *out);
/* The original or its header, with the field that says which. */
void report_quote_add(const struct report *r, struct buf *out);

/* "2.0.0" when the caller gave none that is well formed. */
struct span report_status_code(const struct report_rcpt *rcpt);
/* "mx.example.org" out of "mx.example.org[192.0.2.1]:25". */
struct span report_host_name(struct span host);
/* Is the reply what the host said?  Else it is our finding about it. */
bool report_is_answer(const struct report_rcpt *rcpt);
/* The header's Message-ID with its brackets, if it is plain; else empty. */
struct span report_message_id(struct span original);

/* ---- Bytes that cannot break out (safe.c) ---- */

/*
 * "Name: value", as it is on one line: for addresses.  Control bytes become
 * '?', as do octets above 127 unless utf8; cut at 900.
 */
void report_field(struct buf *out, const char *name, struct span value,
		  bool utf8);

/* The same for free text: blanks are collapsed and long values folded. */
void report_field_text(struct buf *out, const char *name, struct span value);

/* Words of value on lines that start with prefix and stay within 76 columns
 * where the words permit; the first line starts at column at. */
void report_wrap(struct buf *out, size_t at, const char *prefix,
		 struct span value);

/* The value alone, cleaned as in report_field. */
void report_clean(struct buf *out, struct span value, bool utf8);

#endif
