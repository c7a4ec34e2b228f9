/* Units in flight: taken by nobody else, until what became of them is durable.
 */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/retry.h"
#include "daemon/drain/risk.h"

/* Keys are compared byte by byte. */
_Static_assert(sizeof(struct attempt_key) == sizeof(uint64_t) + sizeof(void *),
	       "a key with padding");

/* Ids count up and domains lie 16 bytes apart at least: one multiplication
 * spreads both over the upper bits. */
unsigned attempt_hash(const struct attempt_key *k)
{
	uint64_t x = k->id ^ ((uint64_t)(uintptr_t)k->domain << 28);

	return hash_number(x);
}

struct attempt *attempt_find(struct drain *d, uint64_t id,
			     const struct domain *dom)
{
	const struct attempt_key k = { id, dom };
	struct attempt *a;

	HASH_FIND_BYHASHVALUE(hh, d->attempts, &k, sizeof(k), attempt_hash(&k),
			      a);
	return a;
}

bool attempt_has(struct drain *d, uint64_t id, const struct domain *dom)
{
	return attempt_find(d, id, dom) != NULL;
}

/*
 * A unit is ready again when its first recipient is; the others wait for
 * their own time behind it.  When none is due, somebody asked for it: all.
 */
static size_t put_due_first(const struct config *c, struct unit *u)
{
	int64_t now = clock_wall_ms();
	size_t n = 0;

	if (u->rcpt_count <= 1)
		return u->rcpt_count;
	for (size_t i = 0; i < u->rcpt_count; i++) {
		struct recipient r = u->rcpts[i];

		/* an attempt in the future: the clock was set back */
		if (retry_due_ms(c, &r) > now + SECONDS(1) &&
		    r.attempt_ms <= now)
			continue;
		u->rcpts[i] = u->rcpts[n];
		u->rcpts[n++] = r;
	}
	return n > 0 ? n : u->rcpt_count;
}

bool attempt_is_delivery(const struct attempt *a)
{
	return a->order == NULL && !a->is_parked;
}

static struct attempt *make(struct domain *dom, struct unit **unit)
{
	struct drain *d = dom->drain;
	struct attempt *a = mx_alloc(sizeof(*a));

	MX_ASSERT(!attempt_has(d, (*unit)->envelope.id, dom));
	a->magic = ATTEMPT_MAGIC;
	a->drain = d;
	a->key = (struct attempt_key){ (*unit)->envelope.id, dom };
	a->domain = dom;
	a->job = delivery_job_new(unit, delivery_from_spool(d->spool),
				  d->link_listener, a);
	a->tls = "";
	TAILQ_INIT(&a->followers);
	TAILQ_INIT(&a->next);
	dom->in_flight++;
	HASH_ADD_BYHASHVALUE(hh, d->attempts, key, sizeof(a->key),
			     attempt_hash(&a->key), a);
	return a;
}

struct attempt *attempt_new_for(struct domain *dom, struct unit **unit,
				struct order *order)
{
	struct attempt *a = make(dom, unit);

	a->order = order;
	a->is_parked = order == NULL;
	dom->ordered++;
	return a;
}

struct attempt *attempt_new(struct domain *dom, struct unit **unit)
{
	size_t due = put_due_first(dom->drain->config, *unit);
	struct attempt *a = make(dom, unit);

	a->job->count = due;
	return a;
}

void order_end(struct order *o, enum mx_err err)
{
	o->cb(err, o->arg);
	free(o);
}

void attempt_end_orders(struct attempt *a, enum mx_err err)
{
	struct order *o;

	while ((o = TAILQ_FIRST(&a->next)) != NULL) {
		TAILQ_REMOVE(&a->next, o, link);
		order_end(o, err);
	}
}

void attempt_free(struct attempt *a)
{
	delivery_job_free(&a->job);
	a->magic = 0;
	free(a);
}

void attempt_drop(struct attempt *a)
{
	struct drain *d = a->drain;
	struct order_list next = TAILQ_HEAD_INITIALIZER(next);
	struct domain *dom = a->domain;
	uint64_t id = a->key.id;

	MX_ASSERT(a->magic == ATTEMPT_MAGIC && !a->is_submitted);
	MX_ASSERT(a->question == NULL);
	MX_ASSERT(TAILQ_EMPTY(&a->followers));
	risk_over(a);
	ev_timer_stop(d->loop, &a->retry);
	HASH_DEL(d->attempts, a);
	MX_ASSERT(dom->in_flight > 0);
	dom->in_flight--;
	dom->ordered -= !attempt_is_delivery(a);
	TAILQ_CONCAT(&next, &a->next, link);
	attempt_free(a);
	if (!TAILQ_EMPTY(&next))
		d->on_dropped(dom, id, &next);
}
