#include "common/spool/counters.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/hash.h"
#include "common/spool/domain.h"
#include "common/spool/find.h"

struct domain_entry {
	UT_hash_handle hh;
	struct domain_row row;
	bool is_stored, announce, oldest_left;
	uint64_t off; /* of the sum of its units, as it was stored: 0 */
	size_t n;
	char name[];
};

static struct domain_entry *entry_find(struct batch *b, struct span domain)
{
	struct domain_entry *e = NULL;

	HASH_FIND(hh, b->domains, domain.p, domain.n, e);
	return e;
}

/* By how much is the sum wrong?  Nothing we do changes that. */
static uint64_t sum_is_off(const struct spool_domain *d)
{
	return d->units - (d->ready + d->deferred + d->held + d->refused);
}

static enum mx_err entry_load(struct batch *b, struct span domain,
			      struct domain_entry **out)
{
	struct domain_entry *e;
	enum mx_err err;

	*out = entry_find(b, domain);
	if (*out != NULL)
		return MX_OK;
	e = mx_alloc(sizeof(*e) + domain.n + 1);
	err = find_domain(b->sp, b->txn, domain, &e->row);
	if (err != MX_OK && err != MX_ENOENT) {
		free(e);
		return err;
	}
	e->n = domain.n;
	if (domain.n > 0)
		memcpy(e->name, domain.p, domain.n);
	e->is_stored = err == MX_OK;
	e->off = sum_is_off(&e->row.d);
	HASH_ADD_KEYPTR(hh, b->domains, e->name, e->n, e);
	*out = e;
	return MX_OK;
}

enum mx_err counters_get(struct batch *b, struct span domain,
			 struct domain_row **row)
{
	struct domain_entry *e;
	enum mx_err err = entry_load(b, domain, &e);

	*row = err == MX_OK ? &e->row : NULL;
	return err;
}

void counters_announce(struct batch *b, struct span domain)
{
	struct domain_entry *e = entry_find(b, domain);

	MX_ASSERT(e != NULL);
	e->announce = true;
}

void counters_oldest_left(struct batch *b, struct span domain)
{
	struct domain_entry *e = entry_find(b, domain);

	MX_ASSERT(e != NULL);
	e->oldest_left = true;
}

static enum mx_err find_oldest(struct batch *b, struct domain_entry *e)
{
	struct envelope env;
	uint32_t units;
	enum mx_err err =
		find_first(b->sp, b->txn, IN_BOTH, span_of(e->name, e->n), 0,
			   &e->row.oldest_id);

	if (err == MX_OK)
		err = find_message(b->sp, b->txn, e->row.oldest_id, &env,
				   &units);
	if (err != MX_OK)
		return err == MX_ENOENT ? MX_ECORRUPT : err;
	e->row.d.oldest_ms = env.arrived_ms;
	return MX_OK;
}

static enum mx_err entry_store(struct batch *b, struct domain_entry *e)
{
	char value[DOMAIN_ROW_MAX];
	struct key k;
	enum mx_err err = MX_OK;

	MX_ASSERT(sum_is_off(&e->row.d) == e->off);
	key_domain(&k, (struct span){ e->name, e->n });
	if (!domain_is_kept(&e->row.d))
		return e->is_stored
			       ? table_del(batch_table(b, T_DOMAIN), b->txn, &k)
			       : MX_OK;
	if (e->row.d.units == 0)
		e->row.d.oldest_ms = 0;
	else if (e->oldest_left)
		err = find_oldest(b, e);
	if (err != MX_OK)
		return err;
	char *end = domain_row_put(value, &e->row);

	return table_put(batch_table(b, T_DOMAIN), b->txn, &k,
			 span_of(value, (size_t)(end - value)));
}

enum mx_err counters_store(struct batch *b)
{
	struct domain_entry *e, *next;
	enum mx_err err = MX_OK;

	HASH_ITER (hh, b->domains, e, next) {
		err = entry_store(b, e);
		if (err != MX_OK)
			break;
	}
	return err;
}

void counters_free(struct batch *b, struct buf *ready)
{
	struct domain_entry *e = b->domains, *next;

	HASH_CLEAR(hh, b->domains); /* forgets them; their links stay */
	for (; e != NULL; e = next) {
		next = e->hh.next;
		/* ready is NULL when the transaction did not happen */
		if (ready != NULL && e->announce && !e->row.d.is_held) {
			buf_add(ready, (struct span){ e->name, e->n });
			buf_addc(ready, '\0');
		}
		free(e);
	}
}
