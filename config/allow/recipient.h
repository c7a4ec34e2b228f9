/* A line of a recipient file or table; pure. */
#ifndef MX_ALLOW_RECIPIENT_H
#define MX_ALLOW_RECIPIENT_H

#include "common/base/buf.h"
#include "common/smtp/address.h"

/* Without comment and blanks; empty: there is nothing else. */
struct span recipient_strip(struct span line);

/* What is left, as an address or, with an empty domain, a local part alone.
 * False: it is neither, or holds what nobody sees. */
bool recipient_parse(struct span line, struct span text,
		     struct smtp_path *path);

/* Append why it is no recipient. */
void recipient_wrong(struct buf *out, struct span line, struct span text);

#endif
