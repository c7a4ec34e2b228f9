/* The page for people: one document, without script, its pictures made here.
 * Pure. */
#ifndef MX_WEB_PAGE_H
#define MX_WEB_PAGE_H

#include "daemon/web/facts.h"

/* Append. */
void page_make(struct buf *out, const struct web_facts *f);

#endif
