/* The connection is over: what is left of its jobs. */
#include "common/base/log.h"
#include "daemon/delivery/delivery_priv.h"

static void say_why(struct tx *tx, struct span reply)
{
	for (size_t i = 0; i < tx->ask_count; i++) {
		struct settlement *s = &tx->job.set[tx->ask[i]];

		if (s->outcome == OUTCOME_UNTRIED)
			s->reply = reply;
	}
}

/*
 * The content was all out and the reply did not come: the server may have it
 * or not.  It is sent again, since a loss is worse than a duplicate
 * (RFC 1047 knows the problem), and the log says so.
 */
static void note_doubt(struct delivery *d, struct tx *tx)
{
	const char *text =
		tx->is_final ? "(content) 4.5.0 The reply to it is in doubt"
			     : "(content) Connection lost before the reply "
			       "to it";
	struct buf to = { 0 };

	tx->job.in_doubt = true;
	say_why(tx, span_str(text));
	unit_list_rcpts(tx->job.unit, &to);
	log_warn(EV_DEFERRED, LOG_ID("mid", tx->job.unit->envelope.id),
		 LOG_SPAN("to", buf_span(&to)),
		 LOG_SPAN("host", d->opt.host->name),
		 LOG_STR("stage", d->end.stage), LOG_STR("reply", text),
		 LOG_STR("note", "a duplicate is possible"));
	buf_fini(&to);
}

/* The transaction that was under way may be why the connection ended. */
static void note_head(struct delivery *d, struct tx *tx)
{
	struct buf line = { 0 };

	tx->job.was_head = true;
	fallback_crowd(d, tx);
	smtp_reply_print(&line, &d->end.reply);
	say_why(tx, arena_span(&tx->job.unit->arena, buf_span(&line)));
	buf_fini(&line);
}

enum step lose_all(struct delivery *d)
{
	struct tx *tx;

	while ((tx = TAILQ_FIRST(&d->txs)) != NULL) {
		trust_lose(d, tx);
		if (tx == d->blamed)
			note_head(d, tx);
		else if (tx->without != 0) /* or what it refused before */
			tx->job.was_head = true;
		/* behind a 421 nothing was executed */
		if (tx->is_complete && !tx->is_cancelled &&
		    (tx->is_final || d->end.why != DELIVERY_BUSY))
			note_doubt(d, tx);
		jobs_hand_back(d, tx);
		if (d->is_freed)
			return STEP_END;
	}
	return STEP_ON;
}
