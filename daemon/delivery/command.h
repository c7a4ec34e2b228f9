/* The lines of a transaction, with the parameters the server offers; pure. */
#ifndef MX_DELIVERY_COMMAND_H
#define MX_DELIVERY_COMMAND_H

#include "common/smtp/ehlo.h"
#include "common/spool/record.h"

/* Append "MAIL FROM:<...> ...\r\n".  offered: SMTP_EXT_ bits to make use
 * of. */
void command_mail(struct buf *out, const struct envelope *env,
		  unsigned offered);
/* Append "RCPT TO:<...> ...\r\n". */
void command_rcpt(struct buf *out, const struct recipient *rcpt,
		  unsigned offered);

/* The extensions whose parameters the line carries where they are offered,
 * but that the mail can go without. */
unsigned command_mail_options(const struct envelope *env);
unsigned command_rcpt_options(const struct recipient *rcpt);

/* What keeps it from going to this server at all? */
enum command_lack {
	LACKS_NOTHING,
	LACKS_SIZE,	  /* it is larger than the server takes */
	LACKS_SMTPUTF8,
	LACKS_REQUIRETLS,
	LACKS_AUTHENTICATION, /* and REQUIRETLS wants it */
};
enum command_lack command_lack(const struct envelope *env,
			       const struct recipient *rcpt,
			       const struct smtp_ehlo *ehlo, bool is_verified);

/* The same as a reply line, as the server would give it; NULL: nothing. */
const char *command_obstacle(const struct envelope *env,
			     const struct recipient *rcpt,
			     const struct smtp_ehlo *ehlo, bool is_verified);

#endif
