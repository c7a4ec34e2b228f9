/* A spool with a mirror in memory, and what stands between the two. */
#ifndef TEST_SPOOL_MIRRORED_H
#define TEST_SPOOL_MIRRORED_H

#include <openssl/evp.h>

#include "common/spool/spool_priv.h"
#include "tests/support/fake_mirror.h"
#include "tests/unit/common/spool/fixture.h"

enum { PARCEL_SIZE = 1 << 17 };

struct mirrored {
	struct fixture f;
	struct fake_mirror m;
	struct arrears *arrears;
	unsigned picked;
};

static inline void mirror_start(struct mirrored *w, enum spool_mirror_away away)
{
	w->f.sp->mirror.calm_ms = 5; /* no test waits for its end */
	spool_mirror_start(w->f.sp, &fake_mirror_ops, &w->m, away);
}

static inline void mirrored_open(struct mirrored *w)
{
	fixture_open(&w->f);
	fake_mirror_init(&w->m);
	spool_subscribe(w->f.sp, on_ready, &w->f);
}

static inline void mirrored_close(struct mirrored *w)
{
	fixture_audit(&w->f);
	fixture_close(&w->f);
	fake_mirror_fini(&w->m);
}

static inline enum mx_err counted(struct mirrored *w)
{
	turn_until(&w->f, &w->f.counted, 1);
	w->f.counted = 0;
	return w->f.err;
}

static inline void on_picked(enum mx_err err, struct arrears *a, void *arg)
{
	struct mirrored *w = arg;

	cr_assert_eq(err == MX_OK, a != NULL);
	w->f.err = err;
	w->arrears = a;
	w->picked++;
}

/* False: nothing is lacking. */
static inline bool mirror_pick(struct mirrored *w)
{
	spool_mirror_pick(w->f.sp, PARCEL_SIZE, on_picked, w);
	turn_until(&w->f, &w->picked, 1);
	w->picked = 0;
	cr_assert(w->f.err == MX_OK || w->f.err == MX_ENOENT);
	return w->arrears != NULL;
}

/* What was picked goes to the mirror. */
static inline void mirror_send(struct mirrored *w)
{
	struct spool *view = spool_view(w->f.sp);
	struct parcel *p = parcel_new();

	cr_assert_eq(spool_mirror_export(view, w->arrears, PARCEL_SIZE, p),
		     MX_OK);
	fake_mirror_apply(&w->m, p, arrears_seq(w->arrears));
	parcel_free(&p);
	spool_view_free(&view);
}

static inline void mirror_strike(struct mirrored *w)
{
	spool_mirror_sent(w->f.sp, &w->arrears, on_counted, &w->f);
	cr_assert_eq(counted(w), MX_OK);
}

static inline void mirror_catch_up(struct mirrored *w)
{
	while (mirror_pick(w)) {
		mirror_send(w);
		mirror_strike(w);
	}
}

static inline enum mx_err mirror_join(struct mirrored *w)
{
	spool_mirror_join(w->f.sp, on_counted, &w->f);
	return counted(w);
}

static inline void mirror_in_step(struct mirrored *w)
{
	mirror_catch_up(w);
	cr_assert_eq(mirror_join(w), MX_OK);
}

static inline struct spool_mirror_lag lag_of(struct mirrored *w)
{
	struct spool_mirror_lag lag;

	cr_assert_eq(spool_mirror_lag(w->f.sp, &lag), MX_OK);
	return lag;
}

static inline void expect_equal(struct mirrored *w)
{
	struct buf why = { 0 };

	cr_assert(fake_mirror_equals(&w->m, w->f.sp, &why), "%s",
		  buf_cstr(&why));
	buf_fini(&why);
}

/* ---- Comparing ---- */

static inline int by_domain(const void *a, const void *b)
{
	return strcmp((*(struct fake_row *const *)a)->domain,
		      (*(struct fake_row *const *)b)->domain);
}

static inline uint64_t fake_hash(struct fake_mirror *m, uint64_t id)
{
	struct fake_row *units[64];
	unsigned char md[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	uint64_t hash = 0;
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		if (m->rows[i].kind == PARCEL_UNIT && m->rows[i].id == id)
			units[n++] = &m->rows[i];
	qsort(units, n, sizeof(units[0]), by_domain);
	EVP_DigestInit_ex(c, EVP_sha256(), NULL);
	for (size_t i = 0; i < n; i++) {
		EVP_DigestUpdate(c, units[i]->state.p, units[i]->state.n);
		EVP_DigestUpdate(c, units[i]->row.p, units[i]->row.n);
	}
	EVP_DigestFinal_ex(c, md, NULL);
	EVP_MD_CTX_free(c);
	for (size_t i = 0; i < 8; i++)
		hash = hash << 8 | md[i];
	return hash;
}

struct comparison {
	struct fake_mirror *m;
	struct buf missing, differing, here; /* ids */
};

static inline void add_id(struct buf *b, uint64_t id)
{
	buf_add(b, span_of(&id, sizeof(id)));
}

static inline bool has_id(const struct buf *b, uint64_t id)
{
	for (size_t i = 0; i < b->n; i += sizeof(id))
		if (memcmp(b->p + i, &id, sizeof(id)) == 0)
			return true;
	return false;
}

static inline bool compare_one(uint64_t id, uint64_t hash, bool is_noted,
			       void *arg)
{
	struct comparison *c = arg;

	add_id(&c->here, id);
	if (fake_mirror_find(c->m, PARCEL_MESSAGE, id, 0, "") == NULL)
		add_id(&c->missing, id);
	else if (is_noted || fake_hash(c->m, id) != hash)
		add_id(&c->differing, id);
	return true;
}

static inline void note_ids(struct mirrored *w, struct buf *ids,
			    bool is_missing)
{
	uint64_t *all = calloc(ids->n + 8, 1);

	if (ids->n > 0)
		memcpy(all, ids->p, ids->n);
	spool_mirror_note(w->f.sp, all, ids->n / sizeof(*all), is_missing,
			  on_counted, &w->f);
	cr_assert_eq(counted(w), MX_OK);
	free(all);
	buf_fini(ids);
}

/* As after a start or a reconnect. */
static inline void mirror_compare(struct mirrored *w)
{
	struct spool *view = spool_view(w->f.sp);
	struct comparison c = { .m = &w->m };
	struct buf names = { 0 };
	const bool is_ahead = w->m.seq > spool_mirror_seq(w->f.sp);

	cr_assert_eq(spool_mirror_page(view, 0, UINT64_MAX, compare_one, &c),
		     MX_OK);
	spool_view_free(&view);
	for (size_t i = 0; i < w->m.n; i++) {
		const struct fake_row *r = &w->m.rows[i];

		if (r->kind == PARCEL_HOLD) {
			buf_adds(&names, r->domain);
			buf_addc(&names, '\0');
		}
		if (r->kind == PARCEL_MESSAGE && is_ahead &&
		    !has_id(&c.here, r->id))
			w->m.rows[i].is_incoming = true;
		if ((r->kind == PARCEL_MESSAGE && !r->is_incoming &&
		     !has_id(&c.here, r->id)) ||
		    (r->kind == PARCEL_CONTENT &&
		     fake_mirror_find(&w->m, PARCEL_MESSAGE, r->id, 0, "") ==
			     NULL &&
		     !has_id(&c.here, r->id)))
			add_id(&c.differing, r->id);
	}
	note_ids(w, &c.missing, true);
	note_ids(w, &c.differing, false);
	buf_fini(&c.here);
	spool_mirror_note_holds(w->f.sp, buf_span(&names), on_counted, &w->f);
	cr_assert_eq(counted(w), MX_OK);
	buf_fini(&names);
	spool_mirror_compared(w->f.sp, w->m.seq, on_counted, &w->f);
	cr_assert_eq(counted(w), MX_OK);
	cr_assert(spool_mirror_knows(w->f.sp, w->m.seq));
}

/* What a mirror does that has a connection again. */
static inline void mirror_meet(struct mirrored *w)
{
	if (!spool_mirror_knows(w->f.sp, w->m.seq))
		mirror_compare(w);
	mirror_in_step(w);
}

static inline void mirror_restart(struct mirrored *w,
				  enum spool_mirror_away away)
{
	spool_close(&w->f.sp);
	w->f.is_mirrored = true;
	fixture_reopen(&w->f);
	w->f.is_mirrored = false;
	spool_subscribe(w->f.sp, on_ready, &w->f);
	mirror_start(w, away);
}

#endif
