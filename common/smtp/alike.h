/* Do two replies say the same? */
#ifndef MX_SMTP_ALIKE_H
#define MX_SMTP_ALIKE_H

#include <stdbool.h>

/*
 * The first word and the codes behind it ("550 5.1.1", "ehlo 421 4.3.2") are
 * compared as they are.  Of the rest, words with a digit or an '@' make no
 * difference: numbers, times, ids of sessions and addresses are others each
 * time.
 */
bool smtp_alike(const char *a, const char *b);

#endif
