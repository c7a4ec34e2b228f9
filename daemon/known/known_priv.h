/* The inside of known.h and verify.h. */
#ifndef MX_KNOWN_PRIV_H
#define MX_KNOWN_PRIV_H

#include "common/base/hash.h"
#include "common/base/siphash.h"
#include "daemon/known/downtime.h"
#include "daemon/known/known.h"

struct pending;
struct recent;
struct question;
struct holder;
struct trial;

struct known {
	struct ev_loop *loop;
	struct spool *spool;
	struct config *config;
	struct known_hooks hooks;
	struct downtime *downtime;
	struct siphash_key secret;
	struct buf text; /* scratch */
	/* rows that are written, but cannot be read yet: hash by key */
	struct pending *pending;
	struct trial *trials;	    /* hash by domain */
	struct recent *recent;	    /* who was refused; see recent.h */
	struct question *questions; /* hash by key; see verify.c */
	struct holder *holders;	    /* hash by whose they are; see there */
	bool is_stopped;
};

struct known_key {
	unsigned char b[SPOOL_KNOWN_KEY_SIZE];
};

/* ---- key.c ---- */
void key_read_secret(struct known *k);
/* Of a recipient; local empty: of the domain itself. */
struct known_key key_of(struct known *k, struct span domain, struct span local);
/* Of a route's key; 0: none. */
uint64_t key_destination(const struct known *k, struct span route_key);
/* A local part that nobody has, the same all day: so that greylisting lets it
 * through the second time. */
void key_nobody(struct known *k, struct span domain, int64_t now_ms,
		struct buf *out);

/* ---- row.c: written behind, and aged ---- */
bool row_get(struct known *k, const struct known_key *key,
	     struct spool_known *out);
void row_put(struct known *k, const struct known_key *key,
	     struct spool_known *row);
void row_forget(struct known *k, const struct known_key *key);
/* The destination the domain has now; 0: not known. */
uint64_t row_destination(struct known *k, struct span domain);
/* How long it has been known while its destination was up. */
int64_t row_age_ms(struct known *k, const struct spool_known *row,
		   uint64_t destination, int64_t now_ms);
bool row_is_fresh(struct known *k, const struct spool_known *row,
		  uint64_t destination, int64_t now_ms);
/* How long it counts. */
int64_t row_limit_ms(const struct known *k, const struct spool_known *row);
void row_free_all(struct known *k);

/* ---- trial.c ---- */
/* Learn it once the domain is known to refuse whom it does not know. */
void trial_learn(struct known *k, struct span domain,
		 const struct known_key *key, const struct spool_known *row,
		 int64_t now_ms);
/* What waits for that, and was said a moment ago. */
bool trial_look(struct known *k, struct span domain,
		const struct known_key *key, struct spool_known *out);
void trial_forget(struct known *k, struct span domain,
		  const struct known_key *key);
void trial_stop_all(struct known *k);

/* ---- verify.c ---- */
void verify_stop_all(struct known *k);

#endif
