#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/domain.h"
#include "common/spool/find.h"
#include "common/spool/lease.h"
#include "common/spool/spool_priv.h"
#include "common/spool/look.h"
#include "common/spool/room.h"

/* Looks at the spool that need no unit whole: ids, counters, facts. */

enum { ROWS_PER_LOOK = 64, LOOKS_FOR_OURS = 4096 };

/* ---- ready units ---- */

/* The ids next to the edge: behind it, or with is_newest before it. */
static enum mx_err walk_ready(struct spool *sp, MDB_txn *txn,
			      struct span domain, uint64_t edge, bool is_newest,
			      uint64_t *ids, size_t max, size_t *n)
{
	struct scan p;
	struct span name;
	struct key k;
	enum mx_err err = scan_open(&p, &sp->tables[T_READY], txn);

	key_ready(&k, domain, is_newest ? edge : edge + 1);
	if (err == MX_OK)
		err = is_newest ? scan_seek_before(&p, &k) : scan_seek(&p, &k);
	while (err == MX_OK && *n < max &&
	       key_ready_parse(p.key, &name, &ids[*n]) &&
	       span_eq(name, domain)) {
		(*n)++;
		err = is_newest ? scan_prev(&p) : scan_next(&p);
	}
	scan_close(&p);
	return err == MX_ENOENT ? MX_OK : err;
}

/* The next of them from at on, or down. */
static enum mx_err seek_ready(struct scan *p, struct span domain, uint64_t at,
			      bool is_newest, uint64_t *id)
{
	struct span name;
	struct key k;
	enum mx_err err;

	key_ready(&k, domain, is_newest ? at + 1 : at);
	err = is_newest ? scan_seek_before(p, &k) : scan_seek(p, &k);
	if (err == MX_OK &&
	    !(key_ready_parse(p->key, &name, id) && span_eq(name, domain)))
		err = MX_ENOENT;
	return err;
}

/*
 * The same while the lease is over: of those that stand here and are ours.
 * What came before the mirror was away, and what came since, are two runs of
 * ids: both tables are looked at in turn, from one to the next in the other.
 */
static enum mx_err walk_ours(struct spool *sp, MDB_txn *txn, struct span domain,
			     uint64_t edge, bool is_newest, uint64_t *ids,
			     size_t max, size_t *n)
{
	uint64_t at = is_newest ? edge - 1 : edge + 1, id, next;
	struct scan p;
	enum mx_err err = scan_open(&p, &sp->tables[T_READY], txn);

	for (size_t looks = 0; looks < LOOKS_FOR_OURS && *n < max; looks++) {
		if (err == MX_OK)
			err = seek_ready(&p, domain, at, is_newest, &id);
		if (err != MX_OK)
			break;
		next = lease_next(sp, txn, id, is_newest);
		if (next == UINT64_MAX || next == 0)
			break;
		if (next == id && lease_is_ours(sp, txn, id))
			ids[(*n)++] = id;
		at = next != id ? next : is_newest ? id - 1 : id + 1;
	}
	scan_close(&p);
	return err == MX_ENOENT ? MX_OK : err;
}

static enum mx_err ready_ids(struct spool *sp, struct span domain,
			     uint64_t edge, bool is_newest, uint64_t *ids,
			     size_t max, size_t *n)
{
	struct domain_row row;
	MDB_txn *txn;
	enum mx_err err = read_begin(sp, &txn);

	*n = 0;
	if (err != MX_OK)
		return err;
	err = domain_read(sp, txn, domain, &row);
	if (err == MX_OK && !row.d.is_held)
		err = (lease_is_over(sp) ? walk_ours : walk_ready)(
			sp, txn, domain, edge, is_newest, ids, max, n);
	read_end(sp);
	return err == MX_ENOENT ? MX_OK : err;
}

enum mx_err spool_ready(struct spool *sp, struct span domain, uint64_t after,
			uint64_t *ids, size_t max, size_t *n)
{
	*n = 0;
	if (after == UINT64_MAX)
		return MX_OK;
	return ready_ids(sp, domain, after, false, ids, max, n);
}

enum mx_err spool_ready_newest(struct spool *sp, struct span domain,
			       uint64_t before, uint64_t *ids, size_t max,
			       size_t *n)
{
	return ready_ids(sp, domain, before > 0 ? before : UINT64_MAX, true,
			 ids, max, n);
}

/* ---- totals and domains ---- */

static enum mx_err totals(struct spool *sp, MDB_txn *txn,
			  struct spool_totals *out)
{
	struct state_row state = { 0 };
	struct envelope env;
	struct span value;
	MDB_stat st;
	enum mx_err err =
		from_mdb(mdb_stat(txn, sp->tables[T_MESSAGE].dbi, &st));

	if (err != MX_OK)
		return err;
	out->messages = st.ms_entries;
	err = table_get_name(&sp->tables[T_META], txn, SPAN_LIT("state"),
			     &value);
	if (err == MX_OK && !state_row_get(value, &state))
		return MX_ECORRUPT;
	out->bytes = state.bytes;
	err = find_next_message(sp, txn, 0, &env);
	if (err == MX_OK)
		out->oldest_ms = env.arrived_ms;
	if (sp->is_reader) {
		room_count(sp, txn);
		room_look(sp);
	}
	spool_space_get(sp, &out->space);
	return err == MX_ENOENT ? MX_OK : err;
}

enum mx_err spool_totals(struct spool *sp, struct spool_totals *out)
{
	MDB_txn *txn;
	enum mx_err err = read_begin(sp, &txn);

	*out = (struct spool_totals){ 0 };
	if (err != MX_OK)
		return err;
	err = totals(sp, txn, out);
	read_end(sp);
	return err;
}

/*
 * Rows are shown after the look that read them: whoever shows them may wait
 * for a terminal, and an open look would keep pages from being used again.
 */
struct page {
	size_t n;
	struct spool_domain *domains;
	struct spool_target *targets;
};

typedef enum mx_err row_fn(struct spool *sp, MDB_txn *txn, struct page *page,
			   const struct scan *p);

static enum mx_err add_domain(struct spool *sp, MDB_txn *txn, struct page *page,
			      const struct scan *p)
{
	struct domain_row row;
	struct span name;
	enum mx_err err;

	if (!key_domain_parse(p->key, &name))
		return MX_ECORRUPT;
	err = domain_read(sp, txn, name, &row);
	if (err == MX_OK)
		page->domains[page->n++] = row.d;
	return err;
}

/* Up to ROWS_PER_LOOK rows behind the name. */
static enum mx_err read_page(struct spool *sp, enum table_id table,
			     struct span after, row_fn *add, struct page *page)
{
	struct scan p;
	MDB_txn *txn;
	enum mx_err err = read_begin(sp, &txn);

	page->n = 0;
	if (err != MX_OK)
		return err;
	err = scan_open(&p, &sp->tables[table], txn);
	if (err == MX_OK)
		err = scan_seek_behind(&p, after);
	while (err == MX_OK && page->n < ROWS_PER_LOOK) {
		err = add(sp, txn, page, &p);
		if (err == MX_OK)
			err = scan_next(&p);
	}
	scan_close(&p);
	read_end(sp);
	return err == MX_ENOENT ? MX_OK : err;
}

enum mx_err spool_domains(struct spool *sp, struct span after,
			  spool_domain_cb *cb, void *arg)
{
	struct page page = {
		.domains = mx_alloc_array(ROWS_PER_LOOK,
					  sizeof(struct spool_domain)),
	};
	struct key at = { 0 };
	bool go_on = key_domain_is_valid(after);
	enum mx_err err = MX_OK;

	if (go_on && after.n > 0)
		key_domain(&at, after);
	while (go_on && err == MX_OK) {
		err = read_page(sp, T_DOMAIN, span_of(at.b, at.n), add_domain,
				&page);
		for (size_t i = 0; go_on && i < page.n; i++)
			go_on = cb(&page.domains[i], arg);
		if (page.n < ROWS_PER_LOOK)
			break;
		key_domain(&at, span_str(page.domains[page.n - 1].name));
	}
	free(page.domains);
	return err;
}

/* ---- targets and facts ---- */

static enum mx_err decode_target(struct span name, struct span value,
				 struct spool_target *t)
{
	*t = (struct spool_target){ 0 };
	if (name.n >= sizeof(t->name) || !target_row_get(value, t))
		return MX_ECORRUPT;
	memcpy(t->name, name.p, name.n);
	return MX_OK;
}

static enum mx_err add_target(struct spool *sp, MDB_txn *txn, struct page *page,
			      const struct scan *p)
{
	(void)sp;
	(void)txn;
	enum mx_err err =
		decode_target(p->key, p->value, &page->targets[page->n]);

	page->n += err == MX_OK;
	return err;
}

enum mx_err spool_targets(struct spool *sp, spool_target_cb *cb, void *arg)
{
	struct page page = {
		.targets = mx_alloc_array(ROWS_PER_LOOK,
					  sizeof(struct spool_target)),
	};
	char at[sizeof(page.targets->name)] = "";
	bool go_on = true;
	enum mx_err err = MX_OK;

	while (go_on && err == MX_OK) {
		err = read_page(sp, T_TARGET, span_str(at), add_target, &page);
		for (size_t i = 0; go_on && i < page.n; i++)
			go_on = cb(&page.targets[i], arg);
		if (page.n < ROWS_PER_LOOK)
			break;
		memcpy(at, page.targets[page.n - 1].name, sizeof(at));
	}
	free(page.targets);
	return err;
}

/* Append what the row of this name says. */
static enum mx_err read_name(struct spool *sp, enum table_id t,
			     struct span name, struct buf *out)
{
	struct span value;
	MDB_txn *txn;
	enum mx_err err;

	if (name.n == 0 || name.n > KEY_NAME_MAX)
		return MX_ENOENT;
	err = read_begin(sp, &txn);
	if (err != MX_OK)
		return err;
	err = table_get_name(&sp->tables[t], txn, name, &value);
	if (err == MX_OK)
		buf_add(out, value);
	read_end(sp);
	return err;
}

enum mx_err spool_target_get(struct spool *sp, struct span name,
			     struct spool_target *out)
{
	struct buf value = { 0 };
	enum mx_err err = read_name(sp, T_TARGET, name, &value);

	if (err == MX_OK)
		err = decode_target(name, buf_span(&value), out);
	buf_fini(&value);
	return err;
}

enum mx_err spool_fact_get(struct spool *sp, struct span key, struct buf *out)
{
	return read_name(sp, T_FACT, key, out);
}

/* Copies of some facts: lengths, then bytes, of keys and values in turn. */
struct facts {
	struct buf text;
	size_t ends[2 * ROWS_PER_LOOK];
	size_t n; /* rows */
};

static struct span fact_part(const struct facts *f, size_t part)
{
	size_t begin = part > 0 ? f->ends[part - 1] : 0;

	return span_of(f->text.p + begin, f->ends[part] - begin);
}

static void copy_fact(struct facts *f, const struct scan *p)
{
	buf_add(&f->text, p->key);
	f->ends[2 * f->n] = f->text.n;
	buf_add(&f->text, p->value);
	f->ends[2 * f->n + 1] = f->text.n;
	f->n++;
}

static enum mx_err read_facts(struct spool *sp, struct span prefix,
			      struct span after, struct facts *f)
{
	struct scan p;
	MDB_txn *txn;
	enum mx_err err = read_begin(sp, &txn);

	f->n = 0;
	buf_reset(&f->text);
	if (err != MX_OK)
		return err;
	err = scan_open(&p, &sp->tables[T_FACT], txn);
	if (err == MX_OK)
		err = after.n > 0 ? scan_seek_behind(&p, after)
				  : scan_seek_name(&p, prefix);
	while (err == MX_OK && f->n < ROWS_PER_LOOK &&
	       span_starts(p.key, prefix)) {
		copy_fact(f, &p);
		err = scan_next(&p);
	}
	scan_close(&p);
	read_end(sp);
	return err == MX_ENOENT ? MX_OK : err;
}

enum mx_err spool_facts(struct spool *sp, struct span prefix, struct span after,
			spool_fact_cb *cb, void *arg)
{
	struct facts f = { 0 };
	struct buf at = { 0 };
	bool go_on = true;
	enum mx_err err = MX_OK;

	buf_add(&at, after);
	do {
		err = read_facts(sp, prefix, buf_span(&at), &f);
		for (size_t i = 0; go_on && i < f.n; i++)
			go_on = cb(fact_part(&f, 2 * i),
				   fact_part(&f, 2 * i + 1), arg);
		if (f.n == 0)
			break;
		buf_reset(&at);
		buf_add(&at, fact_part(&f, 2 * (f.n - 1)));
	} while (go_on && err == MX_OK && f.n == ROWS_PER_LOOK);
	buf_fini(&at);
	buf_fini(&f.text);
	return err;
}
