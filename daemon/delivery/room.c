/* How much a connection takes: at a time, and in all. */
#include "daemon/delivery/delivery_priv.h"

enum {
	WINDOW_JOBS = 64,
	WINDOW_BYTES = 1024 * 1024,
	WINDOW_WARY = 4,   /* two errors each: RCPT, and BDAT behind it */
	TRUST_ENOUGH = 32, /* taken on end: a run of refusals is unlikely */
	ERRORS_MAX = 2 * WINDOW_WARY, /* on end over one connection */
};

/*
 * Jobs in flight.  One more than a round trip's worth keeps the line full;
 * more would only queue here what another connection could take.  And as TCP
 * does, one more for each that went well: what runs ahead of a refusal may be
 * refused as well.  Until many went well on end these are as many as may all be
 * refused without a penalty.
 */
static size_t room_window(const struct delivery *d)
{
	int64_t service = d->service_us > 0 ? d->service_us : 1;
	size_t window = 2 + d->trust;

	if (d->trust < TRUST_ENOUGH && window > WINDOW_WARY)
		window = WINDOW_WARY;
	if (!is_pipelining(d))
		return 1;
	if (!is_chunking(d) || d->served_us == 0)
		return 2;
	if ((int64_t)window > 2 + 4 * d->rtt_us / service)
		window = (size_t)(2 + 4 * d->rtt_us / service);
	return window < WINDOW_JOBS ? window : WINDOW_JOBS;
}

/*
 * If all that is open were refused, and what comes next, too: each RCPT is an
 * error, and BDAT behind it, which is on its way.
 */
static bool is_penalty_near(const struct delivery *d)
{
	size_t errors = d->errors + d->queued->job.count + 1;
	const struct tx *tx;

	if (d->trust >= TRUST_ENOUGH || !is_chunking(d))
		return false;
	for (tx = TAILQ_FIRST(&d->txs); tx != d->queued;
	     tx = TAILQ_NEXT(tx, link))
		errors += tx->ask_count + 1;
	return errors > ERRORS_MAX;
}

bool room_is_open(const struct delivery *d)
{
	return d->open < room_window(d) && d->open_bytes < WINDOW_BYTES &&
	       !is_penalty_near(d);
}

/* A new connection begins without our errors. */
bool room_is_spent(const struct delivery *d)
{
	return d->errors >= ERRORS_MAX || d->is_spent;
}

bool room_is_used_up(const struct delivery *d)
{
	return (d->ehlo.mail_max > 0 && d->given >= d->ehlo.mail_max) ||
	       room_is_spent(d) || d->syncs >= SYNCS_MAX;
}

size_t delivery_room(const struct delivery *d)
{
	size_t window;

	if (d->life != LIFE_READY || d->wants_quit || d->is_freed)
		return 0;
	if (room_is_used_up(d))
		return 0;
	if (d->jobs > 0 && d->bytes >= WINDOW_BYTES)
		return 0;
	window = room_window(d);
	return d->jobs < window ? window - d->jobs : 0;
}

size_t delivery_jobs(const struct delivery *d)
{
	return d->jobs;
}
