/* Rows: written behind, and aged by the time their destination was up. */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/known/known_priv.h"

/* The disk is behind: what is learned meanwhile is learned another time. */
enum { PENDING_MAX = 8192 };

struct pending {
	UT_hash_handle hh;
	struct known *known;
	struct known_key key;
	bool is_forgotten;
	struct spool_known row;
	unsigned writes; /* under way */
};

static struct pending *find(struct known *k, const struct known_key *key)
{
	struct pending *p;

	HASH_FIND(hh, k->pending, key->b, sizeof(key->b), p);
	return p;
}

bool row_get(struct known *k, const struct known_key *key,
	     struct spool_known *out)
{
	const struct pending *p = find(k, key);

	if (p == NULL)
		return spool_known_get(k->spool, key->b, out) == MX_OK;
	*out = p->row;
	return !p->is_forgotten;
}

static void on_written(enum mx_err err, uint64_t count, void *arg)
{
	struct pending *p = arg;

	(void)err;
	(void)count;
	MX_ASSERT(p->writes > 0);
	if (--p->writes > 0)
		return;
	HASH_DEL(p->known->pending, p);
	free(p);
}

/* NULL: too many are under way. */
static struct pending *begin(struct known *k, const struct known_key *key)
{
	struct pending *p = find(k, key);

	if (p == NULL && HASH_COUNT(k->pending) >= PENDING_MAX)
		return NULL;
	if (p == NULL) {
		p = mx_alloc(sizeof(*p));
		p->known = k;
		p->key = *key;
		HASH_ADD(hh, k->pending, key, sizeof(p->key), p);
	}
	p->writes++;
	return p;
}

void row_put(struct known *k, const struct known_key *key,
	     struct spool_known *row)
{
	struct pending *p = begin(k, key);

	if (p == NULL)
		return;
	p->is_forgotten = false;
	p->row = *row;
	spool_known_put(k->spool, key->b, row, k->config->policy.known.max,
			on_written, p);
}

void row_forget(struct known *k, const struct known_key *key)
{
	struct pending *p = begin(k, key);

	if (p == NULL)
		return;
	p->is_forgotten = true;
	spool_known_forget(k->spool, key->b, on_written, p);
}

void row_free_all(struct known *k)
{
	struct pending *p, *tmp;

	HASH_ITER (hh, k->pending, p, tmp) {
		HASH_DEL(k->pending, p);
		free(p);
	}
}

/* ---- Age ---- */

uint64_t row_destination(struct known *k, struct span domain)
{
	struct buf key = { 0 };
	uint64_t n;

	if (k->hooks.destination == NULL)
		return 0;
	k->hooks.destination(domain, &key, k->hooks.arg);
	n = key_destination(k, buf_span(&key));
	buf_fini(&key);
	return n;
}

/*
 * An outage counts that has ended, and the one that lasts.  Not so if the
 * domain has moved elsewhere meanwhile: then nobody will say that it is over.
 */
int64_t row_age_ms(struct known *k, const struct spool_known *row,
		   uint64_t destination, int64_t now_ms)
{
	bool is_there = destination == 0 || destination == row->destination;
	int64_t down = is_there ? downtime_total(k->downtime, row->destination,
						 now_ms)
				: downtime_past(k->downtime, row->destination);
	int64_t age = now_ms - row->at_ms;

	if (down > row->down_ms)
		age -= down - row->down_ms;
	return age > 0 ? age : 0;
}

int64_t row_limit_ms(const struct known *k, const struct spool_known *row)
{
	switch (row->what) {
	case KNOWN_NO:
		return k->config->policy.known.negative_ms;
	case KNOWN_YES:
		return k->config->policy.known.positive_ms;
	default:
		return DAYS(1);
	}
}

bool row_is_fresh(struct known *k, const struct spool_known *row,
		  uint64_t destination, int64_t now_ms)
{
	return row_age_ms(k, row, destination, now_ms) < row_limit_ms(k, row);
}
