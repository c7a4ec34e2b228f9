/* The part of the report that people read. */
#include "daemon/report/report_priv.h"

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/msgid.h"
#include "common/mail/header.h"
#include "common/smtp/reply.h"

/* clang-format off */
#define ELSEWHERE "reach the recipient in another way"
#define PASS_ON "pass on the words quoted above to whoever runs their mail server"
#define SMALLER "Please send it again in a smaller form, without large attachments."
#define NO_UTF8 \
	"The address of the recipient, or your own, has letters beyond a to " \
	"z, and the recipient's mail server takes no such addresses. Please " \
	"send the message again with addresses that have none."
#define NO_REQUIRETLS \
	"Your message asks to be carried only by mail servers that promise " \
	"to protect it (REQUIRETLS), and the recipient's mail server does " \
	"not. Please send it again without that wish, or " ELSEWHERE "."
/* clang-format on */

/*
 * What happened and what the sender can do.  The cause comes first: a code
 * means one thing from a server that refuses and another as the last that was
 * heard before time ran out.  Then the code behind its class, with a dot at
 * its end, or the basic one where the server gave no other.  First match;
 * each cause ends with a row that matches all.  RFC 3463 and its registry have
 * the codes.
 */
/* clang-format off */
static const struct {
	enum report_cause cause;
	const char *code;
	const char *text;
} advice[] = {
	/* in its own words: nothing here may promise more than they say */
	{ REPORT_REFUSED, ".1.2.",
	  "The recipient's domain is not known there. Please check the part "
	  "behind the @ for typing mistakes." },
	{ REPORT_REFUSED, ".1.10.",
	  "The recipient's domain takes no mail. Please check the part behind "
	  "the @ for typing mistakes, or " ELSEWHERE "." },
	{ REPORT_REFUSED, ".1.7.",
	  "The recipient's mail server does not accept your address as that of "
	  "a sender. Please show this report to whoever runs your own mail "
	  "system." },
	{ REPORT_REFUSED, ".1.8.",
	  "The recipient's mail server does not accept your address as that of "
	  "a sender. Please show this report to whoever runs your own mail "
	  "system." },
	{ REPORT_REFUSED, ".1.",
	  "Please check the address for typing mistakes. If it is right, ask "
	  "the recipient in another way whether it still exists." },
	{ REPORT_REFUSED, ".2.1.",
	  "The recipient's mailbox takes no mail at present. Please "
	  ELSEWHERE "." },
	{ REPORT_REFUSED, ".2.2.",
	  "The recipient's mailbox is full. Please try again in a few days, or "
	  ELSEWHERE "." },
	{ REPORT_REFUSED, ".2.3.",
	  "The message is too large for the recipient. " SMALLER },
	{ REPORT_REFUSED, ".3.4.",
	  "The message is too large for the recipient's mail server. "
	  SMALLER },
	{ REPORT_REFUSED, ".4.",
	  "The recipient's mail server says that it cannot pass the message "
	  "on. Please check the address for typing mistakes. If it is right, "
	  ELSEWHERE ", and " PASS_ON "." },
	{ REPORT_REFUSED, ".6.7.", NO_UTF8 },
	{ REPORT_REFUSED, ".7.",
	  "The recipient's mail server refuses this message by its own rules. "
	  "Please " ELSEWHERE " and pass on the answer quoted above: only "
	  "they, or whoever runs their mail server, can change it." },
	{ REPORT_REFUSED, "551",
	  "Please check the address for typing mistakes. If it is right, ask "
	  "the recipient in another way whether it still exists." },
	{ REPORT_REFUSED, "552",
	  "The recipient's mailbox is full, or the message is too large for "
	  "it; the answer quoted above may say which. Please send it again in "
	  "a smaller form or in a few days, or " ELSEWHERE "." },
	{ REPORT_REFUSED, "553",
	  "Please check the address for typing mistakes. If it is right, ask "
	  "the recipient in another way whether it still exists." },
	{ REPORT_REFUSED, "556",
	  "The recipient's domain takes no mail. Please check the part behind "
	  "the @ for typing mistakes, or " ELSEWHERE "." },
	{ REPORT_REFUSED, "",
	  "The answer quoted above says why. If it speaks of the address, "
	  "please check that for typing mistakes; else " ELSEWHERE ", and "
	  PASS_ON "." },

	{ REPORT_EXPIRED, ".2.2.",
	  "The recipient's mailbox was full when we last tried. Please "
	  ELSEWHERE "." },
	{ REPORT_EXPIRED, ".7.4.",
	  "The message may only be handed over encrypted, and the recipient's "
	  "mail server did not offer that. Please " ELSEWHERE ", and " PASS_ON
	  "." },
	{ REPORT_EXPIRED, ".7.5.",
	  "The message may only be handed over to a mail server that proves "
	  "its name, and the recipient's did not. Please " ELSEWHERE ", and "
	  PASS_ON "." },
	{ REPORT_EXPIRED, ".4.3.",
	  "It could not be found out which mail server the recipient's domain "
	  "has now. Please check the part behind the @ for typing mistakes, or "
	  ELSEWHERE "." },
	{ REPORT_EXPIRED, ".4.6.",
	  "The recipient's domain names no mail server before this one, which "
	  "is only its backup. Please " ELSEWHERE ", and " PASS_ON "." },
	{ REPORT_EXPIRED, ".4.7.",
	  "Please send the message again later, or " ELSEWHERE "." },
	{ REPORT_EXPIRED, ".4.",
	  "The recipient's mail server could not be reached, or the connection "
	  "to it did not hold. Please send the message again later, or "
	  ELSEWHERE "." },
	{ REPORT_EXPIRED, ".3.4.",
	  "The message is too large for those of the recipient's mail servers "
	  "that could be asked. " SMALLER },
	{ REPORT_EXPIRED, ".6.7.", NO_UTF8 },
	{ REPORT_EXPIRED, ".7.10.", NO_REQUIRETLS },
	{ REPORT_EXPIRED, ".7.30.", NO_REQUIRETLS },
	{ REPORT_EXPIRED, "",
	  "The recipient's mail server put the message off, in the words "
	  "quoted above when it was last asked. Please send the message again "
	  "later, or " ELSEWHERE ", and " PASS_ON "." },

	{ REPORT_UNFIT, ".3.4.",
	  "The message is too large for the recipient's mail server. "
	  SMALLER },
	{ REPORT_UNFIT, ".6.7.", NO_UTF8 },
	{ REPORT_UNFIT, ".7.", NO_REQUIRETLS },
	{ REPORT_UNFIT, "",
	  "Please " ELSEWHERE ", and " PASS_ON "." },

	{ REPORT_OPERATOR, "",
	  "Whoever runs this backup mail server has taken the message out of "
	  "its queue. Please send it again, or " ELSEWHERE "." },
};
/* clang-format on */

static const char *const headings[] = {
	[REPORT_FAILED] = "Your message could not be delivered to:",
	[REPORT_DELAYED] = "Your message still waits for delivery to:",
	[REPORT_RELAYED] = "Your message was handed on for:",
};

static void paragraph(struct buf *out, const char *text)
{
	report_wrap(out, 0, "", span_str(text));
	buf_adds(out, "\r\n\r\n");
}

/* What advice[].code matches: ".1.1." of the reply or, where it has none,
 * "550"; of the status where there is no reply. */
static void add_code(struct buf *out, const struct report_rcpt *d)
{
	struct smtp_reply reply = { 0 };
	struct span code = report_status_code(d);
	bool is_reply = smtp_reply_parse(d->reply, &reply) == MX_OK;

	if (smtp_reply_is_made(d->reply))
		code = smtp_reply_made_status(d->reply);
	if (is_reply && reply.enhanced[0] == '\0') {
		buf_addf(out, "%d", reply.code);
	} else {
		if (is_reply)
			code = span_str(reply.enhanced);
		buf_addf(out, "%.*s.", SPAN_ARG(span_skip(code, 1)));
	}
	smtp_reply_fini(&reply);
}

static size_t advice_for(const struct report_rcpt *d)
{
	struct buf code = { 0 };
	size_t i = 0;

	add_code(&code, d);
	while (advice[i].cause != d->cause ||
	       !span_starts(buf_span(&code), span_str(advice[i].code)))
		i++;
	buf_fini(&code);
	return i;
}

/* A report may be about a message to several. */
static bool is_about_others(const struct report *r)
{
	for (size_t i = 0; i < r->count; i++) {
		struct span domain = r->rcpts[i].rcpt->domain;

		if (domain.n > 0 && !span_eq(domain, r->domain))
			return true;
	}
	return false;
}

static void add_introduction(const struct report *r, struct buf *out)
{
	struct buf text = { 0 };

	buf_adds(&text, "This is the mail system at ");
	report_clean(&text, r->hostname, false);
	buf_adds(&text, ", the backup mail server (backup MX) for ");
	report_clean(&text, r->domain, false);
	buf_adds(&text, is_about_others(r)
				? " and other domains. It keeps mail for a "
				  "domain while the domain's own mail server "
				  "cannot be reached."
				: ". It keeps mail for that domain while the "
				  "domain's own mail server cannot be "
				  "reached.");
	paragraph(out, buf_cstr(&text));
	buf_fini(&text);
}

/* Which message: the sender may have written many. */
static void add_message(const struct report *r, struct buf *out)
{
	buf_adds(out, "Your message arrived here on ");
	mail_date_add(out, r->env->arrived_ms);
	buf_adds(out, "\r\nand has the queue id ");
	msg_id_add(out, r->env->id);
	buf_adds(out, ".\r\n\r\n");
}

/* An answer is called one only if the server gave it just now. */
static void add_whose(const struct report_rcpt *d, struct buf *out)
{
	bool is_last =
		d->action == REPORT_DELAYED ||
		(d->action == REPORT_FAILED && d->cause == REPORT_EXPIRED);

	if (is_last)
		buf_adds(out, "last heard of ");
	else if (!report_is_answer(d))
		buf_adds(out, "not sent to ");
	report_clean(out, report_host_name(d->host), false);
	buf_adds(out, is_last || !report_is_answer(d) ? ":\r\n    "
						      : " answered:\r\n    ");
}

static void add_recipient(const struct report_rcpt *d, bool utf8,
			  struct buf *out)
{
	buf_adds(out, "  <");
	report_clean(out, d->rcpt->path, utf8);
	buf_adds(out, ">\r\n");
	if (d->reply.n == 0)
		return;
	buf_adds(out, "    ");
	if (d->host.n > 0)
		add_whose(d, out);
	report_wrap(out, 4, "    ", d->reply);
	buf_adds(out, "\r\n");
}

static bool has_expired(const struct report *r)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->rcpts[i].action == REPORT_FAILED &&
		    r->rcpts[i].cause == REPORT_EXPIRED)
			return true;
	return false;
}

/* "2 hours": in the largest unit of which there are two. */
static void add_span_of_time(struct buf *out, int64_t ms)
{
	static const struct {
		int64_t ms;
		const char *name;
	} units[] = {
		{ DAYS(1), "days" },
		{ HOURS(1), "hours" },
		{ MINUTES(1), "minutes" },
		{ SECONDS(1), "seconds" },
	};
	size_t i = 0;

	while (i + 1 < COUNT(units) && ms < 2 * units[i].ms)
		i++;
	buf_addf(out, "%lld %s", (long long)(ms / units[i].ms), units[i].name);
}

static void add_expiry(const struct report *r, struct buf *out)
{
	struct buf text = { 0 };

	buf_adds(&text, "It was kept here for ");
	add_span_of_time(&text, r->now_ms - r->env->arrived_ms);
	buf_adds(&text, ", which is as long as we may. We will not try again.");
	paragraph(out, buf_cstr(&text));
	buf_fini(&text);
}

static void advise_failed(const struct report *r, struct buf *out)
{
	bool said[COUNT(advice)] = { false };

	if (has_expired(r))
		add_expiry(r, out);
	else
		paragraph(out, "We will not try again.");
	for (size_t i = 0; i < r->count; i++) {
		size_t row;

		if (r->rcpts[i].action != REPORT_FAILED)
			continue;
		row = advice_for(&r->rcpts[i]);
		if (!said[row])
			paragraph(out, advice[row].text);
		said[row] = true;
	}
}

static void advise_delayed(const struct report *r, struct buf *out)
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

static void add_section(const struct report *r, enum report_action action,
			struct buf *out)
{
	bool global = report_is_global(r), is_empty = true;

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
	if (action == REPORT_FAILED)
		advise_failed(r, out);
	else if (action == REPORT_DELAYED)
		advise_delayed(r, out);
	else
		advise_relayed(out);
}

void report_human_add(const struct report *r, struct buf *out)
{
	add_introduction(r, out);
	for (unsigned a = REPORT_FAILED; a <= REPORT_RELAYED; a++)
		add_section(r, (enum report_action)a, out);
	add_message(r, out);
	paragraph(out, "The rest of this report holds the same facts for "
		       "programs, and the beginning of your message.");
}
