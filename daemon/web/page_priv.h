/* The parts of page.h: each appends a section. */
#ifndef MX_WEB_PAGE_PRIV_H
#define MX_WEB_PAGE_PRIV_H

#include "daemon/web/html.h"
#include "daemon/web/page.h"

/* How one does, in a word. */
enum mood { MOOD_GOOD, MOOD_BUSY, MOOD_WARN, MOOD_BAD, MOOD_NONE };
const char *mood_class(enum mood m); /* "good" ... */
enum mood mood_of(const struct web_destination *d);
bool page_is_down(const struct web_destination *d);

/* A heading opens a section; page_close ends it. */
void page_open(struct buf *out, const char *id, const char *title);
void page_close(struct buf *out);
/* A bar that is so full, of 0 to 1. */
void page_bar(struct buf *out, double share, const char *class);

/* A route's key: the hosts, and behind them, less loud, how safely. */
void page_name(struct buf *out, struct span name);

void page_waits(struct buf *out, const struct web_facts *f);
void page_drains(struct buf *out, const struct web_facts *f);
void page_curve(struct buf *out, const struct web_facts *f);
void page_outages(struct buf *out, const struct web_facts *f);
void page_refused(struct buf *out, const struct web_facts *f);

#endif
