/* An SMTP reply as a client reads it: RFC 5321 section 4.2, RFC 2034. */
#ifndef MX_SMTP_REPLY_H
#define MX_SMTP_REPLY_H

#include "common/base/buf.h"
#include "common/base/err.h"

/*
 * What one reply may be at most: a peer cannot make us keep more.  Its code is
 * what counts, so that too much text is dropped: a 250 that is not believed
 * for its length would have the mail sent again, and again.
 */
enum {
	SMTP_REPLY_BYTES_MAX = 1 << 18, /* of all lines; more is no SMTP */
	SMTP_REPLY_LINE_MAX = 4096,	/* bytes kept of one line */
	SMTP_REPLY_TEXT_MAX = 8192,	/* bytes kept of all */
};

struct smtp_reply {
	int code;          /* 200..599 */
	char enhanced[12]; /* "5.1.1", or "" */
	const char *made;  /* NULL: the peer said it.  Else we made it up, and
			      this is where: "connect".  Static. */
	struct buf text;   /* text of the lines, code and separator removed,
			      joined by '\n'; no other control bytes */
	/* What it says cannot be relied on: its lines have different codes, or
	 * (is_bare) it is a line without one.  The code is 451, and the text
	 * all that was said. */
	bool is_odd, is_bare;
};

void smtp_reply_fini(struct smtp_reply *r);
void smtp_reply_reset(struct smtp_reply *r); /* ready for the next reply */
void smtp_reply_copy(struct smtp_reply *to, const struct smtp_reply *from);

/* Is a printed reply one we made up? */
bool smtp_reply_is_made(struct span text);
/* The enhanced code that it has, or that goes without saying; empty: it is none
 * of those.  Borrowed. */
struct span smtp_reply_made_status(struct span text);

/* A reply we make up for a fault of ours or of the network (code 4yz). */
void smtp_reply_set(struct smtp_reply *r, int code, const char *enhanced,
		    struct span text);

/*
 * Incremental parser.  Feed it whatever has arrived; it takes whole replies
 * one at a time.  LF alone ends a line, too (liberal in what we accept).
 */
struct smtp_reply_parser {
	size_t lines;
	size_t bytes; /* of this reply so far, kept or not */
	int code;
	bool is_odd;
	struct buf line; /* a line not complete yet */
};

enum smtp_reply_state {
	SMTP_REPLY_MORE, /* *in used up, the reply is not complete */
	SMTP_REPLY_DONE, /* *r holds one reply, *in starts behind it */
	SMTP_REPLY_BAD,  /* not SMTP or over a limit: close the connection */
};

void smtp_reply_parser_fini(struct smtp_reply_parser *p);
enum smtp_reply_state smtp_reply_feed(struct smtp_reply_parser *p,
				      struct span *in, struct smtp_reply *r);

/* A whole reply line or lines without parser state; for tests and records.
 * MX_EINVAL also for an odd one. */
enum mx_err smtp_reply_parse(struct span lines, struct smtp_reply *r);

/*
 * Append "550 5.1.1 text" on one line: lines joined by a space.  What we made
 * up has no code, so that nobody takes it for the words of the peer:
 * "(connect) Connection refused", "(tls) 4.7.5 certificate has expired".
 * Its enhanced code is shown where it says more than that there was no answer
 * (4.4.1, 4.4.2).
 */
void smtp_reply_print(struct buf *out, const struct smtp_reply *r);

#endif
