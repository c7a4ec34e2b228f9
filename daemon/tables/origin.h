/* Where a URL leads, for redirects; pure. */
#ifndef MX_TABLES_ORIGIN_H
#define MX_TABLES_ORIGIN_H

#include "common/base/buf.h"

/* Append "https://host:443".  False: it is no URL. */
bool origin_add(struct buf *out, const char *url);
/* Scheme, host and port are the same. */
bool origin_is_same(const char *a, const char *b);

#endif
