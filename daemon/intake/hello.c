/* EHLO, HELO and STARTTLS: who are you, and what can we do together? */
#include "daemon/intake/intake_priv.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/smtp/ehlo.h"

enum { HELO_MAX = 255 };

/* ---- What is said, made once per configuration ---- */

/* What we offer, but for what does not work now. */
static unsigned offered(const struct intake *in, unsigned variant)
{
	unsigned bits = smtp_ehlo_ours();

	if ((variant & HELLO_TLS) || in->config->tls_server == NULL)
		bits &= ~(unsigned)SMTP_EXT_STARTTLS;
	if (in->hooks.etrn == NULL)
		bits &= ~(unsigned)SMTP_EXT_ETRN;
	if ((variant & HELLO_REQUIRETLS) == 0)
		bits &= ~(unsigned)SMTP_EXT_REQUIRETLS;
	return bits;
}

static void prepare_ehlo(struct intake *in, unsigned variant)
{
	const struct config *c = in->config;
	const struct smtp_ehlo ehlo = {
		.offered = offered(in, variant),
		.size = c->limits.message_bytes,
		.rcpt_max = c->limits.recipients,
	};

	buf_reset(&in->hello[variant]);
	smtp_ehlo_write(&in->hello[variant], c->hostname, &ehlo);
}

void hello_prepare(struct intake *in)
{
	struct span name = in->config->hostname;

	for (unsigned i = 0; i < HELLO_VARIANTS; i++)
		prepare_ehlo(in, i);
	buf_reset(&in->helo);
	buf_addf(&in->helo, "250 %.*s\r\n", SPAN_ARG(name));
	buf_reset(&in->greeting);
	buf_addf(&in->greeting, "220 %.*s ESMTP mx20\r\n", SPAN_ARG(name));
}

void hello_fini(struct intake *in)
{
	for (unsigned i = 0; i < HELLO_VARIANTS; i++)
		buf_fini(&in->hello[i]);
	buf_fini(&in->helo);
	buf_fini(&in->greeting);
}

/* ---- Commands ---- */

/*
 * Lenient: hosts say all kinds of names and mail must not be lost for it
 * (RFC 5321 section 4.1.4 forbids refusing for that alone).  One word without
 * blanks, so that it fits into a Received field.
 */
static bool is_helo_name(struct span name)
{
	return name.n > 0 && name.n <= HELO_MAX &&
	       span_find(name, ' ') == name.n &&
	       span_find(name, '\t') == name.n;
}

static bool hello(struct session *s, struct span name)
{
	if (!is_helo_name(name))
		return false;
	mail_drop(s); /* section 4.1.4: as if RSET had been said */
	s->is_failed = false;
	if (s->helo == NULL || !span_eq(span_str(s->helo), name)) {
		free(s->helo);
		s->helo = mx_alloc(name.n + 1);
		memcpy(s->helo, name.p, name.n);
	}
	s->phase = PH_READY;
	return true;
}

static unsigned hello_variant(const struct session *s)
{
	if (conn_tls(s->conn) == NULL)
		return 0;
	/* RFC 8689 section 4.1: not before TLS.  Delivery gives such mail to
	 * none but a verified host that offers it, too. */
	if (s->in->config->tls_client != NULL)
		return HELLO_TLS | HELLO_REQUIRETLS;
	return HELLO_TLS;
}

enum step run_ehlo(struct session *s, struct span arg)
{
	const unsigned variant = hello_variant(s);

	if (!hello(s, arg))
		return session_refuse(s, SAY_HELO_NAME, arg);
	s->is_esmtp = true;
	s->offered = (uint16_t)offered(s->in, variant);
	conn_write(s->conn, buf_span(&s->in->hello[variant]));
	return STEP_ON;
}

enum step run_helo(struct session *s, struct span arg)
{
	if (!hello(s, arg))
		return session_refuse(s, SAY_HELO_NAME, arg);
	s->is_esmtp = false;
	s->offered = 0; /* RFC 5321 section 2.2.1: no parameters with HELO */
	conn_write(s->conn, buf_span(&s->in->helo));
	return STEP_ON;
}

enum step run_starttls(struct session *s, struct span arg)
{
	struct tls_server *tls = session_config(s)->tls_server;

	if (conn_tls(s->conn) != NULL)
		return session_refuse(s, SAY_SEQUENCE, arg);
	if (tls == NULL)
		return session_refuse(s, SAY_NOT_HERE, arg);
	session_say(s, SAY_START_TLS);
	s->phase = PH_TLS;
	conn_charge(s->conn, &s->client);
	conn_starttls_server(s->conn, tls);
	return STEP_ON;
}

void hello_forget(struct session *s)
{
	mail_drop(s);
	free(s->helo);
	s->helo = NULL;
	s->is_esmtp = false;
	s->offered = 0;
	s->phase = PH_HELLO;
}
