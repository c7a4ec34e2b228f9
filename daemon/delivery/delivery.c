/* One connection, as its caller sees it. */

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "daemon/delivery/delivery_priv.h"

struct delivery *delivery_new(const struct delivery_options *opt,
			      const struct delivery_events *ev, void *arg)
{
	struct delivery *d = mx_alloc(sizeof(*d));

	d->magic = DELIVERY_MAGIC;
	d->opt = *opt;
	d->opt.route = route_ref(opt->route);
	d->target = *opt->target;
	d->opt.target = &d->target;
	d->events = ev;
	d->arg = arg;
	TAILQ_INIT(&d->txs);
	ev_timer_init(&d->again, drive_again, 0., 0.);
	d->again.data = d;
	d->started_ms = clock_mono_ms();
	d->without = opt->without & ~fallback_forbidden(d);
	d->rcpts_most = opt->rcpts_most;
	drive_connect(d);
	return d;
}

const struct tls_facts *delivery_tls(const struct delivery *d)
{
	return d->conn != NULL ? conn_tls(d->conn) : NULL;
}

unsigned delivery_without(const struct delivery *d)
{
	return d->without;
}

size_t delivery_rcpts_most(const struct delivery *d)
{
	return d->rcpts_most;
}

bool delivery_is_proven(const struct delivery *d)
{
	return d->is_proven;
}

const struct delivery_end *delivery_ending(const struct delivery *d)
{
	return d->life == LIFE_OVER ? &d->end : NULL;
}

void delivery_give(struct delivery *d, struct delivery_job *job)
{
	struct tx *tx = job_tx(job);

	MX_ASSERT(d->life == LIFE_READY);
	TAILQ_INSERT_TAIL(&d->txs, tx, link);
	if (d->queued == NULL)
		d->queued = tx;
	d->jobs++;
	d->given++;
	d->bytes += job->unit->envelope.bytes;
	drive(d);
}

void delivery_resume(struct delivery *d)
{
	drive(d);
}

void delivery_quit(struct delivery *d)
{
	if (d->wants_quit || d->life == LIFE_OVER)
		return;
	d->wants_quit = true;
	if (d->life == LIFE_OPENING)
		end_made(d, DELIVERY_CLOSED, d->waiting, 421, "4.3.2",
			 SPAN_LIT("No longer needed"));
	drive_soon(d);
}

void delivery_free(struct delivery **dp)
{
	struct delivery *d = *dp;

	if (d == NULL)
		return;
	*dp = NULL;
	if (d->life == LIFE_READY && d->expects.count == 0 && d->conn != NULL) {
		conn_write(d->conn, SPAN_LIT("QUIT\r\n"));
		conn_close_after_output(&d->conn, SECONDS(1));
	}
	d->is_freed = true;
	d->life = LIFE_OVER;
	if (d->busy == 0)
		drive_release(d);
}
