/* What the documents are made of: one moment of the daemon, as values. */
#ifndef MX_WEB_FACTS_H
#define MX_WEB_FACTS_H

#include "common/base/arena.h"
#include "common/base/metrics.h"
#include "common/spool/spool.h"
#include "common/status/curve.h"
#include "common/status/destination.h"
#include "common/status/outage.h"

enum {
	WEB_LABELLED = 100,  /* destinations with metrics of their own */
	WEB_SHOWN = 1000,    /* destinations on the page */
	WEB_DOMAINS = 10000, /* domains in /api/status */
	WEB_OUTAGES = 500,   /* outages on the page */
};

/* All that waits for one destination, and how that does. */
struct web_destination {
	struct span name; /* the route's key; unique */
	uint64_t messages, bytes;
	uint64_t held, refused; /* of the messages */
	uint64_t domain_count;
	int64_t oldest_ms;  /* wall; 0: nothing waits */
	struct span domain; /* the one with most mail; empty: none has any */
	uint64_t domain_messages;
	struct status_destination state;
};

struct web_facts {
	int64_t now_ms;	   /* wall */
	bool is_loop_well; /* else what the loop knows is missing, or old */
	struct span hostname;
	struct metrics metrics;
	struct spool_totals totals;
	int64_t started_ms; /* wall */
	/* those with most mail first */
	struct web_destination *destinations;
	size_t destination_count;
	uint64_t all_destinations; /* that mail waits for */
	/* of the page alone: */
	struct outage *outages; /* the newest first */
	size_t outage_count;
	struct curve_sample *curve; /* the oldest first */
	size_t curve_count;
};

#endif
