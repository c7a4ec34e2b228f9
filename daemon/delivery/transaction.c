/* What the replies of a transaction decide. */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/delivery/delivery_priv.h"

enum { IDLE_MS = 1000 }; /* what is said then answers nothing before */

static struct span reply_span(struct delivery *d, struct tx *tx)
{
	struct buf line = { 0 };
	struct span s;

	smtp_reply_print(&line, &d->reply);
	s = arena_span(&tx->job.unit->arena, buf_span(&line));
	buf_fini(&line);
	return s;
}

static enum outcome outcome_of(enum meaning m)
{
	switch (m) {
	case MEANS_YES:
		return OUTCOME_DELIVERED;
	case MEANS_NEVER:
		return OUTCOME_PERMANENT;
	case MEANS_FULL:
		return OUTCOME_UNTRIED;
	case MEANS_LATER:
		break;
	}
	return OUTCOME_TRANSIENT;
}

static bool is_open(const struct tx *tx, size_t i)
{
	return tx->job.set[tx->ask[i]].outcome == OUTCOME_UNTRIED;
}

/*
 * Servers count errors and slow down or hang up after a few (Postfix: a second
 * each from the 10th on, 421 at the 20th), until a message is taken.
 */
static void refusal(struct delivery *d)
{
	d->errors++;
	d->trust = 0;
}

/* One reply for all: MAIL refused decides everyone asked for, later stages
 * only those whose RCPT was accepted. */
static void decide_all(struct delivery *d, struct tx *tx, enum meaning m,
		       enum refused_at at)
{
	struct span reply = reply_span(d, tx);
	bool only_taken = at != REFUSED_AT_MAIL;

	if (m != MEANS_YES)
		refusal(d);
	if (m == MEANS_LATER)
		tx->job.refused_at = at;
	else if (m == MEANS_NEVER)
		tx->job.failed_at = at;
	for (size_t i = 0; i < tx->ask_count; i++) {
		struct settlement *s = &tx->job.set[tx->ask[i]];

		if (!is_open(tx, i) || (only_taken && !tx->is_taken[i]))
			continue;
		s->outcome = outcome_of(m);
		s->reply = reply;
	}
}

/* To be tried again at once; if that cannot be, they had an answer. */
static void note_refusal(struct delivery *d, struct tx *tx)
{
	struct span reply = reply_span(d, tx);

	for (size_t i = 0; i < tx->ask_count; i++)
		if (is_open(tx, i))
			tx->job.set[tx->ask[i]].reply = reply;
}

/* RSET makes the server forget what it has (RFC 5321 section 4.1.1.5), unless
 * it never took MAIL. */
void transaction_stop(struct delivery *d, struct tx *tx)
{
	tx->at = TX_SENT;
	if (d->sending == tx)
		d->sending = NULL;
	if (!tx->is_refused)
		d->needs_reset = true;
}

/*
 * 421 to a command of a transaction: the host leaves, and this mail may be
 * why.  Its recipients stay untried; the caller counts such accidents.
 */
static enum step leaving(struct delivery *d, struct expect *e)
{
	d->blamed = e->tx;
	return end_with(d, DELIVERY_BUSY, e->stage, &d->reply);
}

/* RFC 5321 section 4.1.1.5: there is no way to refuse RSET. */
enum step got_rset(struct delivery *d, struct expect *e)
{
	if (meaning_is_leaving(&d->reply))
		return leaving(d, e);
	if (d->reply.code / 100 != 2)
		return trust_askew(d, e->stage, NULL);
	trust_note(d, NULL, ST_RSET);
	return STEP_ON;
}

/* 3yz asks for something: only DATA is answered so. */
static bool is_asking(const struct smtp_reply *r)
{
	return r->code < 400 && r->code / 100 != 2;
}

/*
 * A server that limits what one session carries, without saying so beforehand
 * (RFC 9422): the next connection takes what it refuses.  It is not asked if
 * this one carried nothing.
 */
static enum meaning in_session(struct delivery *d, const struct tx *tx,
			       enum meaning m)
{
	if (m == MEANS_YES || tx->taken > 0 || !d->has_accepted ||
	    !meaning_is_spent(&d->reply))
		return m;
	d->is_spent = true;
	return MEANS_FULL;
}

enum step got_mail(struct delivery *d, struct expect *e)
{
	struct tx *tx = e->tx;
	enum meaning m = in_session(d, tx, meaning_of(&d->reply));

	if (meaning_is_leaving(&d->reply))
		return leaving(d, e);
	if (is_asking(&d->reply))
		return trust_askew(d, e->stage, tx);
	if (m == MEANS_YES && !trust_finds_mail(d, tx))
		return end_with(d, DELIVERY_CLOSED, e->stage, &d->reply);
	tx->is_firm = !d->is_loose;
	tx->is_unclear = d->reply.is_odd;
	if (m == MEANS_YES) {
		trust_note(d, tx, ST_MAIL);
		return STEP_ON;
	}
	tx->is_refused = tx->job.is_mail_refused = true;
	if ((m == MEANS_NEVER && fallback_mail(d, tx)) ||
	    fallback_order(d, tx, "mail"))
		note_refusal(d, tx);
	else
		decide_all(d, tx, m, REFUSED_AT_MAIL);
	if (tx->at == TX_RCPT || tx->at == TX_DATA)
		transaction_stop(d, tx);
	return STEP_ON;
}

/* The last answer to RCPT decides what follows. */
static void all_answered(struct delivery *d, struct tx *tx)
{
	bool is_waiting =
		tx->at == TX_WAIT && (tx->is_asking || tx_is_callout(tx));

	if (is_waiting && tx->is_asking && tx->taken > 0) {
		tx->is_asking = false;
		tx->at = TX_DATA;
	} else if (is_waiting || (tx->at == TX_DATA && tx->taken == 0)) {
		transaction_stop(d, tx);
	}
}

static void take_rcpt(struct delivery *d, struct tx *tx, size_t i)
{
	struct settlement *s = &tx->job.set[tx->ask[i]];

	trust_note(d, tx, ST_RCPT);
	tx->is_taken[i] = true;
	tx->taken++;
	d->has_accepted = true;
	if (tx_is_callout(tx))
		s->outcome = OUTCOME_DELIVERED;
	if (tx_is_callout(tx) || tx_is_live(tx))
		s->reply = reply_span(d, tx);
}

/* A parameter of ours was refused: what else this transaction heard may have
 * been for that, too, and says nothing of recipients. */
static void doubt_refusals(struct tx *tx)
{
	memset(tx->job.is_rcpt_refused, 0, tx->job.count * sizeof(bool));
}

/* What it comes to, for now. */
static enum meaning refuse_rcpt(struct delivery *d, struct tx *tx, size_t i,
				enum meaning m)
{
	struct settlement *s = &tx->job.set[tx->ask[i]];

	s->reply = reply_span(d, tx);
	if ((m == MEANS_NEVER && fallback_rcpt(d, tx, i)) ||
	    fallback_order(d, tx, "rcpt")) {
		doubt_refusals(tx);
		return MEANS_LATER;
	}
	s->outcome = outcome_of(m);
	tx->job.is_rcpt_refused[tx->ask[i]] =
		m == MEANS_NEVER && tx->refused == 0;
	if (m == MEANS_LATER)
		tx->job.refused_at = REFUSED_AT_RCPT;
	else if (m == MEANS_NEVER)
		tx->job.failed_at = REFUSED_AT_RCPT;
	refusal(d);
	return m;
}

/* A RCPT reply decides one recipient, never the message. */
enum step got_rcpt(struct delivery *d, struct expect *e)
{
	struct tx *tx = e->tx;
	enum meaning m =
		in_session(d, tx, meaning_of_rcpt(&d->reply, tx->taken));

	if (meaning_is_leaving(&d->reply))
		return leaving(d, e);
	if (is_asking(&d->reply) || (tx->is_refused && d->reply.code < 400))
		return trust_askew(d, e->stage, tx);
	tx->answered++;
	tx->is_unclear |= d->reply.is_odd;
	if (!tx->is_refused) {
		if (m == MEANS_YES)
			take_rcpt(d, tx, e->index);
		else
			m = refuse_rcpt(d, tx, e->index, m);
		if (tx_is_live(tx))
			tx->job.listener->on_rcpt(d, &tx->job,
						  tx->ask[e->index], m, d->arg);
	}
	if (tx->answered == tx->ask_count)
		all_answered(d, tx);
	return STEP_ON;
}

/*
 * With 354 the server waits for content, even if it took no recipient and
 * even if MAIL failed: a lone dot ends that (RFC 2920 section 3.1).  But whom
 * it took without saying so clearly would get an empty message by it.
 */
enum step got_data(struct delivery *d, struct expect *e)
{
	struct tx *tx = e->tx;

	if (meaning_is_leaving(&d->reply))
		return leaving(d, e);
	MX_ASSERT(tx->at == TX_WAIT);
	if (d->reply.code == 354 && tx->taken == 0 && tx->is_unclear)
		return trust_askew(d, e->stage, tx);
	if (d->reply.code == 354) {
		tx->is_synced = true;
		d->is_loose = false;
		tx->at = tx->taken > 0 ? TX_CONTENT : TX_DOT;
		return STEP_ON;
	}
	if (d->reply.code < 400) /* neither 354 nor a refusal */
		return trust_askew(d, e->stage, tx);
	if (d->reply.is_odd) { /* it may wait for content, or not */
		note_refusal(d, tx);
		d->blamed = tx;
		return end_with(d, DELIVERY_CLOSED, e->stage, &d->reply);
	}
	if (tx->taken > 0 && fallback_order(d, tx, "data"))
		note_refusal(d, tx);
	else if (tx->taken > 0)
		decide_all(d, tx, meaning_of(&d->reply), REFUSED_AT_DATA);
	transaction_stop(d, tx);
	return STEP_ON;
}

/* How long the server takes for one: what the window is made from. */
static void measure(struct delivery *d)
{
	int64_t now = clock_mono_us();
	int64_t took = now - d->served_us;

	d->served_us = now;
	if (took < 0)
		return;
	if (d->open > 1 || d->service_us == 0)
		d->service_us += (took - d->service_us) / 8;
}

/* The final dot or BDAT LAST: from a 2yz on the mail is the server's. */
enum step got_content(struct delivery *d, struct expect *e)
{
	struct tx *tx = e->tx;

	if (meaning_is_leaving(&d->reply)) {
		tx->is_complete = false; /* it said that it did not take it */
		return leaving(d, e);
	}
	if (is_asking(&d->reply) || trust_is_early(d, tx) ||
	    (e->stage == ST_BDAT && tx->taken == 0 && d->reply.code < 400))
		return trust_askew(d, e->stage, tx);
	measure(d);
	tx->is_complete = false;
	tx->is_final = d->is_loose = true;
	if (e->stage == ST_BDAT && fallback_bdat(d, tx))
		return end_with(d, DELIVERY_CLOSED, e->stage, &d->reply);
	if (tx->taken > 0)
		decide_all(d, tx, meaning_of(&d->reply), REFUSED_AT_CONTENT);
	if (d->reply.code >= 400) {
		refusal(d);
	} else if (tx->taken > 0) {
		trust_note(d, tx, e->stage);
		d->errors = 0;
		d->trust++;
		fallback_learn(d, tx);
	}
	/* RFC 3030 section 2: after a failed chunk the state is open. */
	if (e->stage == ST_BDAT && d->reply.code >= 400 && d->open == 1)
		d->needs_reset = true;
	return STEP_ON;
}

enum step got_quit(struct delivery *d, struct expect *e)
{
	(void)e;
	return end_with(d, DELIVERY_CLOSED, ST_QUIT, &d->reply);
}

/*
 * In the middle of content: a server that has seen enough.  It is an answer,
 * if nothing else can be meant; but where the content ends the two sides no
 * longer agree: close.
 */
static enum step early(struct delivery *d, struct tx *tx)
{
	if (d->reply.code < 400 || tx->taken == 0 || tx->offset == 0 ||
	    !(tx->is_synced || tx->is_firm))
		return trust_askew(d, ST_CONTENT, tx);
	if (!(tx->is_bdat && fallback_bdat(d, tx)))
		decide_all(d, tx, meaning_of(&d->reply), REFUSED_AT_CONTENT);
	return end_with(d, DELIVERY_CLOSED, ST_CONTENT, &d->reply);
}

bool transaction_is_slow(const struct delivery *d)
{
	return d->dry_ms > 0 && clock_mono_ms() - d->dry_ms >= IDLE_MS;
}

/* A server that tires of waiting, and does not say 421. */
static bool is_farewell(const struct delivery *d)
{
	if (d->reply.code < 400)
		return false;
	if (d->sending != NULL)
		return d->sending->offset == 0 && transaction_is_slow(d);
	return d->jobs == 0 && clock_mono_ms() - d->replied_ms >= IDLE_MS;
}

/*
 * 421 may come at any time (RFC 5321 section 3.8), between transactions it is
 * an idle server's good-bye.  Anything else means that we and the server no
 * longer agree on what was said.
 */
enum step got_unasked(struct delivery *d)
{
	if (meaning_is_leaving(&d->reply))
		return end_with(d,
				d->jobs > 0 && !transaction_is_slow(d)
					? DELIVERY_BUSY
					: DELIVERY_CLOSED,
				d->sending != NULL ? ST_CONTENT : ST_QUIT,
				&d->reply);
	if (is_farewell(d))
		return end_with(d, DELIVERY_CLOSED, ST_QUIT, &d->reply);
	if (d->sending != NULL && d->sending->at == TX_CONTENT)
		return early(d, d->sending);
	return trust_askew(d, ST_SYNC, expect_tx(d));
}
