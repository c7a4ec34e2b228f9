/* Jobs: in, done, handed back, or lost with their connection. */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/spool/mirror.h"
#include "daemon/delivery/delivery_priv.h"

struct tx *job_tx(struct delivery_job *job)
{
	return CONTAINER_OF(job, struct tx, job);
}

/* What is read last is asked for right before the server gets the end. */
static enum mx_err read_spool(void *arg, const struct delivery_job *job,
			      uint64_t offset, size_t most, struct buf *out)
{
	const uint64_t id = job->unit->envelope.id;
	enum mx_err err = spool_content(arg, id, offset, most, out);

	if ((err == MX_ENOENT || job->bytes - offset <= most) &&
	    !spool_mirror_lets_go(arg, id))
		err = MX_EBUSY;
	return err;
}

struct delivery_source delivery_from_spool(struct spool *sp)
{
	return (struct delivery_source){ read_spool, sp };
}

struct delivery_job *delivery_job_new(struct unit **unit,
				      struct delivery_source source,
				      const struct delivery_listener *listener,
				      void *arg)
{
	struct tx *tx = mx_alloc(sizeof(*tx));
	struct unit *u = *unit;

	*unit = NULL;
	tx->job.unit = u;
	tx->job.source = source;
	tx->job.listener = listener;
	tx->job.bytes = u->envelope.bytes;
	tx->job.count = u->rcpt_count;
	tx->job.arg = arg;
	tx->job.set = arena_alloc_array(&u->arena, u->rcpt_count,
					sizeof(*tx->job.set));
	tx->job.is_rcpt_refused = arena_alloc_array(&u->arena, u->rcpt_count,
						    sizeof(bool));
	for (size_t i = 0; i < u->rcpt_count; i++)
		tx->job.set[i].number = u->rcpts[i].number;
	return &tx->job;
}

void delivery_job_free(struct delivery_job **job)
{
	struct tx *tx;

	if (*job == NULL)
		return;
	tx = job_tx(*job);
	*job = NULL;
	unit_free(&tx->job.unit);
	free(tx);
}

size_t delivery_job_count(const struct delivery_job *job, enum outcome o)
{
	size_t n = 0;

	for (size_t i = 0; i < job->count; i++)
		n += job->set[i].outcome == o;
	return n;
}

bool delivery_job_is_decided(const struct delivery_job *job)
{
	return delivery_job_count(job, OUTCOME_UNTRIED) < job->count;
}

void delivery_job_renew(struct delivery_job *job)
{
	struct tx *tx = job_tx(job);

	MX_ASSERT(!tx->has_mail && tx->pending == 0);
	tx->at = TX_START;
	tx->without = tx->refused = 0;
	job->is_obstructed = false;
	job->refused_at = job->failed_at = REFUSED_NOT;
	for (size_t i = 0; i < job->count; i++)
		job->set[i].outcome = OUTCOME_UNTRIED;
}

static void close_open(struct delivery *d, const struct tx *tx)
{
	if (!tx->has_mail)
		return;
	if (tx->is_proof)
		d->is_proving = false;
	MX_ASSERT(d->open > 0 && d->held >= tx->is_held);
	d->held -= tx->is_held;
	d->open--;
	d->open_bytes -= tx->job.unit->envelope.bytes;
}

static void take_out(struct delivery *d, struct tx *tx)
{
	uint64_t bytes = tx->job.unit->envelope.bytes;

	if (d->queued == tx)
		d->queued = TAILQ_NEXT(tx, link);
	MX_ASSERT(d->jobs > 0 && d->bytes >= bytes);
	TAILQ_REMOVE(&d->txs, tx, link);
	d->jobs--;
	d->bytes -= bytes;
	close_open(d, tx);
	if (d->sending == tx)
		d->sending = NULL;
}

enum step jobs_give_back(struct delivery *d)
{
	struct tx *tx;

	while (!d->is_freed && (tx = d->queued) != NULL) {
		take_out(d, tx);
		if (tx->job.started_ms > 0) /* jobs_again: it was tried once */
			tx->job.ended_ms = clock_mono_ms();
		tx->job.listener->on_done(d, &tx->job, d->arg);
	}
	return d->is_freed ? STEP_END : STEP_ON;
}

void jobs_hand_back(struct delivery *d, struct tx *tx)
{
	take_out(d, tx);
	tx->job.ended_ms = clock_mono_ms();
	tx->job.listener->on_done(d, &tx->job, d->arg);
}

void jobs_done(struct delivery *d, struct tx *tx)
{
	jobs_hand_back(d, tx);
	if (!d->is_freed && delivery_room(d) > 0)
		d->events->on_room(d, d->arg);
}

void jobs_again(struct delivery *d, struct tx *tx)
{
	close_open(d, tx);
	TAILQ_REMOVE(&d->txs, tx, link);
	if (d->queued != NULL)
		TAILQ_INSERT_BEFORE(d->queued, tx, link);
	else
		TAILQ_INSERT_TAIL(&d->txs, tx, link);
	d->queued = tx;
	d->given++; /* one MAIL more */
	tx->without |= tx->refused;
	tx->refused = 0;
	tx->at = TX_START;
	tx->has_mail = tx->is_refused = tx->is_complete = false;
	tx->is_asking = tx->may_finish = tx->is_unclear = false;
	tx->is_proof = tx->is_firm = tx->is_synced = false;
	tx->is_final = tx->is_held = tx->is_bdat = false;
	tx->job.is_mail_refused = false;
	tx->ask_count = tx->ask_next = tx->answered = tx->taken = 0;
	tx->offset = 0;
	tx->encoder = (struct smtp_encoder){ 0 };
}
