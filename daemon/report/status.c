/* The machine's part of the report: RFC 3464 section 2. */
#include "daemon/report/report_priv.h"

#include "common/base/msgid.h"
#include "common/base/utf8.h"
#include "common/mail/header.h"

static const char *const action_names[] = {
	[REPORT_FAILED] = "failed",
	[REPORT_DELAYED] = "delayed",
	[REPORT_RELAYED] = "relayed",
};

static const char *const plain_codes[] = {
	[REPORT_FAILED] = "5.0.0",
	[REPORT_DELAYED] = "4.0.0",
	[REPORT_RELAYED] = "2.0.0",
};

/* One to three digits, whole span. */
static bool is_number(struct span s)
{
	uint64_t n;

	return s.n <= 3 && span_u64(s, &n);
}

struct span report_status_code(const struct report_rcpt *rcpt)
{
	struct span rest = rcpt->status;
	struct span class = span_cut(&rest, '.');
	struct span subject = span_cut(&rest, '.');

	if (class.n == 1 && strchr("245", class.p[0]) != NULL &&
	    is_number(subject) && is_number(rest))
		return rcpt->status;
	return span_str(plain_codes[rcpt->action]);
}

struct span report_host_name(struct span host)
{
	size_t at = span_find(host, '[');

	if (at > 0) /* a name, then perhaps its address */
		return (struct span){ host.p, at };
	at = span_find(host, ']');
	return (struct span){ host.p, at < host.n ? at + 1 : host.n };
}

void report_reply_path(struct buf *out, struct span from)
{
	if (span_has_8bit(from) && !span_has_8bit(smtp_local_of(from)))
		smtp_mailbox_add_ascii(out, from);
	else
		buf_add(out, from);
}

bool report_is_global(const struct report *r)
{
	if (!r->env->smtputf8)
		return false;
	if (span_has_8bit(smtp_local_of(r->env->from)))
		return true;
	for (size_t i = 0; i < r->count; i++)
		if (span_has_8bit(r->rcpts[i].rcpt->path))
			return true;
	return false;
}

bool report_is_answer(const struct report_rcpt *d)
{
	return d->host.n > 0 && !smtp_reply_is_made(d->reply) &&
	       d->cause != REPORT_UNFIT && d->cause != REPORT_OPERATOR;
}

static void add_date(struct buf *out, const char *name, int64_t wall_ms)
{
	if (wall_ms == 0)
		return;
	buf_addf(out, "%s: ", name);
	mail_date_add(out, wall_ms);
	buf_adds(out, "\r\n");
}

static void add_name(struct buf *out, const char *field, struct span host)
{
	struct buf value = { 0 };

	buf_adds(&value, "dns; ");
	buf_add(&value, host);
	report_field(out, field, buf_span(&value), false);
	buf_fini(&value);
}

/* RFC 3461 section 6.3: the envelope id travels encoded and is shown plain. */
static void add_envelope_id(const struct report *r, struct buf *out)
{
	struct buf plain = { 0 };

	if (r->env->envid.n > 0 && smtp_xtext_decode(&plain, r->env->envid))
		report_field(out, "Original-Envelope-Id", buf_span(&plain),
			     false);
	buf_fini(&plain);
}

static void add_message_fields(const struct report *r, struct buf *out)
{
	add_envelope_id(r, out);
	add_name(out, "Reporting-MTA", r->hostname);
	if (r->env->helo.n > 0)
		add_name(out, "Received-From-MTA", r->env->helo);
	add_date(out, "Arrival-Date", r->env->arrived_ms);
	buf_adds(out, "X-Mx20-Queue-Id: ");
	msg_id_add(out, r->env->id);
	buf_adds(out, "\r\n");
}

/* RFC 6533 section 3: an address of the type utf-8 is no xtext, and has two
 * forms. */
static bool add_original_address(struct buf *value, struct span type,
				 struct span address, bool global)
{
	if (!span_ieq(type, SPAN_LIT("utf-8")))
		return smtp_xtext_decode(value, address);
	if (global)
		buf_add(value, address);
	else
		smtp_utf8_xtext_add(value, address);
	return true;
}

/* ORCPT is "type;xtext": the type stays, the address is decoded. */
static void add_original(const struct recipient *rcpt, bool global,
			 struct buf *out)
{
	struct span address = rcpt->orcpt;
	struct span type = span_cut(&address, ';');
	struct buf value = { 0 };

	buf_add(&value, type);
	buf_adds(&value, ";");
	if (type.n > 0 && address.n > 0 &&
	    add_original_address(&value, type, address, global))
		report_field(out, "Original-Recipient", buf_span(&value),
			     global);
	buf_fini(&value);
}

/* RFC 6533 section 3: an address beyond ASCII has a type of its own. */
static void add_final(const struct recipient *rcpt, bool global,
		      struct buf *out)
{
	struct buf value = { 0 };

	buf_adds(&value,
		 global && span_has_8bit(rcpt->path) ? "utf-8; " : "rfc822; ");
	buf_add(&value, rcpt->path);
	report_field(out, "Final-Recipient", buf_span(&value), global);
	buf_fini(&value);
}

/* RFC 3464 section 2.3.6: "smtp" only for what a server really said. */
static void add_diagnostic(const struct report_rcpt *d, struct buf *out)
{
	struct buf value = { 0 };

	buf_adds(&value, report_is_answer(d) ? "smtp; " : "X-mx20; ");
	buf_add(&value, d->reply);
	report_field_text(out, "Diagnostic-Code", buf_span(&value));
	buf_fini(&value);
}

static void add_recipient(const struct report_rcpt *d, bool global,
			  struct buf *out)
{
	buf_adds(out, "\r\n");
	if (d->rcpt->orcpt.n > 0)
		add_original(d->rcpt, global, out);
	add_final(d->rcpt, global, out);
	buf_addf(out, "Action: %s\r\n", action_names[d->action]);
	report_field(out, "Status", report_status_code(d), false);
	if (d->host.n > 0)
		add_name(out, "Remote-MTA", report_host_name(d->host));
	if (d->reply.n > 0)
		add_diagnostic(d, out);
	add_date(out, "Last-Attempt-Date", d->attempt_ms);
	if (d->action == REPORT_DELAYED)
		add_date(out, "Will-Retry-Until", d->retry_until_ms);
}

void report_status_add(const struct report *r, struct buf *out)
{
	bool global = report_is_global(r);

	add_message_fields(r, out);
	for (size_t i = 0; i < r->count; i++)
		add_recipient(&r->rcpts[i], global, out);
}
