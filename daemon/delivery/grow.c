/* Jobs that grow while they are under way, and those that end before their
 * answer: mail that is carried on as it arrives (delivery.h). */
#include "common/base/assert.h"
#include "daemon/delivery/delivery_priv.h"

static void *grown(struct arena *a, const void *old, size_t n, size_t cap,
		   size_t size)
{
	void *new = arena_alloc_array(a, cap, size);

	if (n > 0)
		memcpy(new, old, n * size);
	return new;
}

static void make_room(struct tx *tx)
{
	struct unit *u = tx->job.unit;
	size_t n = tx->job.count;

	if (n < tx->cap)
		return;
	tx->cap = n < 4 ? 8 : 2 * n;
	u->rcpts = grown(&u->arena, u->rcpts, n, tx->cap, sizeof(*u->rcpts));
	tx->job.set =
		grown(&u->arena, tx->job.set, n, tx->cap, sizeof(*tx->job.set));
	tx->job.is_rcpt_refused = grown(&u->arena, tx->job.is_rcpt_refused, n,
					tx->cap, sizeof(bool));
}

void delivery_more_rcpt(struct delivery *d, struct delivery_job *job,
			const struct recipient *r)
{
	struct tx *tx = job_tx(job);
	struct unit *u = job->unit;
	struct recipient *to;

	MX_ASSERT(job->more == MORE_RCPTS && job->count == u->rcpt_count);
	make_room(tx);
	to = &u->rcpts[u->rcpt_count++];
	*to = (struct recipient){
		.number = r->number,
		.path = arena_span(&u->arena, r->path),
		.domain = arena_span(&u->arena, r->domain),
		.orcpt = arena_span(&u->arena, r->orcpt),
		.notify = r->notify,
	};
	job->set[job->count++].number = r->number;
	drive(d);
}

void delivery_more_content(struct delivery *d, struct delivery_job *job,
			   uint64_t bytes, bool is_all)
{
	MX_ASSERT(job->more != MORE_NOTHING && bytes >= job->bytes);
	job->bytes = bytes;
	job->more = is_all ? MORE_NOTHING : MORE_CONTENT;
	drive(d);
}

/* ---- Nobody waits for it any longer ---- */

static void drop(struct delivery *d, struct delivery_job *job, void *arg)
{
	(void)d;
	(void)arg;
	delivery_job_free(&job);
}

static const struct delivery_listener nobody = { .on_done = drop };

/* Does the server wait for content, or will it? */
static bool is_in_content(const struct tx *tx)
{
	return tx->at == TX_CONTENT ||
	       (tx->at == TX_WAIT && !tx->is_asking && !tx_is_callout(tx));
}

static void abandon(struct delivery *d)
{
	end_made(d, DELIVERY_CLOSED, ST_CONTENT, 451, "4.4.2",
		 SPAN_LIT("The sender left in the middle of it"));
	drive_soon(d); /* never end before return */
}

void delivery_job_cancel(struct delivery *d, struct delivery_job **job)
{
	struct tx *tx = job_tx(*job);

	*job = NULL;
	tx->job.listener = &nobody;
	tx->is_cancelled = d->has_cancelled = true;
	if (d->life == LIFE_OVER)
		return; /* lose_all has it */
	if (is_in_content(tx))
		abandon(d);
	else if (tx->at == TX_RCPT || tx->at == TX_DATA || tx->at == TX_WAIT)
		transaction_stop(d, tx);
	if (d->busy > 0)
		drive_soon(d); /* pump() may be behind the place already */
	drive(d);
}
