/* What the spool has of the past: outages, and how full it was. */
#ifndef MX_WEB_PAST_H
#define MX_WEB_PAST_H

#include "daemon/web/facts.h"

/* Into the facts, out of this view; what cannot be read is left out. */
void past_load(struct arena *a, struct spool *view, struct web_facts *f);

#endif
