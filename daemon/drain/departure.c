#include "daemon/drain/departure.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/conclude.h"
#include "daemon/drain/drain_priv.h"

enum {
	AT_ONCE = 4, /* of one domain */
	ALLOWED_MOST = 1024,
};

#define AGAIN_MS MINUTES(5)
#define PATIENCE_MS HOURS(1)

struct departure {
	TAILQ_ENTRY(departure) link;
	struct drain *drain;
	struct attempt *attempt; /* asked */
	void *question;
	uint64_t id; /* allowed */
	UT_hash_handle hh;
};

/* ---- Allowed once ---- */

static void forget(struct drain *d, struct departure *p)
{
	MX_ASSERT(p != NULL && d->departures.by_id != NULL);
	HASH_DEL(d->departures.by_id, p);
	TAILQ_REMOVE(&d->departures.allowed, p, link);
	d->departures.allowed_count--;
	free(p);
}

/* Who is forgotten is asked about again. */
static void allow(struct drain *d, uint64_t id)
{
	struct departure *p = mx_alloc(sizeof(*p));

	if (d->departures.allowed_count >= ALLOWED_MOST)
		forget(d, TAILQ_FIRST(&d->departures.allowed));
	p->id = id;
	HASH_ADD_BYHASHVALUE(hh, d->departures.by_id, id, sizeof(p->id),
			     hash_number(id), p);
	TAILQ_INSERT_TAIL(&d->departures.allowed, p, link);
	d->departures.allowed_count++;
}

bool departure_allows(struct domain *dom, const struct unit *u)
{
	struct drain *d = dom->drain;
	struct departure *p;
	uint64_t id = u->envelope.id;

	if (d->config->bounce.mode != BOUNCE_PROVEN || !u->envelope.is_dsn ||
	    u->envelope.client_addr.n == 0 || dom->standing == HAS_DENIAL)
		return true;
	HASH_FIND_BYHASHVALUE(hh, d->departures.by_id, &id, sizeof(id),
			      hash_number(id), p);
	if (p == NULL)
		return false;
	forget(d, p);
	return true;
}

/* ---- Asked ---- */

static struct attempt *take_back(struct departure *p)
{
	struct attempt *a = p->attempt;

	TAILQ_REMOVE(&p->drain->departures.asked, p, link);
	MX_ASSERT(a->domain->departing > 0);
	a->domain->departing--;
	a->is_concluding = false;
	free(p);
	return a;
}

static void end(struct attempt *a)
{
	conclude_with(a, OUTCOME_PERMANENT,
		      SPAN_LIT("(proof) 5.7.1 It is not proven that this "
			       "sender sent the message"));
}

static void wait_more(struct attempt *a)
{
	int64_t arrived_ms = a->job->unit->envelope.arrived_ms;

	if (clock_wall_ms() - arrived_ms >= PATIENCE_MS) {
		end(a);
		return;
	}
	a->wait_ms = AGAIN_MS;
	conclude_with(a, OUTCOME_WAITING, span_of(NULL, 0));
}

static void on_proof(enum proof proof, void *arg)
{
	struct departure *p = arg;
	struct drain *d = p->drain;
	struct attempt *a = take_back(p);
	struct domain *dom = a->domain;
	bool again = dom->is_departing_full;

	MX_ASSERT(a->magic == ATTEMPT_MAGIC);
	dom->is_departing_full = false;
	if (proof == PROOF_PASS) {
		allow(d, a->key.id);
		attempt_drop(a);
		again = true;
	} else if (proof == PROOF_LATER) {
		wait_more(a);
	} else {
		end(a);
	}
	if (again)
		domain_rewind(dom);
}

/* What proves it: the client that brought the message, and its sender, whom
 * the report goes to. */
static struct envelope question_of(const struct unit *u)
{
	struct envelope env = u->envelope;

	env.from = u->rcpts[0].path;
	return env;
}

void departure_ask(struct attempt *a)
{
	struct drain *d = a->drain;
	struct envelope env = question_of(a->job->unit);
	struct departure *p;

	if (d->proof == NULL) {
		end(a);
		return;
	}
	p = mx_alloc(sizeof(*p));
	p->drain = d;
	p->attempt = a;
	a->is_concluding = true; /* no delivery has it */
	a->domain->departing++;
	TAILQ_INSERT_TAIL(&d->departures.asked, p, link);
	p->question = d->proof->ask(&env, on_proof, p, d->proof->arg);
}

bool departure_is_full(struct domain *dom)
{
	dom->is_departing_full = dom->departing >= AT_ONCE;
	return dom->is_departing_full;
}

void departure_start(struct drain *d)
{
	TAILQ_INIT(&d->departures.asked);
	TAILQ_INIT(&d->departures.allowed);
}

void departure_stop(struct drain *d)
{
	struct departure *p;

	while ((p = TAILQ_FIRST(&d->departures.asked)) != NULL) {
		d->proof->cancel(p->question, d->proof->arg);
		attempt_drop(take_back(p));
	}
	while ((p = TAILQ_FIRST(&d->departures.allowed)) != NULL)
		forget(d, p);
}
