/* From connect to the first MAIL: greeting, EHLO, STARTTLS, EHLO again. */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/delivery/delivery_priv.h"

static enum tls_level level_of(const struct delivery *d)
{
	return d->opt.host->tls.level;
}

/* Would clear text do? */
static bool may_be_clear(const struct delivery *d)
{
	return level_of(d) <= TLS_LEVEL_MAY;
}

static bool is_our_name(const struct delivery *d, struct span name)
{
	return name.n > 0 && (span_ieq(name, d->opt.local_name) ||
			      span_ieq(name, d->opt.helo));
}

static enum step end_self(struct delivery *d, enum stage at)
{
	return end_made(d, DELIVERY_SELF, at, 451, "4.4.6",
			SPAN_LIT("Mail loops back to this host"));
}

static enum step say(struct delivery *d, const char *verb, enum stage s)
{
	buf_adds(&d->out, verb);
	if (s != ST_STARTTLS) {
		buf_addc(&d->out, ' ');
		buf_add(&d->out, d->opt.helo);
	}
	buf_adds(&d->out, "\r\n");
	conn_write(d->conn, buf_span(&d->out));
	d->written += d->out.n;
	buf_reset(&d->out);
	expect_push(d, s, NULL, 0);
	d->asked_us = clock_mono_us();
	return STEP_ON;
}

static const char *hello_of(const struct delivery *d)
{
	return d->is_helo ? "HELO" : "EHLO";
}

void session_hello(struct delivery *d, enum stage s)
{
	say(d, hello_of(d), s);
}

static enum step say_helo(struct delivery *d)
{
	d->is_helo = true;
	return say(d, "HELO", ST_HELO);
}

/*
 * 4yz: the host is there but does not want to talk; 5yz (RFC 5321
 * section 3.1, RFC 7504): it does not talk to us.  Neither is about mail.
 */
static enum step refused(struct delivery *d, enum stage at)
{
	return end_with(d,
			d->reply.code >= 500 ? DELIVERY_REFUSED : DELIVERY_BUSY,
			at, &d->reply);
}

enum step got_greeting(struct delivery *d, struct expect *e)
{
	struct span text = buf_span(&d->reply.text);

	if (d->reply.is_odd)
		return end_made(d, DELIVERY_LOST, e->stage, 451, "4.5.0",
				SPAN_LIT("Reply is not SMTP"));
	if (d->reply.code != 220)
		return refused(d, e->stage);
	text = span_of(text.p, span_find(text, '\n'));
	if (is_our_name(d, span_cut(&text, ' ')))
		return end_self(d, e->stage);
	if (d->without & DELIVERY_EHLO)
		return say_helo(d);
	return say(d, "EHLO", ST_EHLO);
}

static enum step ready(struct delivery *d)
{
	d->life = LIFE_READY;
	d->events->on_ready(d, &d->ehlo, clock_mono_ms() - d->started_ms,
			    d->arg);
	return d->is_freed ? STEP_END : STEP_ON;
}

/* RFC 3207 section 4.1: whether to go on without TLS is policy. */
static enum step without_tls(struct delivery *d, enum stage at)
{
	if (may_be_clear(d))
		return ready(d);
	return end_made(d, DELIVERY_TLS, at, 451, "4.7.4",
			SPAN_LIT("TLS is required, but the server "
				 "does not offer STARTTLS"));
}

static enum step opened(struct delivery *d, enum stage at)
{
	if (is_our_name(d, span_str(d->ehlo.host)))
		return end_self(d, at);
	if (conn_tls(d->conn) != NULL)
		return ready(d);
	if (level_of(d) == TLS_LEVEL_NONE || d->is_clear)
		return ready(d);
	if ((d->ehlo.offered & SMTP_EXT_STARTTLS) == 0)
		return without_tls(d, at);
	return say(d, "STARTTLS", ST_STARTTLS);
}

enum step got_ehlo(struct delivery *d, struct expect *e)
{
	if (d->reply.code >= 500 || d->reply.is_odd) /* RFC 5321 section 3.2 */
		return say_helo(d);
	if (d->reply.code / 100 != 2)
		return refused(d, e->stage);
	d->rtt_us = clock_mono_us() - d->asked_us;
	smtp_ehlo_parse(&d->reply, &d->ehlo);
	d->ehlo.offered &= ~d->without;
	return opened(d, e->stage);
}

enum step got_helo(struct delivery *d, struct expect *e)
{
	struct span text = buf_span(&d->reply.text);
	struct span name = span_cut(&text, ' ');

	if (d->reply.code / 100 != 2)
		return refused(d, e->stage);
	memset(&d->ehlo, 0, sizeof(d->ehlo));
	if (name.n < sizeof(d->ehlo.host) && name.n > 0)
		memcpy(d->ehlo.host, name.p, name.n);
	return opened(d, e->stage);
}

static enum tls_auth auth_of(enum tls_level level)
{
	switch (level) {
	case TLS_LEVEL_VERIFY:
		return TLS_AUTH_PKIX;
	case TLS_LEVEL_DANE:
		return TLS_AUTH_DANE;
	default:
		return TLS_AUTH_NONE;
	}
}

/* Sessions are reused within one host, port and policy only: a session made
 * without authentication must not stand in for one with it. */
static void handshake(struct delivery *d)
{
	const struct route_host *h = d->opt.host;
	struct buf key = { 0 };
	struct tls_demand demand = {
		.auth = auth_of(h->tls.level),
		.sni = h->tls.sni,
		.names = h->tls.names,
		.name_count = h->tls.name_count,
		.tlsa = h->tls.tlsa,
		.tlsa_count = h->tls.tlsa_count,
		.has_sans_only = h->tls.is_sts,
		.is_fresh = d->is_fresh,
	};
	struct tls_client client = { d->opt.tls, &demand };

	buf_addf(&key, "%d ", (int)h->tls.level);
	buf_add(&key, h->name);
	buf_addc(&key, ' ');
	net_endpoint_add(&key, &d->target);
	demand.session_key = buf_span(&key);
	d->waiting = ST_TLS;
	conn_charge(d->conn, &d->target);
	conn_starttls_client(d->conn, &client);
	buf_fini(&key);
}

/*
 * Bytes behind the reply to STARTTLS were sent in clear text, by whoever;
 * they must not be taken for replies inside TLS (RFC 3207 section 5).
 */
enum step got_starttls(struct delivery *d, struct expect *e)
{
	if (meaning_is_leaving(&d->reply))
		return refused(d, e->stage);
	if (d->reply.code != 220) {
		if (may_be_clear(d))
			return ready(d);
		return end_with(d, DELIVERY_TLS, e->stage, &d->reply);
	}
	if (conn_discard_input(d->conn) > 0)
		return session_insecure(d,
					SPAN_LIT("Clear text after the reply "
						 "to STARTTLS"),
					false);
	if (d->opt.host->tls.level == TLS_LEVEL_DANE &&
	    d->opt.host->tls.tlsa_count == 0)
		return end_made(d, DELIVERY_TLS, e->stage, 451, "4.7.5",
				SPAN_LIT("No usable TLSA record"));
	handshake(d);
	return STEP_ON;
}

enum step session_secured(struct delivery *d)
{
	memset(&d->ehlo, 0, sizeof(d->ehlo)); /* RFC 3207 section 4.2 */
	return say(d, "EHLO", ST_EHLO);
}

/* Opportunistic TLS is better than none, but none is better than no mail.  A
 * handshake that hangs is not waited for each time. */
enum step session_insecure(struct delivery *d, struct span why, bool is_timeout)
{
	struct buf name = { 0 };

	net_endpoint_add(&name, &d->target);
	log_warn(EV_TLS, LOG_SPAN("host", d->opt.host->name),
		 LOG_SPAN("target", buf_span(&name)), LOG_SPAN("error", why),
		 LOG_STR("then", may_be_clear(d) ? "clear text" : "wait"));
	buf_fini(&name);
	if (!may_be_clear(d))
		return end_made(d, DELIVERY_TLS, ST_TLS, 451, "4.7.5", why);
	d->is_clear = true;
	if (is_timeout)
		fallback_to(d, NULL, "tls", SMTP_EXT_STARTTLS, why);
	return STEP_CONNECT;
}

/* A server that has forgotten the keys of its tickets should say so, and
 * begin anew; some hang up, at once or when first spoken to. */
static bool is_stale_session(const struct delivery *d, enum stage at)
{
	return !d->is_fresh && conn_tls_resumes(d->conn) &&
	       (at == ST_TLS || at == ST_EHLO);
}

/* ESMTP is said to make some hang up, behind old firewalls. */
static bool is_for_ehlo(const struct delivery *d, enum stage at,
			bool is_timeout)
{
	return at == ST_EHLO && !is_timeout && conn_tls(d->conn) == NULL &&
	       ((d->without | fallback_forbidden(d)) & DELIVERY_EHLO) == 0;
}

bool session_was_refused(const struct delivery *d, enum stage at,
			 bool is_timeout)
{
	return at == ST_EHLO && !is_timeout && conn_tls(d->conn) != NULL &&
	       may_be_clear(d);
}

bool session_again(struct delivery *d, enum stage at, struct span why,
		   bool is_timeout)
{
	if (is_stale_session(d, at)) {
		d->is_fresh = true;
		conn_tls_forget(d->conn);
	} else if (is_for_ehlo(d, at, is_timeout)) {
		fallback_to(d, NULL, stage_name(at), DELIVERY_EHLO, why);
	} else {
		return false;
	}
	return true;
}
