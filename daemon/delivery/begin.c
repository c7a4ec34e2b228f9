/* A transaction begins: who can go to this server, and MAIL. */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/delivery/command.h"
#include "daemon/delivery/delivery_priv.h"

enum { RCPTS_MAX = 100 }; /* RFC 5321 section 4.5.3.1.8 */

static bool is_verified(const struct delivery *d)
{
	const struct tls_facts *tls = conn_tls(d->conn);

	return tls != NULL && tls->verified;
}

/* Nobody can go to this server: it says so, unless another one takes them. */
static void obstruct(struct tx *tx)
{
	struct settlement *set = tx->job.set;

	if (delivery_job_is_decided(&tx->job))
		return;
	tx->job.is_obstructed = true;
	for (size_t i = 0; i < tx->job.count; i++)
		set[i].outcome = OUTCOME_PERMANENT;
}

/* As many as one transaction may have (RFC 9422 section 4). */
static size_t rcpts_max(const struct delivery *d)
{
	size_t most = RCPTS_MAX;

	if (d->without & DELIVERY_TRUST)
		return 1; /* one reply to the content, whatever it means by it
			   */
	if (d->ehlo.rcpt_max > 0 && d->ehlo.rcpt_max < most)
		most = d->ehlo.rcpt_max;
	if ((d->without & DELIVERY_CROWD) && d->rcpts_most < most)
		most = d->rcpts_most;
	return most;
}

static void leave_out(struct delivery *d, struct tx *tx, size_t i,
		      enum meaning m, const char *why)
{
	tx->job.set[i].reply = span_str(why);
	if (tx_is_live(tx))
		tx->job.listener->on_rcpt(d, &tx->job, i, m, d->arg);
}

static void choose(struct delivery *d, struct tx *tx, size_t i)
{
	struct unit *u = tx->job.unit;
	const char *no = command_obstacle(&u->envelope, &u->rcpts[i], &d->ehlo,
					  is_verified(d));

	if (no != NULL)
		leave_out(d, tx, i, MEANS_LATER, no);
	else if (tx->ask_count < rcpts_max(d))
		tx->ask[tx->ask_count++] = (uint32_t)i;
	else if (tx_is_live(tx))
		leave_out(d, tx, i, MEANS_FULL,
			  "(rcpt) 4.5.3 Too many recipients");
}

/*
 * List those who can go to this server.  Who cannot stays untried, with the
 * reason, until he is alone with others like him.
 */
void begin_choose(struct delivery *d, struct tx *tx)
{
	while (!d->is_freed && !tx->is_cancelled &&
	       tx->chosen < tx->job.count) {
		size_t i = tx->chosen++;

		if (tx->job.set[i].outcome == OUTCOME_UNTRIED)
			choose(d, tx, i); /* else: in the try before */
	}
}

/* False: there is nothing to say to this server.  Where somebody waits for each
 * reply, they are listed as they come, behind MAIL. */
static bool choose_first(struct delivery *d, struct tx *tx)
{
	struct arena *a = &tx->job.unit->arena;
	size_t most = tx->job.more == MORE_RCPTS ? RCPTS_MAX : tx->job.count;

	tx->chosen = 0;
	tx->ask = arena_alloc_array(a, most, sizeof(*tx->ask));
	tx->is_taken = arena_alloc_array(a, most, sizeof(*tx->is_taken));
	if (tx_is_live(tx))
		return true;
	begin_choose(d, tx);
	if (tx->ask_count == 0)
		obstruct(tx);
	return tx->ask_count > 0;
}

/* In lock-step no reply is certain before the last: whoever waits for each has
 * to have his mail kept. */
static bool is_hopeless(const struct delivery *d, struct tx *tx)
{
	static const char why[] = "(rcpt) 4.5.0 Replies of the server do not "
				  "match our commands";

	if (!tx_is_live(tx) || (d->without & DELIVERY_TRUST) == 0)
		return false;
	for (size_t i = 0; i < tx->job.count; i++)
		tx->job.set[i].reply = span_str(why);
	return true;
}

/*
 * Behind a transaction that is not answered yet, only RSET makes sure that
 * MAIL begins a new one: had all RCPT of the last been refused, its BDAT
 * would fail, MAIL would be "nested", and the next message would go out under
 * the last one's sender.  Behind the final dot of DATA there is no doubt.
 */
bool begin_must_reset(const struct delivery *d)
{
	return d->needs_reset || (is_chunking(d) && d->open > 0);
}

void begin_reset(struct delivery *d)
{
	buf_adds(&d->out, "RSET\r\n");
	expect_push(d, ST_RSET, NULL, 0);
	d->needs_reset = false;
}

void begin(struct delivery *d, struct tx *tx)
{
	struct unit *u;

	MX_ASSERT(tx != NULL && tx->at == TX_START);
	u = tx->job.unit;
	d->queued = TAILQ_NEXT(tx, link);
	tx->is_proof = trust_wants_proof(d, tx);
	tx->job.started_ms = clock_mono_ms();
	tx->job.offered = d->ehlo.offered & ~tx->without;
	if (is_hopeless(d, tx) || !choose_first(d, tx)) {
		tx->at = TX_SENT;
		jobs_done(d, tx);
		return;
	}
	if (begin_must_reset(d))
		begin_reset(d);
	if (d->open == 0)
		d->served_us = clock_mono_us();
	command_mail(&d->out, &u->envelope, tx->job.offered);
	expect_push(d, ST_MAIL, tx, 0);
	tx->has_mail = true;
	d->dry_ms = d->dried_ms = 0;
	d->is_proving = tx->is_proof;
	tx->at = TX_RCPT;
	d->sending = tx;
	d->open++;
	d->open_bytes += u->envelope.bytes;
}
