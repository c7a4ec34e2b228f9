/* The part of the report that people read. */
#include "daemon/dsn/report.h"

#include "common/base/assert.h"
#include "common/base/msgid.h"
#include "common/mail/header.h"

/*
 * What the sender can do, by the status behind its class.  First match; the
 * last row matches all.  RFC 3463 has the codes.
 */
/* clang-format off */
static const struct {
	const char *status;
	const char *text;
} advice[] = {
	{ ".1.",  "Please check the address for typing mistakes. If it is right, "
		  "ask the recipient in another way whether it still exists." },
	{ ".2.2", "The recipient's mailbox is full. Please try again in a few "
		  "days, or reach the recipient in another way." },
	{ ".2.3", "The message is too large for the recipient. Please send it "
		  "again in a smaller form, without large attachments." },
	{ ".3.4", "The message is too large for the recipient's mail server. "
		  "Please send it again in a smaller form, without large "
		  "attachments." },
	{ ".4.",  "The recipient's mail server could not be reached, or did not "
		  "take the message, for as long as we may keep it. Please send "
		  "the message again later, or reach the recipient in another "
		  "way." },
	{ ".7.",  "The recipient's mail server refuses this message by its own "
		  "rules. Please reach the recipient in another way and pass on "
		  "the answer quoted above: only they, or whoever runs their mail "
		  "server, can change it." },
	{ "",     "Please reach the recipient in another way, and pass on the "
		  "answer quoted above to whoever runs their mail server." },
};
/* clang-format on */

static const char *const headings[] = {
	[DSN_FAILED] = "Your message could not be delivered to:",
	[DSN_DELAYED] = "Your message still waits for delivery to:",
	[DSN_RELAYED] = "Your message was handed on for:",
};

static void paragraph(struct buf *out, const char *text)
{
	dsn_wrap(out, 0, "", span_str(text));
	buf_adds(out, "\r\n\r\n");
}

static size_t advice_for(struct span status)
{
	struct span rest = span_skip(status, 1); /* the class is one digit */
	size_t i = 0;

	while (!span_starts(rest, span_str(advice[i].status)))
		i++;
	return i;
}

static void add_introduction(const struct dsn_report *r, struct buf *out)
{
	struct buf text = { 0 };

	buf_adds(&text, "This is the mail system at ");
	dsn_clean(&text, r->hostname, false);
	buf_adds(&text, ", the backup mail server (backup MX) for ");
	dsn_clean(&text, r->domain, false);
	buf_adds(&text, ". It keeps mail for that domain while the domain's "
			"own mail server cannot be reached.");
	paragraph(out, buf_cstr(&text));
	buf_fini(&text);
}

/* Which message: the sender may have written many. */
static void add_message(const struct dsn_report *r, struct buf *out)
{
	buf_adds(out, "Your message arrived here on ");
	mail_date_add(out, r->env->arrived_ms);
	buf_adds(out, "\r\nand has the queue id ");
	msg_id_add(out, r->env->id);
	buf_adds(out, ".\r\n\r\n");
}

static void add_recipient(const struct dsn_rcpt *d, bool utf8, struct buf *out)
{
	buf_adds(out, "  <");
	dsn_clean(out, d->rcpt->path, utf8);
	buf_adds(out, ">\r\n");
	if (d->reply.n == 0)
		return;
	buf_adds(out, "    ");
	if (d->host.n > 0) {
		dsn_clean(out, dsn_host_name(d->host), false);
		buf_adds(out, " answered:\r\n    ");
	}
	dsn_wrap(out, 4, "    ", d->reply);
	buf_adds(out, "\r\n");
}

static void advise_failed(const struct dsn_report *r, struct buf *out)
{
	unsigned said = 0;

	paragraph(out, "We will not try again.");
	for (size_t i = 0; i < r->count; i++) {
		if (r->rcpts[i].action != DSN_FAILED)
			continue;
		size_t row = advice_for(dsn_status_code(&r->rcpts[i]));
		if (!(said & 1u << row))
			paragraph(out, advice[row].text);
		said |= 1u << row;
	}
}

static void advise_delayed(const struct dsn_report *r, struct buf *out)
{
	int64_t until_ms = 0;

	for (size_t i = 0; i < r->count; i++)
		if (r->rcpts[i].retry_until_ms > until_ms)
			until_ms = r->rcpts[i].retry_until_ms;
	paragraph(out, "You need not do anything: the message is safe here "
		       "and will be delivered as soon as the recipient's mail "
		       "server takes it. Should that not happen in time, you "
		       "will get another report.");
	if (until_ms == 0)
		return;
	buf_adds(out, "We go on trying until ");
	mail_date_add(out, until_ms);
	buf_adds(out, ".\r\n\r\n");
}

static void advise_relayed(struct buf *out)
{
	paragraph(out, "The mail server that took it does not send "
		       "confirmations of delivery: this report is the last "
		       "you will hear of it unless delivery fails there.");
}

static void add_section(const struct dsn_report *r, enum dsn_action action,
			struct buf *out)
{
	bool global = dsn_is_global(r), is_empty = true;

	for (size_t i = 0; i < r->count; i++) {
		if (r->rcpts[i].action != action)
			continue;
		if (is_empty)
			buf_addf(out, "%s\r\n\r\n", headings[action]);
		is_empty = false;
		add_recipient(&r->rcpts[i], global, out);
	}
	if (is_empty)
		return;
	buf_adds(out, "\r\n");
	if (action == DSN_FAILED)
		advise_failed(r, out);
	else if (action == DSN_DELAYED)
		advise_delayed(r, out);
	else
		advise_relayed(out);
}

void dsn_human_add(const struct dsn_report *r, struct buf *out)
{
	add_introduction(r, out);
	for (unsigned a = DSN_FAILED; a <= DSN_RELAYED; a++)
		add_section(r, (enum dsn_action)a, out);
	add_message(r, out);
	paragraph(out, "The rest of this report holds the same facts for "
		       "programs, and the beginning of your message.");
}
