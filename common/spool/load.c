#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/find.h"
#include "common/spool/lease.h"
#include "common/spool/mirror.h"
#include "common/spool/spool_priv.h"
#include "common/spool/look.h"

/* Whole units, copied out of the pages they stand on. */

/* The loop looks, too: a page ends early when its messages have many
 * recipients. */
enum { IDS_PER_LOOK = 32, RCPTS_PER_LOOK = 1024 };

void unit_free(struct unit **unit)
{
	struct unit *u = *unit;

	if (u == NULL)
		return;
	*unit = NULL;
	arena_reset(&u->arena);
	free(u);
}

static void own_envelope(struct arena *a, struct envelope *e)
{
	e->from = arena_span(a, e->from);
	e->client_addr = arena_span(a, e->client_addr);
	e->helo = arena_span(a, e->helo);
	e->envid = arena_span(a, e->envid);
	e->tls = arena_span(a, e->tls);
}

static void own_recipient(struct unit *u, struct recipient *r)
{
	r->domain = u->domain;
	r->path = arena_span(&u->arena, r->path);
	r->orcpt = arena_span(&u->arena, r->orcpt);
	r->last_reply = arena_span(&u->arena, r->last_reply);
	r->last_host = arena_span(&u->arena, r->last_host);
}

/* A domain's hold counts for all its units. */
static enum mx_err load_state(struct spool *sp, MDB_txn *txn, struct unit *u)
{
	struct spool_domain d;
	struct found at;
	enum mx_err err = find_unit(sp, txn, u->envelope.id, u->domain, &at);

	if (err != MX_OK)
		return err;
	u->state = at.state;
	u->due_ms = at.due_ms;
	u->is_held_alone = at.state == UNIT_HELD;
	err = spool_domain_get(sp, u->domain, &d);
	if (err == MX_OK && d.is_held)
		u->state = UNIT_HELD;
	if (err == MX_OK && d.is_held && at.reason.n == 0)
		at.reason = span_str(d.hold_reason);
	u->hold_reason = arena_span(&u->arena, at.reason);
	return err == MX_ENOENT ? MX_ECORRUPT : err;
}

/* Count first: the array is the arena's and cannot grow. */
static enum mx_err count_recipients(struct scan *p, const struct key *unit,
				    size_t *n)
{
	enum mx_err err = scan_seek(p, unit);

	*n = 0;
	for (; err == MX_OK && key_starts(p->key, unit); err = scan_next(p))
		(*n)++;
	if (err != MX_OK && err != MX_ENOENT)
		return err;
	return *n > 0 ? MX_OK : MX_ENOENT;
}

/* Which of its recipients. */
struct choice {
	enum { TO_BE_TRIED, DUE, ALL } what;
	int64_t by_ms; /* DUE */
};

static bool is_chosen(const struct unit *u, const struct recipient *r,
		      const struct choice *c)
{
	switch (c->what) {
	case DUE:
		return recipient_is_parked(r) && r->until_ms <= c->by_ms;
	case TO_BE_TRIED:
		return r->state == RECIPIENT_PENDING ||
		       (r->state != RECIPIENT_TAKEN &&
			(u->state == UNIT_HELD || u->state == UNIT_REFUSED));
	case ALL:
		break;
	}
	return true;
}

static enum mx_err load_recipients(struct spool *sp, MDB_txn *txn,
				   struct unit *u, const struct choice *c)
{
	struct key unit;
	struct scan p;
	size_t n;
	enum mx_err err = scan_open(&p, &sp->tables[T_RECIPIENT], txn);

	if (err != MX_OK)
		return err;
	key_unit(&unit, u->envelope.id, u->domain);
	err = count_recipients(&p, &unit, &n);
	if (err != MX_OK)
		goto done;
	u->rcpts = arena_alloc_array(&u->arena, n, sizeof(*u->rcpts));
	err = scan_seek(&p, &unit);
	for (size_t i = 0; err == MX_OK && i < n; i++) {
		struct recipient_row row;
		struct span domain;
		uint64_t id;

		if (!recipient_get(p.value, &row) ||
		    !key_recipient_parse(p.key, &id, &domain, &row.r.number)) {
			err = MX_ECORRUPT;
			break;
		}
		u->expires_ms = row.expires_ms;
		if (is_chosen(u, &row.r, c)) {
			own_recipient(u, &row.r);
			u->rcpts[u->rcpt_count++] = row.r;
		}
		err = scan_next(&p);
	}
	if (err == MX_ENOENT) /* the table's end */
		err = MX_OK;
done:
	scan_close(&p);
	return err;
}

static enum mx_err load(struct spool *sp, MDB_txn *txn, uint64_t id,
			struct span domain, const struct choice *c,
			struct unit **out)
{
	struct unit *u = mx_alloc(sizeof(*u));
	enum mx_err err =
		find_message(sp, txn, id, &u->envelope, &u->message_units);

	*out = NULL;
	if (err == MX_OK) {
		own_envelope(&u->arena, &u->envelope);
		u->domain = arena_span(&u->arena, domain);
		err = load_state(sp, txn, u);
	}
	if (err == MX_OK)
		err = load_recipients(sp, txn, u, c);
	if (err == MX_OK)
		*out = u;
	else
		unit_free(&u);
	return err;
}

static enum mx_err load_one(struct spool *sp, uint64_t id, struct span domain,
			    const struct choice *c, struct unit **out)
{
	MDB_txn *txn;
	enum mx_err err;

	*out = NULL;
	if (!key_domain_is_valid(domain))
		return MX_ENOENT;
	err = read_begin(sp, &txn);
	if (err != MX_OK)
		return err;
	if (lease_is_over(sp) && !lease_is_ours(sp, txn, id))
		err = MX_ENOENT; /* others may have it by now */
	else
		err = load(sp, txn, id, domain, c, out);
	read_end(sp);
	return err;
}

bool spool_mirror_lets_go(struct spool *sp, uint64_t id)
{
	struct envelope env;
	uint32_t units;
	MDB_txn *txn;
	bool yes;

	if (!sp->mirror.is_on || read_begin(sp, &txn) != MX_OK)
		return true;
	yes = find_message(sp, txn, id, &env, &units) != MX_ENOENT &&
	      (!lease_is_over(sp) || lease_is_ours(sp, txn, id));
	read_end(sp);
	return yes;
}

enum mx_err spool_unit_load(struct spool *sp, uint64_t id, struct span domain,
			    struct unit **out)
{
	const struct choice c = { .what = TO_BE_TRIED };

	return load_one(sp, id, domain, &c, out);
}

enum mx_err spool_unit_parked(struct spool *sp, uint64_t id,
			      struct span domain, int64_t by_ms,
			      struct unit **out)
{
	const struct choice c = { DUE, by_ms };
	enum mx_err err = load_one(sp, id, domain, &c, out);

	if (err != MX_OK || (*out)->rcpt_count > 0)
		return err;
	unit_free(out);
	return MX_ENOENT;
}

/* ---- lists ---- */

struct page {
	uint64_t ids[IDS_PER_LOOK];
	size_t n;
	size_t rcpts;
	bool shelved_only;
	bool is_last; /* no ids behind it */
	struct unit **units;
	size_t unit_count, unit_cap;
};

static enum mx_err ids_of_all(struct spool *sp, MDB_txn *txn, uint64_t after,
			      struct page *page)
{
	struct scan p;
	struct key k;
	enum mx_err err = scan_open(&p, &sp->tables[T_MESSAGE], txn);

	if (err != MX_OK)
		return err;
	key_message(&k, after + 1);
	err = scan_seek(&p, &k);
	while (err == MX_OK && page->n < IDS_PER_LOOK)
		err = key_message_parse(p.key, &page->ids[page->n++])
			      ? scan_next(&p)
			      : MX_ECORRUPT;
	scan_close(&p);
	return err == MX_ENOENT ? MX_OK : err;
}

static enum mx_err ids_of_domain(struct spool *sp, MDB_txn *txn,
				 struct span domain, uint64_t after,
				 struct page *page)
{
	enum mx_err err = MX_OK;

	while (page->n < IDS_PER_LOOK && after < UINT64_MAX) {
		err = find_first(sp, txn, IN_BOTH, domain, after + 1, &after);
		if (err != MX_OK || after == UINT64_MAX)
			break;
		page->ids[page->n++] = after;
	}
	return err;
}

/* Has the unit a recipient on the shelf? */
static enum mx_err is_on_shelf(struct spool *sp, MDB_txn *txn, uint64_t id,
			       struct span domain, bool *yes)
{
	struct recipient_row row = { 0 };
	uint32_t number = 0;
	enum mx_err err;

	*yes = false;
	while ((err = find_recipient(sp, txn, id, domain, number, &row)) ==
	       MX_OK) {
		*yes = row.r.state == RECIPIENT_SHELVED;
		number = row.r.number + 1;
		if (*yes || number == 0)
			break;
	}
	return err == MX_ENOENT ? MX_OK : err;
}

static void page_add(struct page *page, struct unit *u)
{
	if (page->unit_count == page->unit_cap) {
		page->unit_cap = page->unit_cap > 0 ? page->unit_cap * 2 : 64;
		page->units = mx_realloc(
			page->units, page->unit_cap * sizeof(struct unit *));
	}
	page->units[page->unit_count++] = u;
	page->rcpts += u->rcpt_count;
}

/* A unit that the page is about. */
static enum mx_err add_unit(struct spool *sp, MDB_txn *txn, uint64_t id,
			    struct span domain, struct page *page)
{
	const struct choice c = { .what = ALL };
	bool is_wanted = true;
	struct unit *u = NULL;
	enum mx_err err = MX_OK;

	if (page->shelved_only)
		err = is_on_shelf(sp, txn, id, domain, &is_wanted);
	if (err == MX_OK && is_wanted)
		err = load(sp, txn, id, domain, &c, &u);
	if (u != NULL)
		page_add(page, u);
	return err;
}

/* Every unit of a message, found by its recipients. */
static enum mx_err units_of(struct spool *sp, MDB_txn *txn, uint64_t id,
			    struct page *page)
{
	char name[KEY_DOMAIN_MAX];
	size_t n = FIND_FIRST;
	enum mx_err err;

	while ((err = find_next_domain(sp, txn, id, name, &n)) == MX_OK) {
		err = add_unit(sp, txn, id, span_of(name, n), page);
		if (err != MX_OK)
			break;
	}
	return err == MX_ENOENT ? MX_OK : err;
}

static enum mx_err load_page(struct spool *sp, struct span domain,
			     uint64_t after, struct page *page)
{
	MDB_txn *txn;
	enum mx_err err = read_begin(sp, &txn);

	if (err != MX_OK)
		return err;
	err = domain.n > 0 ? ids_of_domain(sp, txn, domain, after, page)
			   : ids_of_all(sp, txn, after, page);
	page->is_last = page->n < IDS_PER_LOOK;
	for (size_t i = 0; err == MX_OK && i < page->n; i++) {
		if (page->rcpts >= RCPTS_PER_LOOK) {
			page->n = i;
			page->is_last = false;
			break;
		}
		err = domain.n == 0 ? units_of(sp, txn, page->ids[i], page)
				    : add_unit(sp, txn, page->ids[i], domain,
					       page);
	}
	read_end(sp);
	return err;
}

/* Show the units of a page and free them; false: enough. */
static bool show_page(struct page *page, spool_unit_cb *cb, void *arg)
{
	bool go_on = true;

	for (size_t i = 0; i < page->unit_count; i++) {
		go_on = go_on && cb(page->units[i], arg);
		unit_free(&page->units[i]);
	}
	free(page->units);
	return go_on;
}

static enum mx_err list(struct spool *sp, struct span domain, uint64_t after,
			bool shelved_only, spool_unit_cb *cb, void *arg)
{
	bool go_on = true;

	if (!key_domain_is_valid(domain))
		return MX_OK;
	while (go_on && after < UINT64_MAX) {
		struct page page = { .shelved_only = shelved_only };
		enum mx_err err = load_page(sp, domain, after, &page);

		if (page.n > 0)
			after = page.ids[page.n - 1];
		go_on = show_page(&page, cb, arg) && !page.is_last;
		if (err != MX_OK)
			return err;
	}
	return MX_OK;
}

enum mx_err spool_list(struct spool *sp, struct span domain, uint64_t after,
		       spool_unit_cb *cb, void *arg)
{
	return list(sp, domain, after, false, cb, arg);
}

enum mx_err spool_list_shelved(struct spool *sp, struct span domain,
			       uint64_t after, spool_unit_cb *cb, void *arg)
{
	return list(sp, domain, after, true, cb, arg);
}

enum mx_err spool_message(struct spool *sp, uint64_t id, spool_unit_cb *cb,
			  void *arg)
{
	struct page page = { .n = 0 };
	MDB_txn *txn;
	enum mx_err err = read_begin(sp, &txn);

	if (err != MX_OK)
		return err;
	err = units_of(sp, txn, id, &page);
	read_end(sp);
	if (err == MX_OK && page.unit_count == 0)
		err = MX_ENOENT;
	show_page(&page, cb, arg);
	return err;
}
