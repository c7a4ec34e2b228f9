/*
 * What became of recipients that have left, as the spool keeps it: written by
 * the daemon (daemon/history/traces.h), read by whoever looks for them.
 *
 * The fact "trace:HHHHHHHHHHHHHHHH", where H are the bits of a serial number
 * turned over, in hexadecimal: the order of the keys is the newest first.  The
 * value is text, a line for each recipient, the oldest first, with tabs
 * between
 *
 *   1790003600000 1790000000000 01JD8X4Z7QG00 delivered a@x.example b@y.example
 *   mx.y.example[192.0.2.1]:25 250 2.0.0 Ok: queued as 4XyZ12
 *
 * when it left and had come, its queue id, what became of it, sender, recipient,
 * host, the host's words.
 */
#ifndef MX_STATUS_TRACE_H
#define MX_STATUS_TRACE_H

#include <jansson.h>

#include "common/status/pattern.h"
#include "common/status/status.h"

enum {
	TRACE_ROWS = 4096,	/* that are kept */
	TRACE_ROW_BYTES = 4000, /* a page of the spool's file */
	TRACE_LINE_MAX = 1200,
};
#define TRACE_KEPT_MS DAYS(31)
#define TRACE_PREFIX SPAN_LIT("trace:")

/* A value; the spans borrow.  Times are wall milliseconds. */
struct trace {
	int64_t left_ms, arrived_ms;
	uint64_t id;
	struct span how; /* "delivered", "bounced" */
	struct span from, to, host, reply;
};

void trace_key(struct buf *out, uint64_t serial);
bool trace_key_parse(struct span key, uint64_t *serial);
/* Append its line, TRACE_LINE_MAX octets at most.  What would not be read back
 * as it is becomes a space; long words are cut. */
void trace_add(struct buf *row, const struct trace *t);
/* Is it such a fact, and too old to be kept?  Pure. */
bool trace_is_over(struct span key, struct span value, int64_t now_ms);

/* What is looked for: an address or a part of one with its at sign (as
 * pattern.h), else our queue id, or a word of a host's reply. */
struct trace_filter {
	struct pattern either; /* the sender or the recipient */
	uint64_t id;	       /* 0: none */
	struct buf word;
};
/* False: it can be none of these; to be released in either case. */
bool trace_filter_take(struct trace_filter *f, struct span word);
void trace_filter_fini(struct trace_filter *f);

/* What the daemon has in memory: rows that may not be in the spool yet. */
struct trace_recent {
	struct span rows[2]; /* the newer first */
	uint64_t serial;     /* of the older one */
};

/*
 * A page of those that match: {"id","arrival","time","outcome","from","to",
 * "host","reply"}, the newest rows first.  It may be empty and have a next
 * one.  recent: NULL for none.
 */
enum mx_err status_traces(struct spool *sp, struct trace_filter *f,
			  struct span after, const struct trace_recent *recent,
			  struct status_page *out);

#endif
