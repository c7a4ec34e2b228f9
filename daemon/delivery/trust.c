/*
 * Whose are these replies?  SMTP numbers neither commands nor replies: one
 * reply too many, and each that follows answers the command behind its own.
 * Mail has been lost so: a server that answers once for each recipient, as
 * LMTP does, or one that says 250 to BDAT and takes the content for commands.
 *
 * Some replies only one command can have.  Up to there everything is certain:
 *
 *  354                      nothing but DATA is answered so
 *  our EHLO, said again     its reply begins with the server's name, or lists
 *                           extensions: behind a proxy that greeted in its own
 *                           name another server may answer now
 *  RCPT, content            where the server's words for them are its words
 *                           for nothing else: "250 2.1.5 Ok"
 *  MAIL                     the same, if they were the same a few times
 *
 * The first transaction of a connection, and the first for several recipients,
 * goes alone and is held until EHLO was answered: the proof.  After it, what
 * had 354 or the server's own words is believed at once; anything else is
 * held, nothing is begun behind it, and EHLO settles it.
 *
 * Without content there is no end of it that could be answered, and a refusal,
 * of MAIL or RCPT, is certain as far as no reply before it can be one too many.
 * A callout asks for more than that, since its answer is all that comes of it
 * and is remembered: the first over a connection is held until EHLO was
 * answered.  Behind that proof a callout is certain as a refusal is; where
 * content was answered since, or replies did not match once, EHLO settles it.
 * Whoever waits at each reply cannot wait for that: EHLO then goes before MAIL,
 * until the words for MAIL are known, which show where the replies are as well
 * (a refusal of MAIL is held as ever, and other words end the connection before
 * anybody was told anything); and a server that is spoken to in lock-step does
 * not get such mail at all.
 *
 * When replies contradict each other, or one is too many or too early, nothing
 * of what is under way is settled and the connection closes.  The next one
 * goes in lock-step, with DATA, one recipient and one transaction at a time:
 * then the first reply behind the final dot is that to the content, and what
 * else comes is noise.
 */
#include <string.h>

#include "common/base/assert.h"
#include "daemon/delivery/delivery_priv.h"

enum { WORD_ENOUGH = 3, SHAPE_CODE_MAX = 16 };

static struct shape shape_of(const struct smtp_reply *r)
{
	struct span text = buf_span(&r->text);
	struct span line = span_of(text.p, span_find(text, '\n'));
	struct shape s;
	size_t n = span_copy(span_str(r->enhanced), s.text, SHAPE_CODE_MAX);

	s.text[n++] = ' ';
	span_copy(span_cut(&line, ' '), s.text + n, sizeof(s.text) - n);
	return s;
}

static bool is_same(const struct shape *a, const struct shape *b)
{
	return strcmp(a->text, b->text) == 0;
}

/* ---- A word for MAIL ---- */

/* One that depends on the sender would be another one next time. */
static bool is_plain(const struct shape *s)
{
	return strpbrk(s->text, "<@") == NULL;
}

/* RSET may be answered in the same words: with that it is EHLO. */
static bool has_word(const struct delivery *d)
{
	return d->word_count >= WORD_ENOUGH && !d->is_word_shared &&
	       is_plain(&d->word) && !d->needs_reset;
}

static void learn_word(struct delivery *d, const struct shape *now)
{
	if (!is_same(now, &d->word))
		d->word_count = 0;
	d->word = *now;
	d->word_count++;
}

bool trust_finds_mail(struct delivery *d, const struct tx *tx)
{
	const struct shape now = shape_of(&d->reply);

	if (!tx_is_live(tx))
		return true;
	if (!d->is_loose)
		learn_word(d, &now);
	else if (!is_same(&now, &d->word))
		return false;
	d->is_loose = false;
	return true;
}

bool trust_is_needed(const struct delivery *d, const struct tx *tx)
{
	return tx_is_live(tx) && d->is_loose && !has_word(d);
}

bool trust_wants_proof(const struct delivery *d, const struct tx *tx)
{
	size_t open = 0;

	if (!d->is_proven || (d->without & DELIVERY_TRUST))
		return true;
	if (d->is_proven_many)
		return false;
	for (size_t i = 0; i < tx->job.count && open < 2; i++)
		open += tx->job.set[i].outcome == OUTCOME_UNTRIED;
	return open > 1;
}

/* ---- Like those of the proof? ---- */

static void learn_shape(struct delivery *d, enum stage s)
{
	if (s == ST_RSET)
		d->shape_rset = shape_of(&d->reply);
	else if (s == ST_MAIL)
		d->shape_mail = shape_of(&d->reply);
	else if (s == ST_RCPT)
		d->shape_rcpt = shape_of(&d->reply);
	else
		d->shape_content = shape_of(&d->reply);
}

static unsigned unfit(const struct delivery *d, enum stage s)
{
	struct shape now = shape_of(&d->reply);
	bool is_content = s == ST_BDAT || s == ST_DOT;
	unsigned bits = 0;

	if (is_same(&now, &d->shape_rcpt) != (s == ST_RCPT))
		bits |= FIT_RCPT;
	if (is_same(&now, &d->shape_content) != is_content)
		bits |= FIT_CONTENT;
	return bits;
}

void trust_note(struct delivery *d, struct tx *tx, enum stage s)
{
	const struct shape now = shape_of(&d->reply);

	if (s != ST_MAIL && is_same(&now, &d->word))
		d->is_word_shared = true;
	if (!is_chunking(d))
		return; /* 354 says more */
	if (d->is_proving) {
		learn_shape(d, s);
		return;
	}
	if (s == ST_RSET) {
		d->unfit = unfit(d, s);
		return;
	}
	if (s == ST_MAIL) {
		tx->fit = d->distinct & ~d->unfit;
		d->unfit = 0;
	}
	tx->fit &= ~unfit(d, s);
}

static unsigned distinct(const struct delivery *d)
{
	const struct shape *rcpt = &d->shape_rcpt;
	const struct shape *content = &d->shape_content;
	unsigned bits = 0;

	if (is_same(rcpt, content) || d->shape_rset.text[0] == '\0')
		return 0;
	if (!is_same(rcpt, &d->shape_mail) && !is_same(rcpt, &d->shape_rset))
		bits |= FIT_RCPT;
	if (!is_same(content, &d->shape_mail) &&
	    !is_same(content, &d->shape_rset))
		bits |= FIT_CONTENT;
	return bits;
}

/* A server with one word for everything gets DATA: 354 it has for that.  So
 * does one without PIPELINING. */
static void learn_distinct(struct delivery *d)
{
	d->distinct = distinct(d);
	if (d->distinct == 0)
		d->ehlo.offered &= ~(unsigned)SMTP_EXT_CHUNKING;
}

/* ---- Believed, or held ---- */

static bool has_taken(const struct tx *tx)
{
	for (size_t i = 0; i < tx->ask_count; i++)
		if (tx->job.set[tx->ask[i]].outcome == OUTCOME_DELIVERED)
			return true;
	return false;
}

/* Behind replies to RCPT that are nothing else comes that to the content,
 * whatever it says; else its own words, if it was taken. */
static bool is_fit(const struct tx *tx)
{
	if (!tx->is_final || tx->taken == 0)
		return false;
	return (tx->fit & FIT_RCPT) != 0 || (tx->fit != 0 && has_taken(tx));
}

/* No content was answered, and these replies are its own. */
static bool is_certain(const struct delivery *d, const struct tx *tx)
{
	if (!tx->is_firm || tx->is_final)
		return false;
	return !tx_is_callout(tx) ||
	       (d->is_matched && (d->without & DELIVERY_TRUST) == 0);
}

static bool is_believed(const struct delivery *d, const struct tx *tx)
{
	if (is_certain(d, tx))
		return true;
	if (tx->is_proof || tx_is_callout(tx))
		return false;
	return tx->is_firm || tx->is_synced || is_fit(tx);
}

static void believe(struct delivery *d, struct tx *tx)
{
	if (tx->refused != 0 && !tx_is_live(tx) && !tx->is_cancelled)
		jobs_again(d, tx);
	else
		jobs_done(d, tx);
}

void trust_answered(struct delivery *d, struct tx *tx)
{
	if (d->held == 0 && is_believed(d, tx)) {
		believe(d, tx);
		return;
	}
	tx->is_held = true;
	d->held++;
}

/* ---- What only this server answers so ---- */

/* The words for RSET, too, must be known: it goes between transactions. */
static bool wants_rset(const struct delivery *d)
{
	return d->is_proving && is_pipelining(d) && is_chunking(d);
}

void trust_ask(struct delivery *d)
{
	if (wants_rset(d)) {
		buf_adds(&d->out, "RSET\r\n");
		expect_push(d, ST_RSET, NULL, 0);
	}
	session_hello(d, ST_SYNC);
	if (++d->syncs >= SYNCS_MAX && d->held > 0)
		d->is_spent = true; /* else what it was said for still goes */
}

/* A server that permits EHLO once says so with these codes.  They could be an
 * answer to content that was taken for commands, but not behind 354. */
static bool is_out_of_order(const struct delivery *d)
{
	const struct tx *tx;

	if (d->reply.code < 500 || d->reply.code > 504)
		return false;
	TAILQ_FOREACH (tx, &d->txs, link)
		if (tx->is_held && tx->is_final && !tx->is_synced)
			return false;
	return true;
}

static bool is_its_greeting(const struct delivery *d)
{
	struct span text = buf_span(&d->reply.text);
	struct span line = span_of(text.p, span_find(text, '\n'));
	struct span name = span_str(d->ehlo.host);
	struct smtp_ehlo again;

	if (d->reply.code / 100 != 2)
		return false;
	if (name.n == 0 || span_ieq(span_cut(&line, ' '), name))
		return true;
	smtp_ehlo_parse(&d->reply, &again);
	return again.offered != 0;
}

static void learn_proof(struct delivery *d)
{
	const struct tx *tx;

	TAILQ_FOREACH (tx, &d->txs, link) {
		if (!tx->is_held || !tx->is_proof || !tx->is_final ||
		    !has_taken(tx))
			continue;
		d->is_proven = true;
		d->is_proven_many |= tx->taken > 1;
		learn_distinct(d);
	}
}

enum step got_sync(struct delivery *d, struct expect *e)
{
	struct tx *tx;

	if (meaning_is_leaving(&d->reply))
		return end_with(d, DELIVERY_BUSY, e->stage, &d->reply);
	if (is_its_greeting(d))
		d->needs_reset = false; /* RFC 5321 section 4.1.4 */
	else if (!is_out_of_order(d))
		return trust_askew(d, e->stage, TAILQ_FIRST(&d->txs));
	d->is_loose = false;
	d->is_matched = true;
	learn_proof(d);
	while ((tx = TAILQ_FIRST(&d->txs)) != NULL && tx->is_held) {
		believe(d, tx);
		if (d->is_freed)
			return STEP_END;
	}
	return STEP_ON;
}

/* ---- When they do not match ---- */

bool trust_is_early(const struct delivery *d, const struct tx *tx)
{
	uint64_t pending = conn_output_pending(d->conn);

	if (conn_tls(d->conn) != NULL)
		pending /= 2; /* records are longer than what is in them */
	return d->written < tx->end + pending;
}

/*
 * There is no simpler way.  The first reply to the content stands if the
 * server took it; that it refuses is not certain enough for a report.
 */
static bool decide_simply(struct delivery *d)
{
	static const char text[] =
		"(content) 4.5.0 Replies of the server do not match our "
		"commands";
	struct tx *tx = TAILQ_FIRST(&d->txs);

	if (tx == NULL || !tx->has_mail)
		return false;
	MX_ASSERT(d->open == 1);
	for (size_t i = 0; i < tx->ask_count; i++) {
		struct settlement *s = &tx->job.set[tx->ask[i]];

		if (s->outcome == OUTCOME_UNTRIED && s->reply.n == 0)
			s->reply = span_of(text, sizeof(text) - 1);
		if (s->outcome != OUTCOME_DELIVERED || tx_is_callout(tx))
			s->outcome = OUTCOME_TRANSIENT;
	}
	tx->is_decided = true;
	return true;
}

enum step trust_askew(struct delivery *d, enum stage at, struct tx *tx)
{
	int why = DELIVERY_CLOSED;

	d->is_askew = true;
	d->blamed = tx;
	if ((d->without & DELIVERY_TRUST) == 0)
		fallback_to(d, tx, stage_name(at),
			    SMTP_EXT_PIPELINING | SMTP_EXT_CHUNKING |
				    DELIVERY_TRUST,
			    SPAN_LIT("its replies do not match our commands"));
	else if (!decide_simply(d))
		why = DELIVERY_LOST;
	return end_with(d, why, at, &d->reply);
}

static bool does_stand(const struct delivery *d, const struct tx *tx)
{
	if (d->is_askew)
		return false;
	return tx->is_synced || is_certain(d, tx);
}

void trust_lose(struct delivery *d, struct tx *tx)
{
	if (!tx->has_mail || tx->is_decided || does_stand(d, tx))
		return;
	if (tx->is_final && has_taken(tx))
		tx->is_complete = true; /* it may be there */
	for (size_t i = 0; i < tx->ask_count; i++)
		tx->job.set[tx->ask[i]].outcome = OUTCOME_UNTRIED;
}
