/*
 * The allowlist and the recipient table: compact, immutable, made for
 * 1,000,000 domains and 10,000,000 recipients.
 */
#ifndef MX_ALLOW_DOMAINS_H
#define MX_ALLOW_DOMAINS_H

#include "config/value/value.h"

struct domains;

/* Options that a refusal may be due to.  Who is a recipient only the line says,
 * be it by leaving that to the file of its name. */
enum {
	OWN_RECIPIENTS = 1,
	OWN_UNKNOWN = 2,
	OWN_QUOTA = 4,
	OWN_STANDBY = 8,
};

/* Options of one allowlist line; the defaults of mx20.conf filled in. */
struct config_domain {
	struct span name;        /* canonical; "*." kept for subdomain rows */
	uint8_t own;             /* OWN_ bits: what its line says itself */
	bool any_recipient;      /* recipients=* */
	bool verify;             /* the primary may be asked who is one */
	enum unknown_mode unknown;
	enum standby_mode standby; /* of mail while its primary answers */
	char delimiter;          /* 0: none */
	struct config_hop *primary; /* count 0: by MX */
	size_t primary_count;
	struct span primary_text; /* normalised: equal text, equal route */
	enum tls_level tls;
	int64_t lifetime_ms;
	uint64_t quota_bytes;    /* of its waiting mail; 0: none */
	const struct net_cidr *etrn;
	size_t etrn_count;
};

/* Its number in the allowlist. */
unsigned domains_line(const struct config_domain *row);

void domains_free(struct domains **d); /* *d may be NULL */

/* How many rows, and recipients in all; 0 of NULL. */
size_t domains_count(const struct domains *d);
size_t domains_recipients(const struct domains *d);
/* Does any row have a quota? */
bool domains_have_quota(const struct domains *d);

/* The row that covers a canonical domain: its own, else the nearest "*."
 * above it.  NULL: not ours.  Lives as long as the snapshot. */
const struct config_domain *domains_find(const struct domains *d,
					 struct span canonical);

enum listed_as {
	RECIPIENT_NO,	   /* no source has him */
	RECIPIENT_YES,	   /* one has */
	RECIPIENT_UNKNOWN, /* none has, but one of them was never fetched, or
			    * has nobody at all in this domain */
};

/*
 * Is local@domain a recipient of the row, by its files and tables?  domain is
 * the canonical one that row was found for (a "*." row covers many); local is
 * as written.  postmaster always is.  Honours any_recipient and delimiter, not
 * verify.
 */
enum listed_as domains_recipient(const struct domains *d,
				 const struct config_domain *row,
				 struct span domain, struct span local);
/* Is he listed by a table that was fetched, and by no source before it? */
bool domains_is_fetched(const struct domains *d,
			const struct config_domain *row, struct span domain,
			struct span local);
/* Does a file or a table have him word for word?  What any_recipient or a
 * delimiter lets in is not named. */
bool domains_is_named(const struct domains *d, const struct config_domain *row,
		      struct span domain, struct span local);
/* It is RECIPIENT_YES. */
bool domains_has_recipient(const struct domains *d,
			   const struct config_domain *row,
			   struct span domain, struct span local);

/* One source of a row, for people and for `mx20ctl status`. */
struct domains_source {
	struct buf name;    /* path, URL without password, "verify" or "*" */
	int64_t count;	    /* how many hold for the row; -1: not known */
	int64_t fetched_ms; /* wall; of a file: changed; 0: never, or nothing
			     * that is fetched */
	struct buf error;   /* empty: none */
};
/* The one with number i, in the order in which they are looked up; false: there
 * are no more.  out is all zero, or of a call before. */
bool domains_source(const struct domains *d, const struct config_domain *row,
		    size_t i, struct domains_source *out);
void domains_source_fini(struct domains_source *s);

/* The next URL of any row behind *at, which begins as 0; NULL: no more. */
struct feed;
struct feed *domains_feed(const struct domains *d, size_t *at);

/* Does any row say so? */
bool domains_have_standby(const struct domains *d, enum standby_mode mode);

/* Row i, in no order; NULL: there are no more. */
const struct config_domain *domains_at(const struct domains *d, size_t i);

/* Every row, in no order; stops when cb returns false. */
typedef bool domains_cb(const struct config_domain *row, void *arg);
void domains_each(const struct domains *d, domains_cb *cb, void *arg);

#endif
