/* The arguments of SMTP commands: RFC 5321, 1870, 3030, 3461, 6152, 6531,
 * 8689. */
#ifndef MX_SMTP_COMMAND_H
#define MX_SMTP_COMMAND_H

#include "common/smtp/address.h"

/* Why an argument was not taken; the session turns it into a reply. */
enum smtp_syntax {
	SMTP_SYNTAX_OK,
	SMTP_SYNTAX_BAD,        /* 501 5.5.4: not this command's form */
	SMTP_SYNTAX_PATH,       /* 501 5.1.7 (MAIL) or 5.1.3 (RCPT) */
	SMTP_SYNTAX_PARAMETER,  /* 501 5.5.4: bad value, or given twice */
	SMTP_SYNTAX_UNKNOWN,    /* 555 5.5.4: parameter not offered */
	SMTP_SYNTAX_UTF8,       /* 553 5.6.7: non-ASCII without SMTPUTF8 */
};

/* The extensions we know; a row each in extension.c. */
enum {
	SMTP_EXT_PIPELINING = 1 << 0,
	SMTP_EXT_SIZE = 1 << 1,
	SMTP_EXT_8BITMIME = 1 << 2,
	SMTP_EXT_SMTPUTF8 = 1 << 3,
	SMTP_EXT_CHUNKING = 1 << 4,
	SMTP_EXT_DSN = 1 << 5,
	SMTP_EXT_ENHANCED = 1 << 6,
	SMTP_EXT_STARTTLS = 1 << 7,
	SMTP_EXT_REQUIRETLS = 1 << 8,
	SMTP_EXT_ETRN = 1 << 9,
	SMTP_EXT_LIMITS = 1 << 10,
};

enum smtp_body { SMTP_BODY_NONE, SMTP_BODY_7BIT, SMTP_BODY_8BITMIME };
enum smtp_ret { SMTP_RET_NONE, SMTP_RET_FULL, SMTP_RET_HDRS };

/* NOTIFY as bits; 0 is "not given" (RFC 3461 section 4.1). */
enum {
	SMTP_NOTIFY_NEVER = 1,
	SMTP_NOTIFY_SUCCESS = 2,
	SMTP_NOTIFY_FAILURE = 4,
	SMTP_NOTIFY_DELAY = 8,
};

struct smtp_mail {
	struct smtp_path from;
	bool has_size;
	uint64_t size; /* bytes the client announces */
	enum smtp_body body;
	enum smtp_ret ret;
	struct span envid; /* xtext as it came; empty: none */
	bool smtputf8;
	bool requiretls;
};

struct smtp_rcpt {
	struct smtp_path to;
	unsigned notify;
	struct span orcpt; /* "type;xtext" as it came; empty: none */
	bool is_ascii;	   /* to print: nothing beyond ASCII may be said */
};

/*
 * line is what stands behind "MAIL " or "RCPT ": "FROM:<a@b> SIZE=1".
 * Blanks around the path, which the grammar forbids but some clients send,
 * are accepted; an ENVID or ORCPT that is not what RFC 3461 says is as if it
 * had not been given.  offered: SMTP_EXT_ bits of this session (a MAIL
 * parameter of an extension that is not offered is UNKNOWN).  utf8: the
 * transaction has SMTPUTF8 (for RCPT).  Spans borrow from line.
 */
enum smtp_syntax smtp_mail_parse(struct span line, unsigned offered,
				 struct smtp_mail *out);
enum smtp_syntax smtp_rcpt_parse(struct span line, unsigned offered, bool utf8,
				 struct smtp_rcpt *out);

/* Append the parameters that say so, " SIZE=1000 BODY=8BITMIME": those of
 * extensions that are offered.  An ORCPT beyond ASCII has its 7-bit form where
 * SMTPUTF8 is not, and is left out if that is too long. */
void smtp_mail_print(struct buf *out, const struct smtp_mail *m,
		     unsigned offered);
void smtp_rcpt_print(struct buf *out, const struct smtp_rcpt *r,
		     unsigned offered);
/* SMTP_EXT_ bits of the extensions whose parameters these would be. */
unsigned smtp_mail_used(const struct smtp_mail *m);
unsigned smtp_rcpt_used(const struct smtp_rcpt *r);

/* "1000" or "1000 LAST" (RFC 3030 section 2). */
enum smtp_syntax smtp_bdat_parse(struct span line, uint64_t *size, bool *last);

/* RFC 3461 section 4: decode xtext; false when it is not. */
bool smtp_xtext_decode(struct buf *out, struct span xtext);

/* RFC 6533 section 3: append an address of the type utf-8 as it must be where
 * there is no SMTPUTF8, each character beyond ASCII as "\x{E9}". */
void smtp_utf8_xtext_add(struct buf *out, struct span address);

#endif
