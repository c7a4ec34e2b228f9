#include "tests/support/fake_mirror.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/find.h"
#include "common/spool/look.h"
#include "common/spool/pack.h"

void fake_mirror_init(struct fake_mirror *m)
{
	*m = (struct fake_mirror){ 0 };
	pthread_mutex_init(&m->lock, NULL);
}

static void row_free(struct fake_row *r)
{
	buf_fini(&r->state);
	buf_fini(&r->row);
}

void fake_mirror_fini(struct fake_mirror *m)
{
	for (size_t i = 0; i < m->n; i++)
		row_free(&m->rows[i]);
	free(m->rows);
	pthread_mutex_destroy(&m->lock);
	m->rows = NULL;
	m->n = 0;
}

struct fake_row *fake_mirror_find(struct fake_mirror *m, enum parcel_kind kind,
				  uint64_t id, uint64_t offset,
				  const char *domain)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->rows[i].kind == kind && m->rows[i].id == id &&
		    m->rows[i].offset == offset &&
		    strcmp(m->rows[i].domain, domain) == 0)
			return &m->rows[i];
	return NULL;
}

size_t fake_mirror_count(struct fake_mirror *m, enum parcel_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += m->rows[i].kind == kind;
	return n;
}

static void put(struct fake_mirror *m, const struct parcel_item *item)
{
	char domain[256] = "";
	struct fake_row *r;

	memcpy(domain, item->domain.p, item->domain.n);
	r = fake_mirror_find(m, item->kind, item->id, item->offset, domain);
	if (r == NULL) {
		m->rows = mx_realloc(m->rows, (m->n + 1) * sizeof(*m->rows));
		r = &m->rows[m->n++];
		*r = (struct fake_row){ .kind = item->kind,
					.id = item->id,
					.offset = item->offset };
		memcpy(r->domain, domain, sizeof(domain));
	}
	buf_reset(&r->state);
	buf_reset(&r->row);
	buf_add(&r->state, item->state);
	buf_add(&r->row, item->row);
	r->is_incoming = false;
}

static bool is_hit(struct fake_mirror *m, const struct fake_row *r,
		   const struct parcel_item *gone)
{
	switch (gone->kind) {
	case PARCEL_HOLD_GONE:
		return r->kind == PARCEL_HOLD &&
		       span_eq(span_str(r->domain), gone->domain);
	case PARCEL_UNIT_GONE:
		return r->kind == PARCEL_UNIT && r->id == gone->id &&
		       span_eq(span_str(r->domain), gone->domain);
	case PARCEL_MESSAGE: /* those that follow are all */
		return r->kind == PARCEL_UNIT && r->id == gone->id;
	case PARCEL_GONE:
		return r->kind != PARCEL_HOLD && r->id == gone->id;
	case PARCEL_DRAFT_GONE:
		return r->kind == PARCEL_CONTENT && r->id == gone->id &&
		       fake_mirror_find(m, PARCEL_MESSAGE, r->id, 0, "") ==
			       NULL;
	default:
		return false;
	}
}

static void take_away(struct fake_mirror *m, const struct parcel_item *gone)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		if (is_hit(m, &m->rows[i], gone))
			row_free(&m->rows[i]);
		else
			m->rows[n++] = m->rows[i];
	m->n = n;
}

static bool is_put(enum parcel_kind kind)
{
	return kind == PARCEL_MESSAGE || kind == PARCEL_UNIT ||
	       kind == PARCEL_CONTENT || kind == PARCEL_HOLD;
}

void fake_mirror_apply(struct fake_mirror *m, const struct parcel *p,
		       uint64_t seq)
{
	struct parcel_item item;

	pthread_mutex_lock(&m->lock);
	for (size_t pos = 0; parcel_next(p, &pos, &item);)
		take_away(m, &item);
	for (size_t pos = 0; parcel_next(p, &pos, &item);)
		if (is_put(item.kind))
			put(m, &item);
	if (parcel_bytes(p) > m->largest)
		m->largest = parcel_bytes(p);
	if (seq > m->seq)
		m->seq = seq;
	pthread_mutex_unlock(&m->lock);
}

void fake_mirror_copy(struct fake_mirror *to, struct fake_mirror *from)
{
	fake_mirror_init(to);
	to->seq = from->seq;
	for (size_t i = 0; i < from->n; i++) {
		const struct fake_row *r = &from->rows[i];
		const struct parcel_item item = {
			.kind = r->kind,
			.id = r->id,
			.offset = r->offset,
			.domain = span_str(r->domain),
			.state = buf_span(&r->state),
			.row = buf_span(&r->row),
		};

		put(to, &item);
		to->rows[to->n - 1].is_incoming = r->is_incoming;
	}
}

/* ---- The writer's side ---- */

static void joined(uint64_t seq, void *arg)
{
	struct fake_mirror *m = arg;

	(void)seq;
	atomic_fetch_add(&m->joined, 1);
}

static void offer(struct parcel *p, uint64_t seq, void *arg)
{
	struct fake_mirror *m = arg;
	enum fake_fault fault = atomic_load(&m->fault);

	atomic_fetch_add(&m->offered, 1);
	if (fault != FAKE_LOST && fault != FAKE_UNSENT)
		fake_mirror_apply(m, p, seq);
	m->last = fault == FAKE_WELL	 ? MX_OK
		  : fault == FAKE_UNSENT ? MX_ENOENT
					 : MX_ENET;
	parcel_free(&p);
}

static enum mx_err wait_for(void *arg)
{
	struct fake_mirror *m = arg;

	atomic_fetch_add(&m->waited, 1);
	return m->last;
}

const struct spool_mirror_ops fake_mirror_ops = {
	.joined = joined,
	.offer = offer,
	.wait = wait_for,
};

/* ---- What it should have ---- */

static enum mx_err pack_spool(struct packing *k)
{
	struct envelope env = { .id = 0 };
	enum mx_err err;

	while ((err = find_next_message(k->sp, k->txn, env.id + 1, &env)) ==
	       MX_OK) {
		uint64_t at = 0;
		bool is_all;

		err = pack_message(k, env.id);
		if (err == MX_OK)
			err = pack_contents(k, env.id, &at, SIZE_MAX, &is_all);
		if (err != MX_OK && err != MX_ENOENT)
			return err;
	}
	return err == MX_ENOENT ? MX_OK : err;
}

static bool add_hold(const struct spool_domain *d, void *arg)
{
	struct packing *k = arg;

	if (d->is_held && d->hold_pattern[0] == '\0')
		pack_hold(k, span_str(d->name));
	return true;
}

static bool differs(const struct fake_row *r, const char *what,
		    struct buf *why)
{
	buf_addf(why, "%s: kind %d id %llx offset %llu domain '%s'", what,
		 (int)r->kind, (unsigned long long)r->id,
		 (unsigned long long)r->offset, r->domain);
	return false;
}

static int by_offset(const void *a, const void *b)
{
	const struct fake_row *ra = *(const struct fake_row *const *)a;
	const struct fake_row *rb = *(const struct fake_row *const *)b;

	return (ra->offset > rb->offset) - (ra->offset < rb->offset);
}

void fake_mirror_content(struct fake_mirror *m, uint64_t id, struct buf *out)
{
	const struct fake_row **all = mx_alloc_array(m->n + 1, sizeof(*all));
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		if (m->rows[i].kind == PARCEL_CONTENT && m->rows[i].id == id)
			all[n++] = &m->rows[i];
	qsort(all, n, sizeof(*all), by_offset);
	for (size_t i = 0; i < n; i++)
		buf_add(out, buf_span(&all[i]->row));
	free(all);
}

/* It may be cut otherwise. */
static bool is_content_equal(struct fake_mirror *want, struct fake_mirror *have,
			     uint64_t id)
{
	struct buf a = { 0 }, b = { 0 };
	bool is_equal;

	fake_mirror_content(want, id, &a);
	fake_mirror_content(have, id, &b);
	is_equal = span_eq(buf_span(&a), buf_span(&b));
	buf_fini(&a);
	buf_fini(&b);
	return is_equal;
}

static bool compare(struct fake_mirror *want, struct fake_mirror *have,
		    struct buf *why)
{
	for (size_t i = 0; i < want->n; i++) {
		const struct fake_row *w = &want->rows[i];
		const struct fake_row *h = fake_mirror_find(
			have, w->kind, w->id, w->offset, w->domain);

		if (w->kind == PARCEL_CONTENT)
			continue;
		if (h != NULL && w->kind == PARCEL_MESSAGE &&
		    !is_content_equal(want, have, w->id))
			return differs(w, "another content", why);
		if (h == NULL)
			return differs(w, "the mirror lacks", why);
		if (h->is_incoming)
			return differs(w, "still incoming", why);
		if (!span_eq(buf_span(&h->row), buf_span(&w->row)) &&
		    w->kind != PARCEL_MESSAGE) /* it counts units */
			return differs(w, "another row", why);
		if (!span_eq(buf_span(&h->state), buf_span(&w->state)))
			return differs(w, "another state", why);
	}
	for (size_t i = 0; i < have->n; i++) {
		const struct fake_row *h = &have->rows[i];

		/* of an open draft it is nobody's message */
		if (h->kind != PARCEL_CONTENT &&
		    fake_mirror_find(want, h->kind, h->id, h->offset,
				     h->domain) == NULL)
			return differs(h, "the mirror has", why);
	}
	return true;
}

bool fake_mirror_equals(struct fake_mirror *m, struct spool *sp,
			struct buf *why)
{
	struct packing k = { .sp = sp, .out = parcel_new() };
	struct fake_mirror want;
	bool is_equal = false;

	fake_mirror_init(&want);
	if (read_begin(sp, &k.txn) == MX_OK && pack_spool(&k) == MX_OK &&
	    spool_domains(sp, SPAN_LIT(""), add_hold, &k) == MX_OK) {
		fake_mirror_apply(&want, k.out, 0);
		pthread_mutex_lock(&m->lock);
		is_equal = compare(&want, m, why);
		pthread_mutex_unlock(&m->lock);
	}
	read_end(sp);
	parcel_free(&k.out);
	buf_fini(&k.row);
	fake_mirror_fini(&want);
	return is_equal;
}
