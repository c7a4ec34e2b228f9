/*
 * What to send next, as far ahead as the server permits:
 *
 *  - without PIPELINING, one command at a time;
 *  - with it, MAIL RCPT.. DATA in one write, and behind the content of one
 *    message the same group of the next (RFC 2920 section 3.1: content may
 *    begin a group);
 *  - with CHUNKING, whole transactions back to back (RFC 3030 section 4.2),
 *    bounded by a window of jobs and bytes;
 *  - and in none of them more than one, as long as the replies are not proven
 *    to be those to our commands (trust.c).
 *
 * Content whose end is not there when it begins goes with DATA, in pieces as
 * they come, whatever the server offers: chunks would each be answered, and
 * each answer could be one too many, while 354 proves that the next one is that
 * to all of it.  While the caller has nothing to send the server has no
 * deadline: nothing is expected of it.
 */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/delivery/command.h"
#include "daemon/delivery/delivery_priv.h"

enum {
	PIECE = 64 * 1024,  /* content read and written at a time */
	TURN = 512 * 1024,  /* and at most in one turn of the loop */
	LARGE = 256 * 1024, /* ask the recipients first */
};

static void flush_out(struct delivery *d)
{
	if (d->out.n == 0)
		return;
	conn_write(d->conn, buf_span(&d->out));
	d->written += d->out.n;
	d->has_moved = true;
	buf_reset(&d->out);
	if (d->out.cap > 4 * PIECE)
		buf_fini(&d->out);
}

/* ---- Going on with it ---- */

/*
 * Large content is not sent to nobody; and after a refusal neither is DATA or
 * BDAT, which would only be refused again and counted.
 */
static bool must_ask(const struct delivery *d, const struct tx *tx)
{
	if (!is_pipelining(d))
		return false; /* it asks anyway */
	return d->errors > 0 ||
	       (is_chunking(d) && tx->job.unit->envelope.bytes > LARGE);
}

/* All commands to RCPT are out, and no more will come. */
static void rcpts_ended(struct delivery *d, struct tx *tx)
{
	tx->at = tx_is_callout(tx) ? TX_WAIT : TX_DATA;
	if (tx_is_live(tx)) /* how many they are is known now */
		tx->is_proof = d->is_proving = trust_wants_proof(d, tx);
	tx->is_asking = !tx_is_callout(tx) && must_ask(d, tx);
	if (tx->answered < tx->ask_count || tx->taken > 0)
		return;
	/* said one by one, and refused before this was known */
	transaction_stop(d, tx);
	if (tx->pending == 0)
		trust_answered(d, tx);
}

static void send_rcpt(struct delivery *d, struct tx *tx)
{
	begin_choose(d, tx);
	if (d->is_freed || tx->is_cancelled)
		return;
	if (tx->ask_next < tx->ask_count) {
		command_rcpt(&d->out,
			     &tx->job.unit->rcpts[tx->ask[tx->ask_next]],
			     tx->job.offered);
		expect_push(d, ST_RCPT, tx, tx->ask_next++);
	}
	if (tx->ask_next == tx->ask_count && tx->job.more != MORE_RCPTS)
		rcpts_ended(d, tx);
}

static void send_data(struct delivery *d, struct tx *tx)
{
	if (tx->is_asking && tx->answered < tx->ask_count) {
		tx->at = TX_WAIT; /* got_rcpt brings it back */
	} else if (!is_chunking(d) || tx->job.more != MORE_NOTHING) {
		buf_adds(&d->out, "DATA\r\n");
		expect_push(d, ST_DATA, tx, 0);
		tx->is_asking = false;
		tx->at = TX_WAIT;
	} else {
		buf_addf(&d->out, "BDAT %llu LAST\r\n",
			 (unsigned long long)tx->job.bytes);
		tx->is_bdat = true;
		tx->at = TX_CONTENT;
	}
}

static void content_ended(struct delivery *d, struct tx *tx)
{
	if (tx->is_bdat) {
		expect_push(d, ST_BDAT, tx, 0);
	} else {
		smtp_encode_end(&tx->encoder, &d->out);
		expect_push(d, ST_DOT, tx, 0);
	}
	tx->is_complete = true;
	tx->end = d->written + d->out.n;
	tx->at = TX_SENT;
	d->sending = NULL;
	if (d->raw.cap > PIECE / 4)
		buf_fini(&d->raw);
}

/*
 * The server is in the middle of content it will not get the end of: only
 * closing the connection takes it back.  The unit is tried again later.
 */
static enum step unreadable(struct delivery *d, struct tx *tx, enum mx_err err)
{
	static const char why[] = "Content could not be read from the spool";

	log_error(EV_SPOOL, LOG_ID("mid", tx->job.unit->envelope.id),
		  LOG_STR("error", mx_strerror(err)),
		  LOG_INT("offset", tx->offset));
	trust_lose(d, tx);
	for (size_t i = 0; i < tx->ask_count; i++) {
		struct settlement *s = &tx->job.set[tx->ask[i]];

		if (s->outcome != OUTCOME_UNTRIED)
			continue;
		s->outcome = OUTCOME_TRANSIENT;
		s->reply = SPAN_LIT("(spool) Content could not be read");
	}
	tx->is_decided = true;
	return end_made(d, DELIVERY_CLOSED, ST_CONTENT, 451, "4.3.0",
			span_str(why));
}

/* What others may deliver by now must not have its end from us. */
static enum step give_up(struct delivery *d)
{
	d->blamed = NULL; /* neither the mail nor the server */
	return end_made(d, DELIVERY_CLOSED, ST_CONTENT, 451, "4.3.0",
			SPAN_LIT("Other nodes may have it by now"));
}

static enum step send_content(struct delivery *d, struct tx *tx)
{
	const struct delivery_source *src = &tx->job.source;
	struct buf *to = tx->is_bdat ? &d->out : &d->raw;
	uint64_t left = tx->job.bytes - tx->offset;
	size_t before = to->n;
	enum mx_err err;

	if (left == 0) {
		content_ended(d, tx);
		return STEP_ON;
	}
	err = src->read(src->arg, &tx->job, tx->offset,
			left < PIECE ? (size_t)left : PIECE, to);
	if (err == MX_OK && to->n == before)
		err = MX_ECORRUPT; /* shorter than its envelope says */
	if (err == MX_EBUSY)
		return give_up(d);
	if (err != MX_OK)
		return unreadable(d, tx, err);
	tx->offset += to->n - before;
	if (!tx->is_bdat) {
		smtp_encode_data(&tx->encoder, buf_span(&d->raw), &d->out);
		buf_reset(&d->raw);
	}
	if (tx->offset == tx->job.bytes && tx->job.more == MORE_NOTHING)
		content_ended(d, tx);
	return STEP_ON;
}

static void send_dot(struct delivery *d, struct tx *tx)
{
	buf_adds(&d->out, ".\r\n");
	expect_push(d, ST_DOT, tx, 0);
	tx->end = d->written + d->out.n;
	tx->at = TX_SENT;
	d->sending = NULL;
}

/* ---- Driving ---- */

/* May another transaction be opened behind those that are? */
static bool may_begin(const struct delivery *d)
{
	if (d->held > 0 || d->is_proving || trust_is_needed(d, d->queued))
		return false;
	if (d->open == 0)
		return true;
	if (!is_pipelining(d) || tx_is_live(d->queued) ||
	    trust_wants_proof(d, d->queued))
		return false;
	return room_is_open(d);
}

/* What is on its way cannot be taken back once its end is out. */
static bool is_held_back(struct delivery *d)
{
	struct tx *tx = d->sending;
	const struct delivery_listener *who = tx->job.listener;

	if (tx->at != TX_CONTENT || tx->may_finish || who->may_finish == NULL ||
	    tx->job.more != MORE_NOTHING || tx->job.bytes - tx->offset > PIECE)
		return false;
	tx->may_finish = who->may_finish(d, &tx->job, d->arg);
	return !tx->may_finish;
}

/*
 * Where nothing behind RCPT is sent ahead, a word too many behind the answer
 * to MAIL would be taken for that to RCPT, and nothing would follow to show
 * it: MAIL goes alone then, so that what stands behind its answer is nobody's.
 */
static bool is_mail_alone(const struct delivery *d)
{
	const struct tx *tx = d->sending;

	return tx->at == TX_RCPT && tx->ask_next == 0 && d->expects.count > 0 &&
	       is_pipelining(d) && d->errors > 0;
}

/* Has the caller nothing for it now, though more is to come? */
static bool is_dry(const struct tx *tx)
{
	if (tx->at == TX_RCPT)
		return tx->job.more == MORE_RCPTS &&
		       tx->ask_next == tx->ask_count &&
		       tx->chosen == tx->job.count;
	return tx->at == TX_CONTENT && tx->job.more != MORE_NOTHING &&
	       tx->offset == tx->job.bytes;
}

/* False: nothing to do until a reply comes or output drains. */
static bool has_next(struct delivery *d)
{
	if (!is_pipelining(d) && d->expects.count > 0)
		return false;
	if (d->sending == NULL)
		return d->jobs > d->open && may_begin(d);
	return d->sending->at != TX_WAIT && !is_dry(d->sending) &&
	       !is_mail_alone(d) && !is_held_back(d);
}

static enum step send_next(struct delivery *d)
{
	struct tx *tx = d->sending;

	if (tx == NULL && !is_pipelining(d) && begin_must_reset(d)) {
		begin_reset(
			d); /* one command at a time: MAIL comes behind it */
		return STEP_ON;
	}
	if (tx == NULL) {
		begin(d, d->queued);
		return d->is_freed ? STEP_END : STEP_ON;
	}
	switch (tx->at) {
	case TX_RCPT:
		send_rcpt(d, tx);
		return d->is_freed ? STEP_END : STEP_ON;
	case TX_DATA:
		send_data(d, tx);
		return STEP_ON;
	case TX_CONTENT:
		return send_content(d, tx);
	case TX_DOT:
		send_dot(d, tx);
		return STEP_ON;
	case TX_START:
	case TX_WAIT:
	case TX_SENT:
		break;
	}
	MX_ASSERT(!"a transaction that is not being sent");
	return STEP_END;
}

static void say_quit(struct delivery *d)
{
	buf_adds(&d->out, "QUIT\r\n");
	expect_push(d, ST_QUIT, NULL, 0);
	d->life = LIFE_QUIT;
}

/* What was cancelled while nothing was left to be answered. */
static void reap(struct delivery *d)
{
	struct tx *tx = TAILQ_FIRST(&d->txs);

	d->has_cancelled = false;
	while (!d->is_freed && tx != NULL) {
		struct tx *next = TAILQ_NEXT(tx, link);

		if (tx->is_cancelled && tx->at == TX_START)
			jobs_done(d, tx);
		else if (tx->is_cancelled && tx->at == TX_SENT &&
			 tx->pending == 0 && !tx->is_held)
			trust_answered(d, tx);
		tx = next;
	}
}

/* Everything was answered: must EHLO show that it was? */
static bool wants_sync(const struct delivery *d)
{
	if (d->expects.count > 0 || d->sending != NULL)
		return false;
	return d->held > 0 || (d->open == 0 && d->queued != NULL &&
			       trust_is_needed(d, d->queued));
}

void pump_note_dry(struct delivery *d)
{
	bool is_now = d->sending != NULL && is_dry(d->sending) &&
		      d->expects.count == 0 &&
		      conn_output_pending(d->conn) == 0;

	if (is_now == (d->dry_ms > 0))
		return;
	if (!is_now)
		d->dried_ms += clock_mono_ms() - d->dry_ms;
	d->dry_ms = is_now ? clock_mono_ms() : 0;
}

int64_t delivery_dry_ms(const struct delivery *d)
{
	return d->dried_ms +
	       (d->dry_ms > 0 ? clock_mono_ms() - d->dry_ms : 0);
}

enum step pump(struct delivery *d)
{
	size_t turn = 0;
	enum step step = STEP_ON;

	if (d->life != LIFE_READY)
		return STEP_ON;
	if (d->has_cancelled)
		reap(d);
	if (d->is_freed)
		return STEP_END;
	if (d->wants_quit || room_is_spent(d))
		step = jobs_give_back(d);
	while (step == STEP_ON && d->life == LIFE_READY && has_next(d)) {
		size_t before = d->out.n;

		if (conn_output_pending(d->conn) > PIECE)
			break; /* on_drained calls again */
		step = send_next(d);
		turn += d->out.n - before;
		if (step == STEP_ON && d->out.n >= PIECE) {
			flush_out(d);
			conn_flush(d->conn);
		}
		if (turn >= TURN) {
			ev_timer_set(&d->again, 0., 0.);
			ev_timer_start(d->opt.loop, &d->again);
			break;
		}
	}
	if (step == STEP_END)
		return step;
	flush_out(d);
	if (wants_sync(d))
		trust_ask(d);
	if (d->jobs == 0 && (d->wants_quit || room_is_used_up(d)))
		say_quit(d);
	flush_out(d);
	return STEP_ON;
}
