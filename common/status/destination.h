/*
 * How a destination does, as a value: filled by the daemon, which knows, or by
 * what the spool remembers (memory.h); status.h makes JSON of it.
 */
#ifndef MX_STATUS_DESTINATION_H
#define MX_STATUS_DESTINATION_H

#include "common/base/span.h"
#include "common/status/braked.h"

/* Times are wall milliseconds; 0: unknown, never, none. */
struct status_target {
	struct span name;  /* "mx.example.org[192.0.2.1]:25" */
	const char *state; /* "unknown" "probing" "up" "down" */
	int64_t since_ms, checked_ms;
	struct span last_reply;
	/* Its replies did not match our commands: till then one at a time, and
	 * nothing is relayed; the spool does not remember it. */
	int64_t mismatch_ms;
};

struct status_destination {
	const char *state; /* the same */
	bool is_down;	   /* also while it is probed again */
	int64_t since_ms;
	int64_t next_probe_ms;
	int64_t checked_ms; /* last heard of */
	struct span last_reply;
	struct span name;	 /* the route's key; empty: not known */
	const char *hold_name;	 /* of a hold of destinations that it is under;
				    NULL: of none, or not known */
	const char *hold_reason; /* NULL: it is not held */
	const struct braked *braked; /* why nothing goes there although it
					answers; NULL: the brake is not pulled */
	bool is_strangers;	 /* no domain of it is listed: where reports
				    of ours go, for one */
	int connections;	 /* -1: not known */
	enum { STATUS_LISTED_UNKNOWN, STATUS_LISTED, STATUS_UNLISTED } listed;
	const struct status_target *targets;
	size_t target_count;
};

#endif
