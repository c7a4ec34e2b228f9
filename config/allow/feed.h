/*
 * A URL whose table is fetched: one object in the process for all domains and
 * all snapshots that name it.  The table in force is replaced under them, by
 * the loop alone; everything else about it is kept under a lock.
 */
#ifndef MX_ALLOW_FEED_H
#define MX_ALLOW_FEED_H

#include "config/allow/table.h"

struct feed;

/*
 * That of a URL.  The first to ask reads the last good copy, if the folder
 * (NUL behind it) has one; why says what is wrong with it.  Blocks, then.
 * Thread-safe, as all below that do not say otherwise.
 */
struct feed *feed_get(struct span url, struct span folder, struct buf *why);
struct feed *feed_ref(struct feed *f);
void feed_unref(struct feed **f);

/* As it is written, and without user and password. */
const char *feed_url(const struct feed *f);
const char *feed_shown(const struct feed *f);

/* The loop alone: the table in force; NULL: there was never one. */
const struct table *feed_table(const struct feed *f);
/* The loop alone: put this one in its place, and the former one in *t. */
void feed_swap(struct feed *f, struct table **t, struct copy_head *head);

/* What the server said of the copy, to ask for another one only. */
void feed_head(struct feed *f, struct copy_head *out);
/* Is there a table?  Then why a new one is not believed: table_doubt. */
bool feed_doubts(struct feed *f, const struct table *now, struct buf *why);

/* How it does; times in wall ms, 0: never. */
struct feed_state {
	bool has_table;
	uint64_t count;	   /* all of them, or of the domain asked for */
	int64_t fetched_ms; /* when the server last said that this is so */
	int64_t failed_ms; /* since when that fails; 0: it does not */
	bool is_doubted;   /* what it serves now is not believed */
	char error[200];   /* why, in printable ASCII; "": it does not */
};
/* domain: a domain or pattern, or empty. */
void feed_state(struct feed *f, struct span domain, struct feed_state *out);

/* The server said so just now: what we have is how it is. */
void feed_confirm(struct feed *f, int64_t now_ms);
/* It did not, or what it serves is not believed.  True: that is news. */
bool feed_fail(struct feed *f, struct span why, bool is_doubted,
	       int64_t now_ms);

#endif
