/*
 * The report as a message: multipart/report (RFC 6522) of three parts.
 *
 *   header          From, To, Subject, Auto-Submitted ...
 *   --boundary      text/plain: for people
 *   --boundary      message/delivery-status: for programs
 *   --boundary      text/rfc822-headers or message/rfc822: which message
 *   --boundary--
 */
#include "daemon/report/report_priv.h"

#include "common/base/msgid.h"
#include "common/base/utf8.h"
#include "common/mail/header.h"

/* The worst that is reported decides what the report is called. */
static const char *const subjects[] = {
	[REPORT_FAILED] =
		"Mail delivery failed: your message was not delivered",
	[REPORT_DELAYED] = "Mail delivery delayed: your message still waits",
	[REPORT_RELAYED] = "Mail delivery report: your message was handed on",
};

struct parts {
	struct buf human, status, quote;
	bool is_global;
	char boundary[64];
};

static const char *subject(const struct report *r)
{
	enum report_action worst = REPORT_RELAYED;

	for (size_t i = 0; i < r->count; i++)
		if (r->rcpts[i].action < worst)
			worst = r->rcpts[i].action;
	return subjects[worst];
}

static bool occurs(const struct buf *in, const char *what)
{
	return in->n > 0 && memmem(in->p, in->n, what, strlen(what)) != NULL;
}

/* The nonce is random and nobody can guess it; still, look. */
static void choose_boundary(const struct report *r, struct parts *p)
{
	struct buf name = { 0 };
	uint64_t nonce = r->nonce;

	do {
		buf_reset(&name);
		buf_adds(&name, "=_mx20_");
		msg_id_add(&name, r->id);
		buf_addf(&name, "_%016llx", (unsigned long long)nonce++);
		memcpy(p->boundary, buf_cstr(&name), name.n + 1);
	} while (occurs(&p->human, p->boundary) ||
		 occurs(&p->status, p->boundary) ||
		 occurs(&p->quote, p->boundary));
	buf_fini(&name);
}

static void add_threading(const struct report *r, struct buf *out)
{
	struct span id = report_message_id(r->original);

	if (id.n == 0)
		return;
	report_field(out, "In-Reply-To", id, false);
	report_field(out, "References", id, false);
}

static void add_to(const struct report *r, const struct parts *p,
		   struct buf *out)
{
	struct buf path = { 0 };

	report_reply_path(&path, r->env->from);
	report_clean(out, buf_span(&path), p->is_global);
	buf_fini(&path);
}

static void add_header(const struct report *r, const struct parts *p,
		       struct buf *out)
{
	buf_adds(out, "Date: ");
	mail_date_add(out, r->now_ms);
	buf_addf(out,
		 "\r\nFrom: \"Mail Delivery System (%.*s)\"\r\n"
		 " <MAILER-DAEMON@%.*s>\r\nTo: <",
		 SPAN_ARG(r->hostname), SPAN_ARG(r->hostname));
	add_to(r, p, out);
	buf_addf(out, ">\r\nSubject: %s\r\nMessage-ID: ", subject(r));
	mail_message_id_add(out, r->id, r->nonce, r->hostname);
	buf_adds(out, "\r\n");
	add_threading(r, out);
	/* RFC 3834 section 3.1.7: nobody's vacation program answers it */
	buf_adds(out, "Auto-Submitted: auto-replied\r\n"
		      "MIME-Version: 1.0\r\n");
	buf_addf(out,
		 "Content-Type: multipart/report;"
		 " report-type=%sdelivery-status;\r\n"
		 "    boundary=\"%s\"\r\n",
		 p->is_global ? "global-" : "", p->boundary);
}

static void add_part(struct buf *out, const struct parts *p, const char *head,
		     bool is_8bit, const struct buf *content)
{
	buf_addf(out, "\r\n--%s\r\n%s", p->boundary, head);
	if (is_8bit)
		buf_adds(out, "Content-Transfer-Encoding: 8bit\r\n");
	if (head[0] != '\0')
		buf_adds(out, "\r\n");
	buf_add(out, buf_span(content));
}

void report_build(const struct report *r, struct buf *out,
		  struct report_needs *needs)
{
	struct parts p = { .is_global = report_is_global(r) };
	bool human_8bit, status_8bit;
	size_t start = out->n;

	report_human_add(r, &p.human);
	report_status_add(r, &p.status);
	report_quote_add(r, &p.quote);
	human_8bit = span_has_8bit(buf_span(&p.human));
	status_8bit = span_has_8bit(buf_span(&p.status));
	needs->is_8bit =
		human_8bit || status_8bit || span_has_8bit(buf_span(&p.quote));
	choose_boundary(r, &p);
	add_header(r, &p, out);
	/* RFC 6531 section 3.3: it is the addresses and the header that
	 * need SMTPUTF8, not a part further in */
	needs->is_smtputf8 = span_has_8bit(span_skip(buf_span(out), start));
	buf_adds(out, "\r\nThis is a report in MIME format.\r\n");
	add_part(out, &p,
		 human_8bit ? "Content-Description: Explanation\r\n"
			      "Content-Type: text/plain; charset=utf-8\r\n"
			    : "Content-Description: Explanation\r\n"
			      "Content-Type: text/plain; charset=us-ascii\r\n",
		 human_8bit, &p.human);
	add_part(out, &p,
		 p.is_global
			 ? "Content-Description: Delivery report\r\n"
			   "Content-Type: message/global-delivery-status\r\n"
			 : "Content-Description: Delivery report\r\n"
			   "Content-Type: message/delivery-status\r\n",
		 status_8bit, &p.status);
	add_part(out, &p, "", false, &p.quote);
	buf_addf(out, "\r\n--%s--\r\n", p.boundary);
	buf_fini(&p.human);
	buf_fini(&p.status);
	buf_fini(&p.quote);
}
