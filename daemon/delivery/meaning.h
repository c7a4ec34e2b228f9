/* What a reply means for mail; pure. */
#ifndef MX_DELIVERY_MEANING_H
#define MX_DELIVERY_MEANING_H

#include "common/smtp/reply.h"

enum meaning {
	MEANS_YES,
	MEANS_LATER, /* transient: for these recipients, not for the host */
	MEANS_NEVER, /* permanent */
	MEANS_FULL,  /* too many recipients: the next transaction */
};

/* A reply to MAIL, DATA, BDAT or the final dot. */
enum meaning meaning_of(const struct smtp_reply *r);

/* A reply to RCPT when so many were accepted before it in the transaction. */
enum meaning meaning_of_rcpt(const struct smtp_reply *r, size_t accepted);

/* Where nothing was accepted yet in the transaction, but something earlier in
 * the session: has the session carried all that it may? */
bool meaning_is_spent(const struct smtp_reply *r);

/* May it be the parameters or the extension that were refused, and not the
 * mail? */
bool meaning_is_about_options(const struct smtp_reply *r);

/* May it be that the command, as such, came at a time the server did not want
 * it: ahead of a reply, perhaps? */
bool meaning_is_about_order(const struct smtp_reply *r);

/* Does it say something about the host: it leaves, or is too busy? */
bool meaning_is_leaving(const struct smtp_reply *r);

#endif
