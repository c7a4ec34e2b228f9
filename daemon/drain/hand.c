/* Units in hand: taken by nobody else, until what became of them is durable. */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/log.h"
#include "daemon/drain/internal.h"

/* Keys are compared byte by byte. */
_Static_assert(sizeof(struct hand_key) == sizeof(uint64_t) + sizeof(void *),
	       "a key with padding");

/* Ids count up and domains lie 16 bytes apart at least: one multiplication
 * spreads both over the upper bits. */
unsigned hand_hash(const struct hand_key *k)
{
	uint64_t x = k->id ^ ((uint64_t)(uintptr_t)k->domain << 28);

	return (unsigned)((x * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

bool hand_has(struct drain *d, uint64_t id, const struct domain *dom)
{
	const struct hand_key k = { id, dom };
	struct hand *h;

	HASH_FIND_BYHASHVALUE(hh, d->hands, &k, sizeof(k), hand_hash(&k), h);
	return h != NULL;
}

static struct claim *claim_find(struct drain *d, uint64_t id,
				const struct domain *dom)
{
	const struct hand_key k = { id, dom };
	struct claim *c;

	HASH_FIND_BYHASHVALUE(hh, d->claims, &k, sizeof(k), hand_hash(&k), c);
	return c;
}

bool hand_is_taken(struct drain *d, uint64_t id, const struct domain *dom)
{
	return hand_has(d, id, dom) ||
	       (d->claims != NULL && claim_find(d, id, dom) != NULL);
}

bool hand_claim(struct drain *d, uint64_t id, const struct domain *dom)
{
	struct claim *c;

	if (hand_is_taken(d, id, dom))
		return false;
	c = mx_alloc(sizeof(*c));
	c->key = (struct hand_key){ id, dom };
	HASH_ADD_BYHASHVALUE(hh, d->claims, key, sizeof(c->key),
			     hand_hash(&c->key), c);
	return true;
}

void hand_unclaim(struct drain *d, uint64_t id, const struct domain *dom)
{
	struct claim *c = claim_find(d, id, dom);

	if (c == NULL)
		return;
	HASH_DEL(d->claims, c);
	free(c);
}

void claims_forget(struct drain *d)
{
	struct claim *c, *tmp;

	HASH_ITER (hh, d->claims, c, tmp) {
		HASH_DEL(d->claims, c);
		free(c);
	}
}

int64_t retry_step_ms(const struct config *c, uint32_t attempts)
{
	size_t n = c->drain.retry_count;

	if (n == 0)
		return HOURS(1);
	return c->drain.retry_ms[attempts < n ? attempts : n - 1];
}

int64_t retry_longest_ms(const struct config *c)
{
	int64_t longest = retry_step_ms(c, 0);

	for (size_t i = 1; i < c->drain.retry_count; i++)
		if (c->drain.retry_ms[i] > longest)
			longest = c->drain.retry_ms[i];
	return longest;
}

/* When a recipient that failed before may be tried again. */
int64_t retry_due_ms(const struct config *c, const struct recipient *r)
{
	if (r->attempts == 0 || r->attempt_ms == 0)
		return 0;
	return r->attempt_ms + retry_step_ms(c, r->attempts - 1);
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

struct hand *hand_new(struct domain *dom, struct unit **unit)
{
	struct drain *d = dom->drain;
	struct hand *h = mx_alloc(sizeof(*h));
	size_t count = put_due_first(d->config, *unit);

	h->magic = HAND_MAGIC;
	h->drain = d;
	h->key = (struct hand_key){ (*unit)->envelope.id, dom };
	h->domain = dom;
	h->job = delivery_job_new(unit, delivery_from_spool(d->spool),
				  &link_listener, h);
	h->job->count = count;
	h->tls = "";
	TAILQ_INIT(&h->followers);
	dom->in_hand++;
	HASH_ADD_BYHASHVALUE(hh, d->hands, key, sizeof(h->key),
			     hand_hash(&h->key), h);
	return h;
}

void hand_drop(struct hand *h)
{
	struct drain *d = h->drain;

	risk_over(h);
	ev_timer_stop(d->loop, &h->retry);
	HASH_DEL(d->hands, h);
	h->domain->in_hand--;
	delivery_job_free(&h->job);
	h->magic = 0;
	free(h);
}
