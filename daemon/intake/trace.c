/* What we say of a message: its Received field, its line in the log. */
#include "daemon/intake/intake_priv.h"

#include "common/base/clock.h"
#include "common/base/metrics.h"

/* RFC 3848 and RFC 6531 section 4.3; no name is registered for HELO with
 * TLS. */
static struct span with(const struct session *s, const struct mail *m)
{
	const bool is_tls = conn_tls(s->conn) != NULL;

	if (!s->is_esmtp)
		return SPAN_LIT("SMTP");
	if (m->env.smtputf8)
		return is_tls ? SPAN_LIT("UTF8SMTPS") : SPAN_LIT("UTF8SMTP");
	return is_tls ? SPAN_LIT("ESMTPS") : SPAN_LIT("ESMTP");
}

/* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
static void add_tls(struct buf *b, const struct tls_facts *tls)
{
	if (tls == NULL)
		return;
	buf_adds(b, tls->version);
	buf_addc(b, ' ');
	buf_adds(b, tls->cipher);
}

static void set_lifetimes(struct mail *m, int64_t wall_ms)
{
	const int64_t warn_ms = m->config->spool.warn_after_ms;

	for (uint32_t i = 0; i < m->count; i++) {
		m->rcpts[i].expires_ms += wall_ms;
		m->rcpts[i].warn_ms = warn_ms > 0 ? wall_ms + warn_ms : 0;
	}
}

void trace_begin(struct session *s, struct mail *m, int64_t wall_ms)
{
	struct buf *b = &s->in->scratch;

	m->env.arrived_ms = wall_ms;
	m->env.proto = s->is_esmtp ? PROTO_ESMTP : PROTO_SMTP;
	m->env.helo = arena_span(&m->arena, span_str(s->helo));
	buf_reset(b);
	net_addr_add(b, &s->client);
	m->env.client_addr = arena_span(&m->arena, buf_span(b));
	buf_reset(b);
	add_tls(b, conn_tls(s->conn));
	m->env.tls = arena_span(&m->arena, buf_span(b));
	set_lifetimes(m, wall_ms);
}

/*
 * A blank at the very front of the content would make what follows a part of
 * our field: gone from the content, and a stranger's words in our name.  Such
 * content has no header, so an empty line ends ours.
 */
struct span trace_received(struct session *s, struct mail *m)
{
	struct buf *b = &s->in->scratch;
	const struct mail_received r = {
		.helo = m->env.helo,
		.client_addr = m->env.client_addr,
		.by = m->config->hostname,
		.with = with(s, m),
		.tls = m->env.tls,
		.id = m->id,
		/* Bcc: with several, one must not read of another */
		.rcpt = m->count == 1 ? m->rcpts[0].path : SPAN_LIT(""),
		.wall_ms = m->env.arrived_ms,
	};

	buf_reset(b);
	mail_received_add(b, &r);
	if (m->begins_blank)
		buf_adds(b, "\r\n");
	return buf_span(b);
}

size_t trace_expected(struct session *s, struct mail *m, struct span path)
{
	struct buf *b = &s->in->scratch, text = { 0 };
	struct span client, tls;
	size_t n;

	net_addr_add(&text, &s->client);
	client = buf_span(&text);
	n = text.n;
	add_tls(&text, conn_tls(s->conn));
	client.p = text.p;
	tls = span_skip(buf_span(&text), n);
	buf_reset(b);
	mail_received_add(b, &(struct mail_received){
				     .helo = span_str(s->helo != NULL ? s->helo
								     : ""),
				     .client_addr = client,
				     .by = m->config->hostname,
				     .with = with(s, m),
				     .tls = tls,
				     .rcpt = m->count == 0 ? path
							   : SPAN_LIT(""),
				     .wall_ms = clock_wall_ms(),
			     });
	buf_fini(&text);
	return b->n;
}

/* Where is X?  One line has its ids and, up to a bound, its recipients. */
void trace_accepted(const struct mail *m, uint64_t id)
{
	struct buf to = { 0 };

	for (uint32_t i = 0; i < m->count && i < LOG_PATHS_MAX; i++)
		log_list_path(&to, i, m->rcpts[i].path);
	log_info(EV_ACCEPTED, LOG_HEX("sid", m->sid), LOG_ID("mid", id),
		 LOG_SPAN("msgid", span_of(m->scan.msgid, m->scan.msgid_n)),
		 LOG_PATH("from", m->env.from), LOG_SPAN("to", buf_span(&to)),
		 LOG_INT("rcpts", m->count), LOG_INT("size", m->bytes),
		 LOG_SPAN("client", m->env.client_addr),
		 LOG_SPAN("helo", m->env.helo),
		 LOG_STR("proto",
			 m->env.proto == PROTO_ESMTP ? "ESMTP" : "SMTP"),
		 LOG_SPAN("tls", m->env.tls),
		 /* broken signatures and smuggling begin like that */
		 LOG_STR("repaired", m->decoder.bare ? "line_ends" : ""),
		 LOG_INT("ms", clock_mono_ms() - m->began_ms));
	buf_fini(&to);
}

/* For `find`: who asks where it is has its id from the log, or the primary's. */
static void keep_trace(const struct mail *m, struct span to,
		       const struct relay_facts *facts,
		       const struct relay_said *said)
{
	const struct trace t = {
		.left_ms = clock_wall_ms(),
		.arrived_ms = m->env.arrived_ms,
		.id = m->id,
		.how = SPAN_LIT("relayed"),
		.from = m->env.from,
		.to = to,
		.host = span_str(facts->host),
		.reply = span_str(said->reply),
	};

	if (m->session->in->traces != NULL)
		traces_add(m->session->in->traces, &t);
}

/* The primary took it while the client waited: both sides' times. */
void trace_relayed(const struct mail *m, const struct relay_said *said)
{
	struct buf to = { 0 };
	struct relay_facts facts;
	uint32_t n = 0;

	relay_facts(m->relay, &facts);
	for (uint32_t i = 0; i < m->count; i++) {
		if (m->ways[i] != WAY_RELAY)
			continue;
		keep_trace(m, m->rcpts[i].path, &facts, said);
		if (n++ < LOG_PATHS_MAX)
			log_list_path(&to, n - 1, m->rcpts[i].path);
	}
	metrics_add(METRIC_RELAYED, 0, n);
	log_info(EV_RELAYED, LOG_HEX("sid", m->sid), LOG_ID("mid", m->id),
		 LOG_SPAN("msgid", span_of(m->scan.msgid, m->scan.msgid_n)),
		 LOG_PATH("from", m->env.from), LOG_SPAN("to", buf_span(&to)),
		 LOG_INT("rcpts", n), LOG_INT("kept", m->count - n),
		 LOG_INT("size", m->bytes),
		 LOG_SPAN("client", m->env.client_addr),
		 LOG_SPAN("helo", m->env.helo),
		 LOG_SPAN("tls", m->env.tls),
		 LOG_STR("repaired", m->decoder.bare ? "line_ends" : ""),
		 LOG_INT("ms", clock_mono_ms() - m->began_ms),
		 LOG_STR("host", facts.host), LOG_INT("conn_ms", facts.conn_ms),
		 LOG_INT("host_ms", facts.ms), LOG_STR("reply", said->reply));
	buf_fini(&to);
}

/* What the primary could not take, and why: the line `accepted` follows. */
void trace_kept(const struct mail *m, const struct relay_said *said)
{
	struct relay_facts facts;

	relay_facts(m->relay, &facts);
	log_at(said->fate == FATE_DOUBT ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
	       EV_KEPT, LOG_HEX("sid", m->sid), LOG_ID("mid", m->id),
	       LOG_STR("host", facts.host),
	       LOG_STR("stage", relay_stage_name(said->stage)),
	       LOG_STR("reply", said->reply),
	       LOG_STR("note", said->fate == FATE_DOUBT
				       ? "a duplicate is possible"
				       : ""));
}

void trace_unheard(const struct mail *m)
{
	struct relay_facts facts;

	relay_facts(m->relay, &facts);
	log_info(EV_DISCONNECT, LOG_HEX("sid", m->sid), LOG_ID("mid", m->id),
		 LOG_PATH("from", m->env.from), LOG_STR("host", facts.host),
		 LOG_STR("note", "the client did not wait for the reply to its "
				 "content: the primary may have it"));
}
