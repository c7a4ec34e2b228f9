#include <errno.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/log.h"
#include "common/spool/internal.h"

/*
 * One transaction for everything that waits.
 *
 *   all together --no room--> without what needs room --> one by one
 *        |                          |                        |
 *        +--the disk failed---------+------------------------+--> nothing
 *                                                                 ever again
 *
 * Where there is no room deletions still go through, because LMDB takes the
 * pages it copies from its free list, and the quota keeps a margin; so what
 * was accepted drains on.  A request that cannot be applied at all (a damaged
 * row) fails alone.
 */

struct domain_entry {
	UT_hash_handle hh;
	struct domain_row row;
	bool is_stored, announce, oldest_left;
	size_t n;
	char name[];
};

struct table *batch_table(struct batch *b, enum table_id t)
{
	return &b->sp->tables[t];
}

static struct domain_entry *entry_find(struct batch *b, struct span domain)
{
	struct domain_entry *e = NULL;

	HASH_FIND(hh, b->domains, domain.p, domain.n, e);
	return e;
}

static enum mx_err entry_load(struct batch *b, struct span domain,
			      struct domain_entry **out)
{
	struct domain_entry *e;
	struct span value;
	struct key k;
	enum mx_err err;

	*out = entry_find(b, domain);
	if (*out != NULL)
		return MX_OK;
	key_domain(&k, domain);
	err = table_get(batch_table(b, T_DOMAIN), b->txn, &k, &value);
	if (err != MX_OK && err != MX_ENOENT)
		return err;
	e = mx_alloc(sizeof(*e) + domain.n + 1);
	e->n = domain.n;
	if (domain.n > 0)
		memcpy(e->name, domain.p, domain.n);
	e->is_stored = err == MX_OK;
	if (e->is_stored && !domain_row_get(value, &e->row)) {
		free(e);
		return MX_ECORRUPT;
	}
	HASH_ADD_KEYPTR(hh, b->domains, e->name, e->n, e);
	*out = e;
	return MX_OK;
}

enum mx_err batch_domain(struct batch *b, struct span domain,
			 struct domain_row **row)
{
	struct domain_entry *e;
	enum mx_err err = entry_load(b, domain, &e);

	*row = err == MX_OK ? &e->row : NULL;
	return err;
}

void batch_announce(struct batch *b, struct span domain)
{
	struct domain_entry *e = entry_find(b, domain);

	MX_ASSERT(e != NULL);
	e->announce = true;
}

void batch_oldest_left(struct batch *b, struct span domain)
{
	struct domain_entry *e = entry_find(b, domain);

	MX_ASSERT(e != NULL);
	e->oldest_left = true;
}

static enum mx_err find_oldest(struct batch *b, struct domain_entry *e)
{
	struct span domain = { e->name, e->n }, value;
	struct envelope env;
	uint32_t units;
	struct key k;
	enum mx_err err = unit_first(b->sp, b->txn, IN_BOTH, domain, 0,
				     &e->row.oldest_id);

	if (err != MX_OK)
		return err;
	key_message(&k, e->row.oldest_id);
	err = table_get(batch_table(b, T_MESSAGE), b->txn, &k, &value);
	if (err != MX_OK)
		return err == MX_ENOENT ? MX_ECORRUPT : err;
	if (!envelope_get(value, &env, &units))
		return MX_ECORRUPT;
	e->row.d.oldest_ms = env.arrived_ms;
	return MX_OK;
}

static enum mx_err entry_store(struct batch *b, struct domain_entry *e)
{
	char value[DOMAIN_ROW_MAX];
	struct key k;
	enum mx_err err = MX_OK;

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

static enum mx_err store_domains(struct batch *b)
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

static enum mx_err store_state(struct batch *b)
{
	struct spool *sp = b->sp;
	char value[STATE_ROW_SIZE];

	b->state.last_id = atomic_load(&sp->last_id);
	b->state.wall_ms = atomic_load(&sp->believed_ms);
	state_row_put(value, &b->state);
	return table_put_name(batch_table(b, T_META), b->txn, SPAN_LIT("state"),
			      span_of(value, sizeof(value)));
}

static void free_domains(struct batch *b, struct buf *ready)
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

/* Arrivals by id, the rest as they came; a barrier begins a new phase. */
static int by_turn(const void *pa, const void *pb)
{
	const struct request *a = *(struct request *const *)pa;
	const struct request *b = *(struct request *const *)pb;

	if (a->phase != b->phase)
		return a->phase < b->phase ? -1 : 1;
	if (a->ops->order != b->ops->order)
		return a->ops->order < b->ops->order ? -1 : 1;
	if (a->ops->order == ORDER_ARRIVAL && a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return a->turn < b->turn ? -1 : 1;
}

static enum mx_err apply_all(struct batch *b, struct request **all, size_t n)
{
	bool more = false;
	enum mx_err err = MX_OK;

	for (size_t i = 0; i < n && err == MX_OK; i++) {
		all[i]->err = MX_OK;
		all[i]->again = false;
		err = all[i]->ops->apply(b, all[i]);
	}
	if (err == MX_OK && (b->sp->writer.has_dead || b->made_dead)) {
		err = sweep_step(b, &more);
		b->made_dead = more;
	}
	if (err == MX_OK)
		err = store_domains(b);
	return err == MX_OK ? store_state(b) : err;
}

/*
 * LMDB makes EIO of a write that was cut short, too, which is what a full
 * disk or a file-size limit does first; then errno does not say so.
 */
static enum mx_err commit(struct batch *b)
{
	int rc;

	errno = 0;
	rc = mdb_txn_commit(b->txn);
	b->txn = NULL;
	if (rc == EIO && errno != EIO)
		return MX_ESPACE;
	if (rc == MDB_SUCCESS || from_mdb(rc) == MX_ESPACE)
		return from_mdb(rc);
	return MX_EIO; /* what is on the disk now is not known */
}

/* One transaction.  On failure nothing of it happened. */
static enum mx_err attempt(struct spool *sp, struct request **all, size_t n,
			   struct buf *ready)
{
	struct batch b = { .sp = sp, .state = sp->writer.state };
	enum mx_err err = from_mdb(mdb_txn_begin(sp->env, NULL, 0, &b.txn));

	for (size_t i = 0; i < n; i++) {
		all[i]->saved_pos = all[i]->pos;
		all[i]->saved_count = all[i]->count;
	}
	if (err == MX_OK)
		err = apply_all(&b, all, n);
	if (err == MX_OK) {
		room_count(sp, b.txn);
		err = commit(&b);
	}
	if (b.txn != NULL)
		mdb_txn_abort(b.txn);
	free_domains(&b, err == MX_OK ? ready : NULL);
	if (err == MX_OK) {
		sp->writer.state = b.state;
		sp->writer.stored_ms = clock_mono_ms();
		sp->writer.has_dead = b.made_dead;
		sp->writer.commits++;
		return MX_OK;
	}
	for (size_t i = 0; i < n; i++) {
		all[i]->pos = all[i]->saved_pos;
		all[i]->count = all[i]->saved_count;
		all[i]->again = false;
	}
	return err;
}

static void fail(struct request **all, size_t n, enum mx_err err)
{
	for (size_t i = 0; i < n; i++) {
		all[i]->err = err;
		all[i]->again = false;
		if (all[i]->ops->failed != NULL)
			all[i]->ops->failed(all[i]);
	}
}

/* From now on only reading: see DESIGN section 8, "disk write error". */
static void give_up(struct spool *sp)
{
	if (atomic_exchange(&sp->has_failed, true))
		return;
	log_error(EV_SPOOL, LOG_SPAN("path", buf_span(&sp->path)),
		  LOG_STR("error", "the disk failed: nothing is accepted or "
				   "settled until a restart"));
}

static void one_by_one(struct spool *sp, struct request **all, size_t n,
		       struct buf *ready)
{
	for (size_t i = 0; i < n; i++) {
		enum mx_err err = atomic_load(&sp->has_failed)
					  ? MX_EIO
					  : attempt(sp, &all[i], 1, ready);

		if (err == MX_EIO)
			give_up(sp);
		if (err != MX_OK)
			fail(&all[i], 1, err);
	}
}

/* Put those that need no room first; returns how many. */
static size_t draining_first(struct request **all, size_t n)
{
	size_t drains = 0;
	struct request **fills = mx_alloc_array(n, sizeof(*fills));

	for (size_t i = 0; i < n; i++)
		if (all[i]->ops->fills)
			fills[i - drains] = all[i];
		else
			all[drains++] = all[i];
	memcpy(all + drains, fills, (n - drains) * sizeof(*fills));
	free(fills);
	return drains;
}

/* Is there room for what these store?  Deletions only restore the cushion,
 * where that is possible. */
static bool is_secured(struct spool *sp, struct request **all, size_t n)
{
	enum { ROW_BYTES = 1 << 10 };
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		if (all[i]->ops->fills)
			bytes += all[i]->bytes + all[i]->bytes / 2 + ROW_BYTES;
	return room_secure(sp, bytes) || bytes == 0;
}

static void run(struct spool *sp, struct request **all, size_t n,
		struct buf *ready)
{
	enum mx_err err = MX_EIO;

	if (!atomic_load(&sp->has_failed))
		err = is_secured(sp, all, n) ? attempt(sp, all, n, ready)
					     : MX_ESPACE;
	if (err != MX_OK && n == 0)
		sp->writer.has_dead = false; /* with the next request */
	if (err == MX_ESPACE && n > 0) {
		size_t drains = draining_first(all, n);

		atomic_store(&sp->room.is_short, true);
		fail(all + drains, n - drains, MX_ESPACE);
		n = drains;
		err = n > 0 ? attempt(sp, all, n, ready) : MX_OK;
	}
	if (err == MX_EIO) {
		give_up(sp);
		fail(all, n, MX_EIO);
	} else if (err != MX_OK && n == 1) {
		fail(all, n, err);
	} else if (err != MX_OK) {
		one_by_one(sp, all, n, ready);
	}
}

void batch_run(struct spool *sp, struct request_list *list, struct buf *ready)
{
	struct request *r, **all;
	size_t n = 0;
	unsigned phase = 0;

	STAILQ_FOREACH (r, list, link)
		n++;
	all = mx_alloc_array(n + 1, sizeof(*all));
	n = 0;
	STAILQ_FOREACH (r, list, link) {
		if (r->ops->order == ORDER_BARRIER)
			phase++;
		r->phase = phase;
		if (r->ops->order == ORDER_BARRIER)
			phase++;
		r->turn = (unsigned)n;
		all[n++] = r;
	}
	qsort(all, n, sizeof(struct request *), by_turn);
	run(sp, all, n, ready);
	free(all);
}
