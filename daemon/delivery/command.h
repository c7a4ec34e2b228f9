/* The lines of a transaction, with the parameters the server offers; pure. */
#ifndef MX_DELIVERY_COMMAND_H
#define MX_DELIVERY_COMMAND_H

#include "common/smtp/ehlo.h"
#include "common/spool/record.h"

/* Append "MAIL FROM:<...> ...\r\n". */
void command_mail(struct buf *out, const struct envelope *env,
		  const struct smtp_ehlo *ehlo);
/* Append "RCPT TO:<...> ...\r\n". */
void command_rcpt(struct buf *out, const struct recipient *rcpt,
		  const struct smtp_ehlo *ehlo);

/* Can it go to this server at all?  NULL: yes; else a reply line as the
 * server would give it. */
const char *command_obstacle(const struct envelope *env,
			     const struct recipient *rcpt,
			     const struct smtp_ehlo *ehlo, bool is_verified);

#endif
