/* The SMTP extensions: what each adds to EHLO, MAIL and RCPT, in one table. */
#ifndef MX_SMTP_EXTENSION_H
#define MX_SMTP_EXTENSION_H

#include "common/smtp/ehlo.h"

enum smtp_verb { SMTP_MAIL, SMTP_RCPT };

enum { SMTP_EXTENSIONS = 11, SMTP_PARAMETERS = 2, SMTP_VERBS = 2 };

/* in and out are a struct smtp_mail or a struct smtp_rcpt. */
struct smtp_parameter {
	const char *keyword;
	/* What is wrong in its value is as if it had not been given: see
	 * read_parameter.  read leaves *out alone then. */
	bool is_hint;
	/* value.p is NULL without "="; utf8: the transaction has SMTPUTF8. */
	enum smtp_syntax (*read)(struct span value, bool utf8, void *out);
	/* Append "=value", if it has one.  False: it is not to be said. */
	bool (*write)(struct buf *out, const void *in);
};

struct smtp_extension {
	const char *keyword;
	unsigned bit;
	unsigned line; /* of our reply to EHLO, from 1; 0: none is ours */
	/* What stands behind the keyword; NULL: nothing does. */
	void (*read)(struct span arguments, struct smtp_ehlo *out);
	void (*write)(struct buf *out, const struct smtp_ehlo *e);
	/* Written and read in the order of the table. */
	struct smtp_parameter parameters[SMTP_VERBS][SMTP_PARAMETERS];
};

extern const struct smtp_extension smtp_extensions[SMTP_EXTENSIONS];

#endif
