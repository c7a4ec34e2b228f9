/*
 * A row of a table of options, and the kinds of values there are: what each
 * accepts, how it is stored.  mx20.conf and the allowlist are read by such
 * tables.  Pure.
 */
#ifndef MX_VALUE_KIND_H
#define MX_VALUE_KIND_H

#include "common/base/buf.h"

enum option_kind {
	K_COUNT, K_PORT, K_BOOL, K_SHARE, K_SIZE, K_TIME, K_TIMES,
	K_TLS, K_BOUNCE, K_UNKNOWN, K_STANDBY, K_AWAY, K_LOG,
	K_TEXT, K_PATH, K_PATHS, K_HOST, K_MAILBOX, K_HOP, K_HOPS,
	K_ALIASES, K_SERVERS, K_BIND, K_NETWORKS, K_LISTEN, K_DNSBL,
	K_RECIPIENTS, K_SIGN, K_PLACE,
};

enum {
	HAS_RANGE = 1,     /* from least to most */
	MAY_BE_EMPTY = 2,  /* "" is a value, too: none, or 0 */
	NEEDS_RESTART = 4, /* text that is looked at once, at the start */
};

struct option {
	const char *path;      /* "limits.hops"; in the allowlist "tls" */
	enum option_kind kind;
	unsigned flags;
	size_t field, count;   /* offset of the value, or of the array and of
				* its length */
	int64_t least, most;   /* ms, bytes or plain */
	const char *dflt;      /* as it would stand in the file; NULL: none */
	const char *help;
};

/* Where text and arrays of a value live. */
struct keeper {
	void *(*alloc)(void *arg, size_t count, size_t size); /* zeroed */
	void *arg;
};

struct kind {
	const char *what;    /* "a port", "one of" */
	const char *example; /* as in mx20.conf; or NULL */
	const char *word;    /* as in the allowlist; or NULL */
	size_t size;         /* of the field, or of one element */
	enum { ONE, MANY, ONE_OR_MANY } shape;
	/* What stands in mx20.conf.  A quantity may go without its quotes. */
	enum { TEXT, PATH, NUMBER, FRACTION, QUANTITY, TRUTH, GROUP,
	       PLACE /* an address and port, else a path */ } form;
	bool (*take)(const struct option *o, struct span text,
		     const struct keeper *k, void *out);
};
extern const struct kind kinds[];

/* Take one value, or one element of many, as text.  False: it is not of this
 * kind, out of range, or empty. */
bool kind_take(const struct option *o, struct span text,
	       const struct keeper *k, void *out);
/* All of a word of the allowlist, with commas between many, into the fields of
 * base. */
bool kind_take_word(const struct option *o, struct span word,
		    const struct keeper *k, void *base);

/* Is it a number of nobody knows what?  Then append what is wrong with it. */
bool kind_lacks_unit(const struct option *o, struct span text, struct buf *why);

/* Append what the option accepts: "a whole number, from 1 to 1000"; the
 * example is the one given, if any. */
void kind_accepts(struct buf *out, const struct option *o, const char *example);

#endif
