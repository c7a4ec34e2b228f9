#include "tests/support/spool_audit.h"

#include <stdlib.h>

#include "common/spool/bytes.h"
#include "common/spool/content.h"
#include "common/spool/find.h"
#include "common/spool/spool_priv.h"
#include "common/spool/look.h"

struct audit {
	struct spool *sp;
	MDB_txn *txn;
	struct buf *why;
	uint64_t messages, bytes;
};

static bool wrong(struct audit *a, uint64_t id, const char *what)
{
	buf_addf(a->why, "message %llx: %s", (unsigned long long)id, what);
	return false;
}

static bool has(struct audit *a, enum table_id t, const struct key *k)
{
	struct span value;

	return table_get(&a->sp->tables[t], a->txn, k, &value) == MX_OK;
}

/* Rows of one domain: what its counters must say. */
struct tally {
	uint64_t units, bytes, ready, deferred, held, refused, oldest;
	uint64_t refused_bytes;
	bool is_held; /* the domain: its lifetimes may be struck off */
};

static bool envelope_of(struct audit *a, uint64_t id, struct envelope *e,
			uint32_t *units)
{
	struct span value;
	struct key k;

	key_message(&k, id);
	return table_get(&a->sp->tables[T_MESSAGE], a->txn, &k, &value) ==
		       MX_OK &&
	       envelope_get(value, e, units);
}

/* When the first of its parked recipients is due; 0: none is parked. */
static int64_t parked_of(struct audit *a, uint64_t id, struct span domain,
			 bool *is_pending)
{
	struct recipient_row row;
	uint32_t number = 0;
	int64_t at = 0;

	*is_pending = false;
	for (; find_recipient(a->sp, a->txn, id, domain, number, &row) == MX_OK;
	     number = row.r.number + 1) {
		*is_pending |= row.r.state == RECIPIENT_PENDING;
		if (recipient_is_parked(&row.r) &&
		    (at == 0 || row.r.until_ms < at))
			at = row.r.until_ms;
	}
	return at;
}

static bool check_parked(struct audit *a, const struct found *u,
			 const struct tally *t)
{
	bool is_pending;
	int64_t at = parked_of(a, u->id, u->domain, &is_pending);
	struct key k;

	key_expiry(&k, at, u->id, u->domain, EXPIRY_PARKED);
	if (u->state == UNIT_REFUSED && (at == 0 || is_pending))
		return wrong(a, u->id, "refused, and not for that");
	if (u->state != UNIT_REFUSED && u->state != UNIT_HELD && !is_pending)
		return wrong(a, u->id, "nobody of it is to be tried");
	return at == 0 || u->state == UNIT_HELD || t->is_held ||
	       has(a, T_EXPIRY, &k) ||
	       wrong(a, u->id, "parked for ever");
}

static bool check_unit(struct audit *a, uint64_t id, struct span domain,
		       struct tally *t)
{
	struct recipient_row row;
	struct envelope env;
	struct found u;
	uint32_t units;
	struct key k;

	if (!envelope_of(a, id, &env, &units))
		return wrong(a, id, "a unit without a message");
	if (find_recipient(a->sp, a->txn, id, domain, 0, &row) != MX_OK)
		return wrong(a, id, "a unit without recipients");
	if (find_unit(a->sp, a->txn, id, domain, &u) != MX_OK)
		return wrong(a, id, "a unit without a state");
	key_ready(&k, domain, id);
	if (has(a, T_READY, &k) && has(a, T_PARKED, &k))
		return wrong(a, id, "ready and parked");
	key_deferred(&k, u.due_ms, domain, id);
	if (u.state == UNIT_DEFERRED && !has(a, T_DEFERRED, &k))
		return wrong(a, id, "deferred without a due row");
	key_expiry(&k, row.expires_ms, id, domain, EXPIRY_END);
	if (u.state != UNIT_HELD && u.state != UNIT_REFUSED && !t->is_held &&
	    !has(a, T_EXPIRY, &k))
		return wrong(a, id, "never expires");
	if ((u.state == UNIT_HELD || u.state == UNIT_REFUSED) &&
	    has(a, T_EXPIRY, &k))
		return wrong(a, id, "held or refused, and expires");
	if (!check_parked(a, &u, t))
		return false;
	t->units++;
	t->bytes += env.bytes;
	t->ready += u.state == UNIT_READY;
	t->deferred += u.state == UNIT_DEFERRED;
	t->held += u.state == UNIT_HELD;
	t->refused += u.state == UNIT_REFUSED;
	t->refused_bytes += u.state == UNIT_REFUSED ? env.bytes : 0;
	if (t->oldest == 0 || id < t->oldest)
		t->oldest = id;
	return true;
}

static bool walk_units(struct audit *a, enum table_id table, struct span domain,
		       struct tally *t)
{
	struct scan p;
	struct span name;
	struct key k;
	uint64_t id;
	bool ok = scan_open(&p, &a->sp->tables[table], a->txn) == MX_OK;

	key_ready(&k, domain, 0);
	for (enum mx_err e = scan_seek(&p, &k); ok && e == MX_OK;
	     e = scan_next(&p)) {
		ok = key_ready_parse(p.key, &name, &id);
		if (ok && !span_eq(name, domain))
			break;
		ok = ok && check_unit(a, id, domain, t);
	}
	scan_close(&p);
	return ok;
}

static bool check_domain_row(struct audit *a, struct span domain,
			     const struct domain_row *row)
{
	const struct spool_domain *d = &row->d;
	struct tally t = { .is_held = d->is_held || d->is_unlisted };

	if (!walk_units(a, T_READY, domain, &t) ||
	    !walk_units(a, T_PARKED, domain, &t))
		return false;
	if (t.units != d->units || t.bytes != d->bytes || t.ready != d->ready ||
	    t.deferred != d->deferred || t.held != d->held ||
	    t.refused != d->refused || t.refused_bytes != d->refused_bytes)
		return wrong(a, 0, "a domain's counters differ");
	if (t.units > 0 && t.oldest != row->oldest_id)
		return wrong(a, t.oldest, "is the oldest of its domain");
	return t.units > 0 || d->is_held ||
	       wrong(a, 0, "a domain row of nothing");
}

static bool check_content(struct audit *a, uint64_t id, uint64_t bytes)
{
	struct scan p;
	struct key k;
	uint64_t at = 0, first = 0, from, of;
	bool is_first = true;
	bool ok = scan_open(&p, &a->sp->tables[T_CONTENT], a->txn) == MX_OK;

	key_message(&k, id);
	for (enum mx_err e = scan_seek(&p, &k); ok && e == MX_OK;
	     e = scan_next(&p)) {
		ok = key_content_parse(p.key, &of, &from);
		if (!ok || of != id)
			break;
		if (is_first)
			first = at = from;
		is_first = false;
		ok = from == at && first <= CONTENT_BASE;
		at += p.value.n;
	}
	scan_close(&p);
	return (ok && at - first == bytes) || wrong(a, id, "its content has a hole");
}

/* Every recipient row belongs to a unit; counts the units of the message. */
static bool count_units(struct audit *a, uint64_t id, uint32_t *units)
{
	struct scan p;
	struct key k;
	struct span domain;
	uint64_t of;
	uint32_t number;
	enum mx_err e = scan_open(&p, &a->sp->tables[T_RECIPIENT], a->txn);

	*units = 0;
	key_message(&k, id);
	if (e == MX_OK)
		e = scan_seek(&p, &k);
	while (e == MX_OK) {
		struct found u;

		if (!key_recipient_parse(p.key, &of, &domain, &number) ||
		    of != id)
			break;
		(*units)++;
		if (find_unit(a->sp, a->txn, id, domain, &u) != MX_OK)
			break;
		key_recipient(&k, id, domain, UINT32_MAX);
		e = scan_seek(&p, &k);
	}
	scan_close(&p);
	return true;
}

static bool check_message(struct audit *a, struct span key, struct span value)
{
	struct envelope env;
	uint32_t units, found;
	struct key k;
	uint64_t id;

	if (!key_message_parse(key, &id) || !envelope_get(value, &env, &units))
		return wrong(a, 0, "a row that does not decode");
	a->messages++;
	a->bytes += env.bytes;
	if (!count_units(a, id, &found) || units != found || units == 0)
		return wrong(a, id, "another number of units");
	key_garbage(&k, GARBAGE_OPEN, id);
	if (has(a, T_GARBAGE, &k))
		return wrong(a, id, "marked as open");
	return check_content(a, id, env.bytes);
}

static bool check_domain_entry(struct audit *a, struct span key,
			       struct span value)
{
	struct domain_row row = { 0 };
	struct span domain;

	return (key_domain_parse(key, &domain) && domain_row_get(value, &row) &&
		check_domain_row(a, domain, &row)) ||
	       (a->why->n == 0 && wrong(a, 0, "a domain row"));
}

/* ready and parked rows of domains that have no row, or of no message */
static bool check_ready_row(struct audit *a, struct span key, struct span value)
{
	struct span domain;
	struct key k;
	uint64_t id;

	(void)value;
	if (!key_ready_parse(key, &domain, &id))
		return wrong(a, 0, "a ready row");
	key_domain(&k, domain);
	return has(a, T_DOMAIN, &k) || wrong(a, id, "its domain has no row");
}

static bool check_recipient_row(struct audit *a, struct span key,
				struct span value)
{
	struct recipient_row row;
	struct span domain;
	struct found u;
	struct key k;
	uint64_t id;
	uint32_t number;

	if (!key_recipient_parse(key, &id, &domain, &number) ||
	    !recipient_get(value, &row))
		return wrong(a, 0, "a recipient row");
	key_message(&k, id);
	if (!has(a, T_MESSAGE, &k))
		return wrong(a, id, "a recipient without a message");
	return find_unit(a->sp, a->txn, id, domain, &u) == MX_OK ||
	       wrong(a, id, "a recipient without a unit");
}

static bool check_deferred_row(struct audit *a, struct span key,
			       struct span value)
{
	struct span domain;
	struct found u;
	int64_t due;
	uint64_t id;

	(void)value;
	return (key_deferred_parse(key, &due, &domain, &id) &&
		find_unit(a->sp, a->txn, id, domain, &u) == MX_OK &&
		u.state == UNIT_DEFERRED && due == u.due_ms) ||
	       wrong(a, 0, "a due row without its unit");
}

static bool check_expiry_row(struct audit *a, struct span key,
			     struct span value)
{
	enum expiry_kind kind;
	struct span domain;
	struct found u;
	int64_t at;
	uint64_t id;

	(void)value;
	return (key_expiry_parse(key, &at, &id, &domain, &kind) &&
		find_unit(a->sp, a->txn, id, domain, &u) == MX_OK) ||
	       wrong(a, 0, "an expiry row without its unit");
}

/* Content belongs to a message or is marked as garbage. */
static bool check_content_row(struct audit *a, struct span key,
			      struct span value)
{
	struct key k;
	uint64_t id, offset;

	(void)value;
	if (!key_content_parse(key, &id, &offset))
		return wrong(a, 0, "a content row");
	key_message(&k, id);
	if (has(a, T_MESSAGE, &k))
		return true;
	key_garbage(&k, GARBAGE_OPEN, id);
	if (has(a, T_GARBAGE, &k))
		return true;
	key_garbage(&k, GARBAGE_DEAD, id);
	return has(a, T_GARBAGE, &k) || wrong(a, id, "content of nothing");
}

typedef bool row_fn(struct audit *a, struct span key, struct span value);

static bool walk_table(struct audit *a, enum table_id t, row_fn *fn)
{
	struct scan p;
	bool ok = scan_open(&p, &a->sp->tables[t], a->txn) == MX_OK;

	for (enum mx_err e = scan_seek(&p, NULL); ok && e == MX_OK;
	     e = scan_next(&p))
		ok = fn(a, p.key, p.value);
	scan_close(&p);
	return ok;
}

/* ---- What is known of recipients: each row has its place in one order ---- */

enum { KNOWN_ORDER_SIZE = 8 + SPOOL_KNOWN_KEY_SIZE };

static bool check_known_row(struct audit *a, struct span key,
			    struct span value)
{
	char order[KNOWN_ORDER_SIZE];
	struct spool_known k;
	struct span none;

	if (key.n != SPOOL_KNOWN_KEY_SIZE || !known_row_get(value, &k))
		return wrong(a, 0, "a row of what is known");
	memcpy(bytes_put(order, (uint64_t)k.at_ms, 8), key.p, key.n);
	return table_get_name(&a->sp->tables[k.what == KNOWN_NO ? T_KNOWN_BAD
								: T_KNOWN_GOOD],
			      a->txn, span_of(order, sizeof(order)),
			      &none) == MX_OK ||
	       wrong(a, 0, "what is known has no place in the order");
}

static bool check_known_order(struct audit *a, struct span key,
			      struct span value)
{
	struct bytes_in in = { key, false };
	uint64_t at = bytes_get(&in, 8);
	struct spool_known k;

	return (table_get_name(&a->sp->tables[T_KNOWN], a->txn, in.left,
			       &value) == MX_OK &&
		known_row_get(value, &k) && (uint64_t)k.at_ms == at) ||
	       wrong(a, 0, "an order of what is not known");
}

bool spool_audit(struct spool *sp, struct buf *why)
{
	static const struct {
		enum table_id table;
		row_fn *fn;
	} walks[] = {
		{ T_MESSAGE, check_message },
		{ T_DOMAIN, check_domain_entry },
		{ T_READY, check_ready_row },
		{ T_PARKED, check_ready_row },
		{ T_RECIPIENT, check_recipient_row },
		{ T_DEFERRED, check_deferred_row },
		{ T_EXPIRY, check_expiry_row },
		{ T_CONTENT, check_content_row },
		{ T_KNOWN, check_known_row },
		{ T_KNOWN_GOOD, check_known_order },
		{ T_KNOWN_BAD, check_known_order },
	};
	struct audit a = { .sp = sp, .why = why };
	struct spool_totals totals;
	bool ok;

	if (spool_totals(sp, &totals) != MX_OK ||
	    read_begin(sp, &a.txn) != MX_OK)
		return wrong(&a, 0, "cannot be read");
	ok = true;
	for (size_t i = 0; ok && i < COUNT(walks); i++)
		ok = walk_table(&a, walks[i].table, walks[i].fn);
	read_end(sp);
	if (ok && (a.messages != totals.messages || a.bytes != totals.bytes))
		ok = wrong(&a, 0, "the totals differ");
	return ok;
}
