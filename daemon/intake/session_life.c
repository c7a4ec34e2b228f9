/* How a session begins and ends, and what its connection says. */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "common/net/proxy.h"
#include "daemon/intake/intake_priv.h"

enum {
	SESSION_MAGIC = 0x5e551011,
	GRACE_MS = 10 * 1000, /* for the last words */
};

/* ---- The end ---- */

static void log_connection(struct session *s, enum log_event event,
			   const char *why)
{
	if (!log_enabled(LOG_LEVEL_DEBUG))
		return;
	log_debug(event, LOG_HEX("sid", s->sid),
		  LOG_SPAN("client", session_client(s)), LOG_STR("reason", why),
		  LOG_INT("messages", s->accepted));
}

static void session_free(struct session *s, const char *why)
{
	struct intake *in = s->in;

	log_connection(s, EV_DISCONNECT, why);
	session_unask(s);
	gate_leave(policy_gate(in->policy), &s->visit);
	conn_free(&s->conn); /* why may be its text */
	mail_drop(s);
	if (s->is_entered)
		policy_leave(in->policy, &s->client);
	TAILQ_REMOVE(&in->sessions, s, link);
	if (s->is_queued)
		TAILQ_REMOVE(&in->turns, s, turn);
	metrics_set(METRIC_SESSIONS, --in->session_count);
	free(s->helo);
	s->magic = 0;
	free(s);
}

void session_end(struct session *s, const char *why)
{
	session_unask(s); /* a question is about the connection, too */
	conn_close_after_output(&s->conn, GRACE_MS);
	session_free(s, why);
}

/* What does not speak SMTP yet could not read the reply. */
void session_send_away(struct session *s, enum reply_id id, const char *why)
{
	s->stage = session_phase(s);
	if (s->phase != PH_PROXY && s->phase != PH_TLS)
		session_bye(s, id);
	session_end(s, why);
}

void session_kill(struct session *s)
{
	session_send_away(s, SAY_STOPPING, "shutdown");
}

void session_stop(struct session *s)
{
	switch (s->phase) {
	case PH_PROXY:
	case PH_TLS:
	case PH_HELLO:
	case PH_READY:
	case PH_ASK:
	case PH_CARRY:
		session_kill(s);
		break;
	default: /* told at its next command */
		break;
	}
}

/* ---- The beginning ---- */

enum step session_judged(struct session *s, struct asked *a,
			 const struct verdict *v)
{
	(void)a;
	if (v->code != 0)
		return session_refuse_client(s, v);
	s->phase = PH_HELLO;
	conn_write(s->conn, buf_span(&s->in->greeting));
	session_arm(s);
	return STEP_ON;
}

static enum step begin(struct session *s)
{
	struct intake *in = s->in;

	s->stage = "connect";
	log_connection(s, EV_CONNECT, "");
	if (in->hooks.heard_from != NULL)
		in->hooks.heard_from(&s->client, in->hooks.arg);
	if (!s->is_implicit)
		return session_ask(s, GATE_CONNECTION);
	if (in->config->tls_server == NULL)
		return STEP_END; /* a reload took the certificate away */
	s->phase = PH_TLS;
	conn_charge(s->conn, &s->client);
	conn_starttls_server(s->conn, in->config->tls_server);
	session_arm(s);
	return STEP_WAIT;
}

enum step step_proxy(struct session *s)
{
	struct span in = conn_input(s->conn);
	size_t before = in.n;
	struct net_addr client;
	enum proxy_state state = proxy_parse(&in, &client);
	enum verdict_id id;
	struct verdict v;

	if (state == PROXY_MORE)
		return STEP_WAIT;
	s->stage = "proxy";
	if (state == PROXY_BAD) {
		log_warn(EV_CONNECT, LOG_HEX("sid", s->sid),
			 LOG_SPAN("client", session_client(s)),
			 LOG_STR("error", "no valid PROXY header"));
		return STEP_END;
	}
	if (state == PROXY_DONE) /* else it is the proxy's own health check */
		s->client = client;
	conn_consume(s->conn, before - in.n);
	id = policy_connect(s->in->policy, s->in->config, &s->client,
			    clock_mono_ms());
	if (id != V_GO) {
		verdict_set(&v, id);
		return s->is_implicit ? STEP_END : session_refuse_client(s, &v);
	}
	s->is_entered = true;
	return begin(s);
}

static struct session *of(void *arg)
{
	struct session *s = arg;

	MX_ASSERT(s->magic == SESSION_MAGIC);
	return s;
}

static void on_input(struct conn *c, void *arg)
{
	(void)c;
	session_drive(of(arg));
}

static void on_ready(struct conn *c, void *arg)
{
	struct session *s = of(arg);
	const struct tls_facts *tls = conn_tls(c);

	log_debug(EV_TLS, LOG_HEX("sid", s->sid), LOG_STR("tls", tls->version),
		  LOG_STR("cipher", tls->cipher),
		  LOG_STR("certificate", tls->peer_name));
	if (!s->is_implicit)
		hello_forget(s);
	else if (session_ask(s, GATE_CONNECTION) == STEP_END) {
		session_end(s, "refused");
		return;
	}
	session_arm(s);
	session_drive(s);
}

static void on_drained(struct conn *c, void *arg)
{
	struct session *s = of(arg);

	(void)c;
	if (s->is_paused && !session_is_in_our_hands(s))
		session_go_on(s);
}

static void on_deadline(struct session *s)
{
	s->stage = session_phase(s);
	if (session_awaits_client(s))
		session_bye(s, SAY_TIMEOUT);
	if (s->phase == PH_ASK)
		(void)session_refuse(
			s, SAY_UNDECIDED,
			span_str(gate_waits_for(&s->asked->question)));
	session_end(s, "timeout");
}

static void on_end(struct conn *c, enum conn_end why, void *arg)
{
	struct session *s = of(arg);

	switch (why) {
	case CONN_EOF:
		/* it may still be listening for the reply */
		s->is_eof = true;
		session_drive(s);
		return;
	case CONN_DEADLINE:
		on_deadline(s);
		return;
	case CONN_TLS:
		if (policy_may_log(s->in->policy, &s->client, clock_mono_ms()))
			log_info(EV_TLS, LOG_HEX("sid", s->sid),
				 LOG_SPAN("client", session_client(s)),
				 LOG_STR("error", conn_error(c)));
		break;
	case CONN_ERROR:
		break;
	}
	session_free(s, conn_error(c));
}

static const struct conn_events events = {
	.on_input = on_input,
	.on_ready = on_ready,
	.on_drained = on_drained,
	.on_end = on_end,
};

void session_new(struct intake *in, int fd, const struct net_addr *peer,
		 bool is_proxy, bool is_implicit, bool is_early)
{
	struct session *s = mx_alloc(sizeof(*s));
	enum step step = STEP_WAIT;

	s->magic = SESSION_MAGIC;
	s->in = in;
	s->sid = in->next_sid++;
	s->client = *peer;
	s->is_implicit = is_implicit;
	s->is_entered = !is_proxy;
	s->stage = "connect";
	TAILQ_INSERT_TAIL(&in->sessions, s, link);
	metrics_set(METRIC_SESSIONS, ++in->session_count);
	/* behind the header of a proxy TLS may have begun already */
	s->conn = is_proxy && is_implicit
			  ? conn_new(in->loop, fd, &events, s)
			  : conn_new_spread(in->loop, fd, &events, s);
	session_set_reading(s);
	if (is_early)
		step = session_bye(s, SAY_EARLY);
	else if (!is_proxy)
		step = begin(s);
	session_arm(s);
	if (step == STEP_END)
		session_end(s, "refused");
	else
		conn_flush(s->conn);
}
