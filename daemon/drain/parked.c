/*
 * A unit comes back from the spool when a recipient that was parked there is
 * due; it goes to no host again.
 *
 *   due --> taken --the sender is to be proven--> asked --> decided -->
 * recorded
 *               \-------------------------------------------^
 *
 * Until it is recorded nothing of this is on the disk: a crash begins again.
 * A restart, an order of the operator or the brake may have another say then.
 */
#include "common/base/assert.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/give_up.h"
#include "daemon/drain/join.h"
#include "daemon/drain/parked.h"
#include "daemon/drain/unlisted.h"

/* Questions that are out; a slow name server of some senders' must not have all
 * memory. */
enum { ASKED_MAX = 256 };

void parked_start(struct drain *d)
{
	TAILQ_INIT(&d->asking_proof);
}

static void decide(struct attempt *a, enum proof proof)
{
	give_up_parked(a, proof);
	join_conclude(a);
}

static void answered(struct attempt *a)
{
	struct drain *d = a->drain;

	MX_ASSERT(a->question != NULL && d->asked > 0);
	a->question = NULL;
	TAILQ_REMOVE(&d->asking_proof, a, asking);
	d->asked--;
}

static void on_proof(enum proof proof, void *arg)
{
	struct attempt *a = arg;

	MX_ASSERT(a->magic == ATTEMPT_MAGIC);
	answered(a);
	decide(a, proof);
}

static void ask(struct attempt *a)
{
	struct drain *d = a->drain;
	const struct give_up_proof *p = d->proof;

	a->question = p->ask(&a->job->unit->envelope, on_proof, a, p->arg);
	MX_ASSERT(a->question != NULL);
	TAILQ_INSERT_TAIL(&d->asking_proof, a, asking);
	d->asked++;
}

void parked_cancel(struct attempt *a)
{
	struct drain *d = a->drain;
	void *question = a->question;

	answered(a);
	d->proof->cancel(question, d->proof->arg);
	MX_ASSERT(d->unsettled > 0);
	d->unsettled--;
	attempt_drop(a);
}

void parked_forget(struct drain *d)
{
	struct attempt *a;

	while ((a = TAILQ_FIRST(&d->asking_proof)) != NULL)
		parked_cancel(a);
}

static void decide_on(struct domain *dom, struct unit **unit)
{
	struct drain *d = dom->drain;
	struct attempt *a = attempt_new_for(dom, unit, NULL);

	a->job->count = a->job->unit->rcpt_count;
	a->is_concluding = true;
	d->unsettled++;
	if (d->proof != NULL && give_up_needs_proof(a))
		ask(a);
	else
		decide(a, PROOF_NONE);
}

bool parked_take(struct drain *d, const struct spool_expiry *due)
{
	struct span name = span_str(due->domain);
	struct domain *dom = domain_need(d, name);
	struct unit *u = NULL;

	if (d->asked >= ASKED_MAX || attempt_has(d, due->id, dom))
		return false;
	if (dom->dest != NULL && hold_of(dom->dest) != NULL)
		return false; /* what is held has time */
	if (spool_unit_parked(d->spool, due->id, name, due->at_ms, &u) != MX_OK)
		return false;
	if (!unlisted_may_end(dom, u)) {
		unit_free(&u);
		return false;
	}
	decide_on(dom, &u);
	return true;
}
