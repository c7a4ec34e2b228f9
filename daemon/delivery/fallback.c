/*
 * A server that offers something and refuses it when it is used: broken, or
 * something between us that rewrites one of the two.  Mail must not bounce
 * for parameters that are ours and not the sender's message (RFC 5321 section
 * 4.1.1.11 has 555 for them, older servers say 500, 501, 502 or 504), nor for
 * our way of speaking.
 *
 *  MAIL, RCPT  another transaction over the same connection, without the
 *              extensions whose parameters the refused command carried
 *  BDAT        another connection and DATA: a server that does not know BDAT
 *              takes the content for commands, and answers each line
 *  500 to 504  to what was sent ahead: another connection in lock-step; and so
 *              when time runs out over a group before any has worked
 *  RCPT        for a server that left (421, or without a word) behind some that
 *              it took and before it answered all: another connection, with
 *              as many as that in a transaction
 *
 * What the next try refuses is final, as far as it carries no options itself.
 */
#include "common/base/log.h"
#include "daemon/delivery/command.h"
#include "daemon/delivery/delivery_priv.h"

static void add_name(struct buf *out, const char *name)
{
	if (out->n > 0)
		buf_addc(out, ' ');
	buf_adds(out, name);
}

static void add_names(struct buf *out, unsigned bits)
{
	const struct smtp_ehlo without = { .offered = bits };

	smtp_ehlo_print(out, &without);
	if (bits & DELIVERY_EHLO)
		add_name(out, "EHLO");
	if (bits & DELIVERY_TRUST)
		add_name(out, "trust");
	if (bits & DELIVERY_CROWD)
		add_name(out, "recipients");
}

static void log_change(const struct delivery *d, const struct tx *tx,
		       const char *at, unsigned bits, struct span why)
{
	struct buf target = { 0 }, names = { 0 }, line = { 0 }, to = { 0 };

	if (tx != NULL)
		unit_list_rcpts(tx->job.unit, &to);
	net_endpoint_add(&target, &d->target);
	add_names(&names, bits);
	if (d->reply.code != 0)
		smtp_reply_print(&line, &d->reply);
	log_info(EV_FALLBACK,
		 LOG_ID("mid", tx != NULL ? tx->job.unit->envelope.id : 0),
		 LOG_SPAN("to", buf_span(&to)),
		 LOG_SPAN("host", d->opt.host->name),
		 LOG_SPAN("target", buf_span(&target)), LOG_STR("stage", at),
		 LOG_SPAN("without", buf_span(&names)), LOG_SPAN("why", why),
		 LOG_SPAN("reply", buf_span(&line)));
	buf_fini(&to);
	buf_fini(&target);
	buf_fini(&names);
	buf_fini(&line);
}

unsigned fallback_forbidden(const struct delivery *d)
{
	return d->opt.host->tls.level > TLS_LEVEL_MAY
		       ? SMTP_EXT_STARTTLS | DELIVERY_EHLO
		       : 0;
}

void fallback_to(struct delivery *d, const struct tx *tx, const char *at,
		 unsigned bits, struct span why)
{
	bits &= ~(d->without | fallback_forbidden(d));
	if (bits == 0)
		return;
	log_change(d, tx, at, bits, why);
	d->without |= bits;
}

/* used: what the command would carry if all were offered. */
static bool may_be_for(struct delivery *d, struct tx *tx, const char *at,
		       unsigned used)
{
	used &= tx->job.offered;
	if (used == 0 || !meaning_is_about_options(&d->reply))
		return false;
	if ((tx->refused & used) != used)
		log_change(d, tx, at, used, SPAN_LIT("it was offered"));
	tx->refused |= used;
	d->trust = 0; /* not counted as an error: over a new connection it
			 would only begin again */
	return true;
}

bool fallback_mail(struct delivery *d, struct tx *tx)
{
	return may_be_for(d, tx, "mail",
			  command_mail_options(&tx->job.unit->envelope));
}

bool fallback_rcpt(struct delivery *d, struct tx *tx, size_t i)
{
	const struct recipient *r = &tx->job.unit->rcpts[tx->ask[i]];

	return may_be_for(d, tx, "rcpt", command_rcpt_options(r));
}

/* Behind a BDAT that was taken over this connection, it is the content. */
bool fallback_bdat(struct delivery *d, struct tx *tx)
{
	if (d->has_chunked || tx->taken == 0 ||
	    !may_be_for(d, tx, "bdat", SMTP_EXT_CHUNKING))
		return false;
	d->without |= SMTP_EXT_CHUNKING;
	return true;
}

/*
 * The connection keeps its manner for what is under way, and takes nothing
 * new.  What was refused is not settled: it goes again, over the next one.
 */
bool fallback_order(struct delivery *d, const struct tx *tx, const char *at)
{
	if (!is_pipelining(d) || !meaning_is_about_order(&d->reply))
		return false;
	fallback_to(d, tx, at, SMTP_EXT_PIPELINING | SMTP_EXT_CHUNKING,
		    SPAN_LIT("it was sent ahead"));
	d->is_spent = true;
	d->trust = 0;
	return true;
}

/* What may be swallowed for having been sent ahead, at this point. */
static unsigned suspects(const struct delivery *d, enum stage at,
			 bool is_timeout)
{
	bool chunking = is_chunking(d);

	switch (at) {
	case ST_SYNC:
		return chunking ? SMTP_EXT_CHUNKING : 0;
	case ST_RSET:
	case ST_MAIL:
	case ST_RCPT:
	case ST_DATA:
		break;
	case ST_BDAT:
		if (chunking)
			break;
		return 0;
	default:
		return 0;
	}
	return is_timeout && is_pipelining(d)
		       ? SMTP_EXT_PIPELINING | SMTP_EXT_CHUNKING
		       : 0;
}

/*
 * A server that has proven itself, over this connection or another one, is
 * just ill now.
 */
bool fallback_lost(struct delivery *d, enum stage at, struct span why,
		   bool is_timeout)
{
	unsigned bits = suspects(d, at, is_timeout);

	if (d->life != LIFE_READY || d->jobs == 0 || d->is_proven ||
	    d->opt.is_proven || bits == 0)
		return false;
	fallback_to(d, d->blamed, stage_name(at), bits, why);
	d->blamed = NULL; /* it is not for the mail */
	return true;
}

/* It might do the same each time, and the mail would never get anywhere. */
void fallback_crowd(struct delivery *d, const struct tx *tx)
{
	bool has_left = d->end.why == DELIVERY_BUSY ||
			d->end.why == DELIVERY_LOST;

	if (!has_left || tx->taken == 0 || tx->answered == tx->ask_count ||
	    tx_is_live(tx) || tx_is_callout(tx))
		return;
	d->rcpts_most = tx->taken;
	fallback_to(d, tx, "rcpt", DELIVERY_CROWD,
		    SPAN_LIT("it left in the middle of the recipients"));
}

/* Refused with, taken without: so will be the next one. */
void fallback_learn(struct delivery *d, const struct tx *tx)
{
	if (tx->is_bdat)
		d->has_chunked = true;
	/* a report that went without REQUIRETLS says nothing about mail */
	d->without |= tx->without & ~(unsigned)SMTP_EXT_REQUIRETLS;
	d->ehlo.offered &= ~d->without;
}
