/* The door: who is let in, and how the house is closed. */
#include "daemon/intake/intake_priv.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"

/* A listening socket; its settings outlive the configuration they came from. */
struct listening {
	struct intake *in;
	struct listener *listener;
	struct buf address;
	in_port_t port;
	bool is_proxy, is_implicit;
	struct net_cidr *proxy_from;
	size_t proxy_from_count;
	LIST_ENTRY(listening) link;
};

/* ---- Connections ---- */

/*
 * RFC 5321 section 3.1: the client waits for the greeting.  Who has spoken
 * before we could accept has not even looked; honest clients are not delayed
 * to find that out.
 */
static bool has_spoken(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void log_refused(struct intake *in, const struct net_addr *peer,
			struct span reply, const struct verdict *v)
{
	if (!policy_may_log(in->policy, peer, clock_mono_ms()))
		return;
	buf_reset(&in->scratch);
	net_addr_add(&in->scratch, peer);
	log_info(EV_REJECTED, LOG_STR("stage", "connect"),
		 LOG_SPAN("client", buf_span(&in->scratch)),
		 LOG_SPAN("reply", reply), LOG_STR("reason", v->reason),
		 LOG_STR("setting", v->setting));
}

/* Refused at the door: a line and no session.  What is speaking TLS already
 * could not read it. */
static void turn_away(struct listening *l, int fd, const struct net_addr *peer,
		      enum verdict_id why)
{
	char line[VERDICT_LINE_MAX];
	struct verdict v;
	struct span reply;

	verdict_set(&v, why);
	reply = verdict_line(&v, line);
	log_refused(l->in, peer, span_of(line, reply.n - 2), &v);
	if (!l->is_implicit && !l->is_proxy)
		(void)!send(fd, line, reply.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

/* Who may say on whose behalf it connects? */
static bool may_proxy(const struct listening *l, const struct net_addr *peer)
{
	for (size_t i = 0; i < l->proxy_from_count; i++)
		if (net_cidr_has(&l->proxy_from[i], peer))
			return true;
	return false;
}

static bool is_full(const struct listening *l)
{
	const struct intake *in = l->in;

	/* deliveries and mx20ctl need descriptors, too */
	if (in->session_count + conn_lingering() >= in->most_sessions)
		return true;
	/* policy is asked when the client behind the proxy is known */
	return l->is_proxy &&
	       in->session_count >= in->config->limits.connections;
}

/* A newcomer is worth more than who is here and does nothing; not so one more
 * of a client that has its share. */
static bool make_room(struct intake *in, const struct net_addr *peer)
{
	return !policy_has_many(in->policy, peer) && session_make_room(in);
}

static enum verdict_id let_in(struct intake *in, const struct net_addr *peer)
{
	const int64_t now_ms = clock_mono_ms();
	enum verdict_id id =
		policy_connect(in->policy, in->config, peer, now_ms);

	if (id == V_BUSY && make_room(in, peer))
		id = policy_connect(in->policy, in->config, peer, now_ms);
	return id;
}

static void on_accept(int fd, const struct net_addr *peer, void *arg)
{
	struct listening *l = arg;
	struct intake *in = l->in;
	enum verdict_id why = V_GO;
	bool is_early = false;

	if (is_full(l) && !make_room(in, peer))
		why = V_BUSY;
	else if (!l->is_proxy) /* counts whom it lets in */
		why = let_in(in, peer);
	else if (!may_proxy(l, peer))
		why = V_NOT_A_PROXY;
	if (why != V_GO) {
		turn_away(l, fd, peer, why);
		return;
	}
	if (!l->is_proxy && !l->is_implicit)
		is_early = has_spoken(fd);
	session_new(in, fd, peer, l->is_proxy, l->is_implicit, is_early);
}

/* ---- Listening ---- */

static void settings_copy(struct listening *l, const struct config_listen *c)
{
	const size_t n = c->proxy_from_count;

	l->is_proxy = c->proxy;
	l->is_implicit = c->implicit_tls;
	free(l->proxy_from);
	l->proxy_from = NULL;
	l->proxy_from_count = n;
	if (n == 0)
		return;
	l->proxy_from = mx_alloc_array(n, sizeof(*l->proxy_from));
	memcpy(l->proxy_from, c->proxy_from, n * sizeof(*l->proxy_from));
}

static void listening_free(struct listening *l)
{
	LIST_REMOVE(l, link);
	listener_free(&l->listener);
	buf_fini(&l->address);
	free(l->proxy_from);
	free(l);
}

static void stop_listening(struct intake *in)
{
	struct listening *l, *next;

	for (l = LIST_FIRST(&in->listening); l != NULL; l = next) {
		next = LIST_NEXT(l, link);
		listening_free(l);
	}
}

void intake_listen(struct intake *in, int fd, const struct config_listen *c)
{
	struct listening *l = mx_alloc(sizeof(*l));

	l->in = in;
	l->port = c->port;
	buf_add(&l->address, c->address);
	settings_copy(l, c);
	LIST_INSERT_HEAD(&in->listening, l, link);
	l->listener = listener_new(in->loop, fd, on_accept, l);
}

void intake_unlisten(struct intake *in, struct span address, in_port_t port)
{
	struct listening *l, *next;

	for (l = LIST_FIRST(&in->listening); l != NULL; l = next) {
		next = LIST_NEXT(l, link);
		if (l->port == port && span_eq(address, buf_span(&l->address)))
			listening_free(l);
	}
}

/* ---- Life ---- */

static void note_limit(const struct intake *in)
{
	size_t limit = in->config->limits.connections;

	metrics_set(METRIC_SESSION_LIMIT,
		    limit < in->most_sessions ? limit : in->most_sessions);
}

struct intake *intake_new(const struct intake_options *opt)
{
	struct intake *in = mx_alloc(sizeof(*in));

	in->loop = opt->loop;
	in->store = opt->store != NULL ? opt->store : &store_spool;
	in->spool = opt->spool;
	in->policy = opt->policy;
	in->door = opt->door;
	in->traces = opt->traces;
	in->most_sessions =
		opt->most_sessions > 0 ? opt->most_sessions : SIZE_MAX;
	in->config = config_ref(opt->config);
	if (opt->hooks != NULL)
		in->hooks = *opt->hooks;
	TAILQ_INIT(&in->sessions);
	session_turns_init(in);
	LIST_INIT(&in->listening);
	/* short, and another one after a restart */
	in->next_sid = ((uint64_t)clock_wall_ms() / 1000 & 0xffff) << 12;
	hello_prepare(in);
	note_limit(in);
	return in;
}

void intake_reload(struct intake *in, struct config *config)
{
	struct config *old = in->config;
	struct listening *l;

	in->config = config_ref(config);
	config_unref(&old);
	hello_prepare(in);
	note_limit(in);
	/* the same socket may now serve others */
	LIST_FOREACH (l, &in->listening, link) {
		for (size_t i = 0; i < config->listen_count; i++) {
			const struct config_listen *c = &config->listen[i];

			if (c->port == l->port &&
			    span_eq(c->address, buf_span(&l->address)))
				settings_copy(l, c);
		}
	}
}

void intake_stop(struct intake *in)
{
	struct session *s, *next;

	in->is_stopping = true;
	stop_listening(in);
	for (s = TAILQ_FIRST(&in->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		session_stop(s);
	}
}

size_t intake_sessions(const struct intake *in)
{
	return in->session_count;
}

void intake_free(struct intake **in)
{
	struct intake *i = *in;
	struct session *s, *next;

	if (i == NULL)
		return;
	*in = NULL;
	stop_listening(i);
	for (s = TAILQ_FIRST(&i->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		session_kill(s);
	}
	session_turns_fini(i);
	config_unref(&i->config);
	hello_fini(i);
	buf_fini(&i->scratch);
	buf_fini(&i->place);
	asked_free(&i->asked);
	free(i);
}
