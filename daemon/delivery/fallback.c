/*
 * A server that offers an extension and refuses it when it is used: broken,
 * or something between us that rewrites one of the two.  Mail must not bounce
 * for parameters that are ours and not the sender's message (RFC 5321 section
 * 4.1.1.11 has 555 for them, older servers say 500, 501, 502 or 504).
 *
 *  MAIL, RCPT  another transaction over the same connection, without the
 *              extensions whose parameters the refused command carried
 *  BDAT        another connection and DATA: a server that does not know BDAT
 *              takes the content for commands, and answers each line
 *
 * What the next try refuses is final, as far as it carries no options itself.
 */
#include "common/base/log.h"
#include "daemon/delivery/command.h"
#include "daemon/delivery/internal.h"

static void say(const struct delivery *d, const struct tx *tx, const char *at,
		unsigned bits)
{
	const struct smtp_ehlo without = { .offered = bits };
	struct buf target = { 0 }, names = { 0 }, line = { 0 }, to = { 0 };

	unit_list_rcpts(tx->job.unit, &to);
	net_endpoint_add(&target, &d->target);
	smtp_ehlo_print(&names, &without);
	smtp_reply_print(&line, &d->reply);
	log_info(EV_FALLBACK, LOG_ID("mid", tx->job.unit->envelope.id),
		 LOG_SPAN("to", buf_span(&to)),
		 LOG_SPAN("host", d->opt.host->name),
		 LOG_SPAN("target", buf_span(&target)), LOG_STR("stage", at),
		 LOG_SPAN("without", buf_span(&names)),
		 LOG_SPAN("reply", buf_span(&line)));
	buf_fini(&to);
	buf_fini(&target);
	buf_fini(&names);
	buf_fini(&line);
}

/* used: what the command would carry if all were offered. */
static bool may_be_for(struct delivery *d, struct tx *tx, const char *at,
		       unsigned used)
{
	used &= tx->job.offered;
	if (used == 0 || !verdict_is_about_options(&d->reply))
		return false;
	if ((tx->refused & used) != used)
		say(d, tx, at, used);
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

/* Refused with, taken without: so will be the next one. */
void fallback_learn(struct delivery *d, const struct tx *tx)
{
	if (tx->job.offered & SMTP_EXT_CHUNKING)
		d->has_chunked = true;
	/* a report that went without REQUIRETLS says nothing about mail */
	d->without |= tx->without & ~(unsigned)SMTP_EXT_REQUIRETLS;
	d->ehlo.offered &= ~d->without;
}
