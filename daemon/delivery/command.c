#include "daemon/delivery/command.h"

#include "common/base/utf8.h"

/* What the client gave goes on unchanged (RFC 3461 section 5.2.1). */
static struct smtp_mail mail_of(const struct envelope *env)
{
	return (struct smtp_mail){
		.has_size = env->bytes > 0,
		.size = env->bytes,
		.body = env->body,
		.ret = env->ret,
		.envid = env->envid,
		.smtputf8 = env->smtputf8,
		.requiretls = env->requiretls,
	};
}

static struct smtp_rcpt rcpt_of(const struct recipient *rcpt)
{
	return (struct smtp_rcpt){
		.notify = rcpt->notify,
		.orcpt = rcpt->orcpt,
	};
}

/*
 * An address that is foreign only in its domain has an ASCII form, the
 * A-labels, and needs no SMTPUTF8 (RFC 6531 section 3.2).
 */
static void add_sender(struct buf *out, struct span from, unsigned offered)
{
	if (span_has_8bit(from) && !(offered & SMTP_EXT_SMTPUTF8))
		smtp_mailbox_add_ascii(out, from);
	else
		buf_add(out, from);
}

void command_mail(struct buf *out, const struct envelope *env, unsigned offered)
{
	const struct smtp_mail m = mail_of(env);

	buf_adds(out, "MAIL FROM:<");
	add_sender(out, env->from, offered);
	buf_addc(out, '>');
	smtp_mail_print(out, &m, offered);
	buf_adds(out, "\r\n");
}

/*
 * RFC 8689 section 5: a report (its reverse-path is empty) takes REQUIRETLS
 * along where that is offered, and is not lost where it is not.
 */
static bool must_have_tls(const struct envelope *env)
{
	return env->requiretls && env->from.n > 0;
}

unsigned command_mail_options(const struct envelope *env)
{
	const struct smtp_mail m = mail_of(env);
	unsigned needed = SMTP_EXT_SMTPUTF8;

	if (must_have_tls(env))
		needed |= SMTP_EXT_REQUIRETLS;
	return smtp_mail_used(&m) & ~needed;
}

/* As add_sender; the canonical form of its domain is known. */
static void add_path(struct buf *out, const struct recipient *rcpt,
		     unsigned offered)
{
	if (!span_has_8bit(rcpt->path) || (offered & SMTP_EXT_SMTPUTF8)) {
		buf_add(out, rcpt->path);
		return;
	}
	buf_add(out, smtp_local_of(rcpt->path));
	buf_addc(out, '@');
	buf_add(out, rcpt->domain);
}

void command_rcpt(struct buf *out, const struct recipient *rcpt,
		  unsigned offered)
{
	const struct smtp_rcpt r = rcpt_of(rcpt);

	buf_adds(out, "RCPT TO:<");
	add_path(out, rcpt, offered);
	buf_addc(out, '>');
	smtp_rcpt_print(out, &r, offered);
	buf_adds(out, "\r\n");
}

unsigned command_rcpt_options(const struct recipient *rcpt)
{
	const struct smtp_rcpt r = rcpt_of(rcpt);

	return smtp_rcpt_used(&r);
}

static bool offers(const struct smtp_ehlo *ehlo, unsigned ext)
{
	return (ehlo->offered & ext) != 0;
}

/*
 * Only what stands in the envelope and has no other form.  A header in UTF-8
 * goes as it came, whatever MAIL said of it: RFC 6531 section 3.2 would have
 * the message returned, but servers pass such headers on, its sender would
 * have handed it to the primary itself, and a return helps nobody.
 */
static bool needs_utf8(const struct envelope *env, const struct recipient *rcpt)
{
	return span_has_8bit(smtp_local_of(env->from)) ||
	       span_has_8bit(smtp_local_of(rcpt->path));
}

/* RFC 1870 section 6.1: what it announces it will not take.  A size that no
 * mail server can live with is a slip, or kilobytes: it will say so itself. */
static bool is_too_large(const struct envelope *env,
			 const struct smtp_ehlo *ehlo)
{
	enum { SIZE_LEAST = 64 * 1024 }; /* RFC 5321 section 4.5.3.1.7 */

	return offers(ehlo, SMTP_EXT_SIZE) && ehlo->size >= SIZE_LEAST &&
	       env->bytes > ehlo->size;
}

enum command_lack command_lack(const struct envelope *env,
			       const struct recipient *rcpt,
			       const struct smtp_ehlo *ehlo, bool is_verified)
{
	if (is_too_large(env, ehlo))
		return LACKS_SIZE;
	/* RFC 6531 section 3.5: no downgrade here. */
	if (!offers(ehlo, SMTP_EXT_SMTPUTF8) && needs_utf8(env, rcpt))
		return LACKS_SMTPUTF8;
	/* RFC 8689 section 4.2.1: the promise cannot be passed on. */
	if (must_have_tls(env) && !offers(ehlo, SMTP_EXT_REQUIRETLS))
		return LACKS_REQUIRETLS;
	if (must_have_tls(env) && !is_verified)
		return LACKS_AUTHENTICATION;
	return LACKS_NOTHING;
}

const char *command_obstacle(const struct envelope *env,
			     const struct recipient *rcpt,
			     const struct smtp_ehlo *ehlo, bool is_verified)
{
	static const char *const texts[] = {
		[LACKS_NOTHING] = NULL,
		[LACKS_SIZE] =
			"(size) 5.3.4 Message is larger than the server takes",
		[LACKS_SMTPUTF8] =
			"(smtputf8) 5.6.7 Server does not offer SMTPUTF8",
		[LACKS_REQUIRETLS] =
			"(requiretls) 5.7.30 REQUIRETLS support required",
		[LACKS_AUTHENTICATION] =
			"(requiretls) 5.7.10 Server is not authenticated",
	};

	return texts[command_lack(env, rcpt, ehlo, is_verified)];
}
