/* https://[USER:PASSWORD@]HOST[:PORT]/PATH, as a source of recipients; pure. */
#ifndef MX_ALLOW_URL_H
#define MX_ALLOW_URL_H

#include "common/base/buf.h"

/* Is it meant to be a URL (and not a file)? */
bool url_is_one(struct span word);
/* What is wrong with it, as a phrase, which never holds any of it; NULL: it is
 * one that can be fetched. */
const char *url_wrong(struct span url);
/* The user, as it is written; empty: none. */
struct span url_user(struct span url);
/* Append it without user and password: for the log, and for people. */
void url_show(struct buf *out, struct span url);

#endif
