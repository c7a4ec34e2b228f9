/* ETRN, RFC 1985: the primary asks for what waits for it. */
#include "daemon/intake/intake_priv.h"

static enum step say_count(struct session *s, uint64_t count)
{
	struct buf *b = &s->in->scratch;

	buf_reset(b);
	buf_addf(b, "253 2.0.0 %llu pending messages for the node started\r\n",
		 (unsigned long long)count);
	conn_write(s->conn, buf_span(b));
	return STEP_ON;
}

static enum step say_etrn(struct session *s, int code, uint64_t count,
			  struct span arg)
{
	switch (code) {
	case 250:
		return session_say(s, SAY_ETRN_250);
	case 251:
		return session_say(s, SAY_ETRN_251);
	case 252:
		return session_say(s, SAY_ETRN_252);
	case 253:
		return say_count(s, count);
	case 459:
		return session_refuse(s, SAY_ETRN_459, arg);
	default:
		return session_refuse(s, SAY_ETRN_458, arg);
	}
}

/* "example.com", "@example.com" with its subdomains; "#queue" is nothing we
 * have (section 5.1). */
enum step run_etrn(struct session *s, struct span arg)
{
	const struct intake_hooks *h = &s->in->hooks;
	struct span node = arg;
	struct buf domain = { 0 };
	bool subdomains;
	uint64_t count = 0;
	int code;

	if (h->etrn == NULL)
		return session_refuse(s, SAY_NOT_HERE, arg);
	subdomains = node.n > 0 && node.p[0] == '@';
	if (subdomains)
		node = span_skip(node, 1);
	if (arg.n > 0 && arg.p[0] == '#')
		return session_refuse(s, SAY_ETRN_458, arg);
	if (smtp_domain_canon(&domain, node) != MX_OK) {
		buf_fini(&domain);
		return session_refuse(s, SAY_SYNTAX, arg);
	}
	code = h->etrn(buf_span(&domain), subdomains, &s->client,
		       conn_tls(s->conn), &count, h->arg);
	buf_fini(&domain);
	return say_etrn(s, code, count, arg);
}
