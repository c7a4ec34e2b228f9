/* The metrics, in the words of Prometheus and OpenMetrics 1.0. */
#ifndef MX_WEB_EXPOSITION_H
#define MX_WEB_EXPOSITION_H

#include "daemon/web/facts.h"

enum exposition {
	EXPOSITION_TEXT,	/* text/plain; version=0.0.4 */
	EXPOSITION_OPENMETRICS, /* application/openmetrics-text; 1.0.0 */
};

/* Append.  Pure. */
void exposition_make(struct buf *out, const struct web_facts *f,
		     enum exposition how);

/* Which is wanted, by the value of the header Accept (NULL: any). */
enum exposition exposition_wanted(const char *accept);

#endif
