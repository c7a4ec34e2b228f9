#include "daemon/relay/relay.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/relay/said.h"

enum {
	RELAY_MAGIC = 0x72656c79,
	ROOM_FROM = RELAY_PENDING_MAX / 2, /* the client goes on */
	SIZE_LEAST = 64 * 1024, /* a limit below that is a slip: RFC 5321
				   section 4.5.3.1.7 */
	TRIES_MAX = 2,
	REFUSED_MAX = 4, /* destinations whose words are kept */
};

/* What is to be done in a turn of its own: hand on what was fed, in one piece;
 * tell the listener; or go on with the recipient in question. */
enum { PUSH = 1, TELL_RCPT = 2, TELL_ROOM = 4, TELL_END = 8, GO_ON = 16 };

/* Of whom the primary has heard enough at MAIL. */
struct refusal {
	struct span domain;
	struct relay_said said;
};

struct relay {
	unsigned magic;
	struct relay_options opt;
	enum { AT_NOTHING, AT_ENVELOPE, AT_CONTENT, AT_END, AT_OVER } at;
	struct lane *lane;   /* NULL: none yet, or no more */
	struct lane *beside; /* asked whether a domain goes the same way */
	struct arena arena;
	/* The domains that go there; and the recipient in question. */
	struct span *domains;
	size_t domain_count, domain_cap;
	struct refusal *refused[REFUSED_MAX];
	size_t refused_count;
	struct recipient to;
	bool is_asking;	    /* about it */
	bool is_given;	    /* the primary has it */
	size_t given;	    /* recipients, to the primary */
	size_t first_taken; /* SIZE_MAX: none */
	unsigned asked;	    /* recipients, whatever became of them */
	unsigned tries;
	bool is_only, is_reused;
	unsigned offered; /* SMTP_EXT_ bits */
	uint64_t size_most;

	struct buf pending; /* content on its way, from `at` on */
	size_t sent;	    /* of it */
	uint64_t fed;	    /* of content, in all */
	bool is_waited;	    /* for room */

	unsigned tell;
	ev_prepare soon; /* never started, only fed */
	ev_timer patience;
	struct relay_said rcpt, end; /* to be told */
	char host[300];
	int64_t conn_ms, began_ms, ended_ms; /* monotonic, the last two */
};

/* ---- What is told, in a turn of its own ---- */

static void tell(struct relay *r, unsigned what)
{
	r->tell |= what;
	ev_feed_event(r->opt.loop, &r->soon, EV_CUSTOM);
}

static void proceed(struct relay *r);
static void push(struct relay *r, bool is_all);

static void on_soon(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct relay *r = w->data;
	const struct relay_listener *who = r->opt.listener;
	unsigned what = r->tell & -r->tell; /* the first */

	(void)loop;
	(void)revents;
	MX_ASSERT(r->magic == RELAY_MAGIC);
	r->tell &= ~what;
	if (r->tell != 0)
		tell(r, 0);
	if (what == 0)
		return; /* it was taken back */
	if (what == PUSH)
		push(r, false);
	else if (what == GO_ON)
		proceed(r);
	else if (what == TELL_RCPT)
		who->on_rcpt(&r->rcpt, r->opt.arg); /* r may be gone */
	else if (what == TELL_ROOM)
		who->on_room(r->opt.arg);
	else
		who->on_end(&r->end, r->opt.arg);
}

static void arm(struct relay *r, int64_t ms)
{
	ev_timer_stop(r->opt.loop, &r->patience);
	if (ms == 0)
		return;
	ev_timer_set(&r->patience, (double)ms / 1000., 0.);
	ev_timer_start(r->opt.loop, &r->patience);
}

static void answer_rcpt(struct relay *r)
{
	MX_ASSERT(r->is_asking);
	r->is_asking = r->is_given = false;
	r->tell &= ~(unsigned)GO_ON;
	arm(r, 0);
	tell(r, TELL_RCPT);
}

/* Nobody takes content any more. */
static void drop_pending(struct relay *r)
{
	buf_fini(&r->pending);
	r->sent = 0;
	if (r->is_waited)
		tell(r, TELL_ROOM);
	r->is_waited = false;
}

/* r->end has been filled in. */
static void over(struct relay *r)
{
	bool is_awaited = r->at == AT_END;

	r->at = AT_OVER;
	r->ended_ms = clock_mono_ms();
	r->tell &= ~(unsigned)PUSH;
	drop_pending(r);
	if (!is_awaited)
		return;
	arm(r, 0);
	tell(r, TELL_END);
}

/* ---- Domains ---- */

static bool has_domain(const struct relay *r, struct span domain)
{
	for (size_t i = 0; i < r->domain_count; i++)
		if (span_eq(r->domains[i], domain))
			return true;
	return false;
}

static void add_domain(struct relay *r, struct span domain)
{
	struct span *old = r->domains;

	if (has_domain(r, domain))
		return;
	if (r->domain_count == r->domain_cap) {
		r->domain_cap = r->domain_cap > 0 ? 4 * r->domain_cap : 1;
		r->domains = arena_alloc_array(&r->arena, r->domain_cap,
					       sizeof(*r->domains));
		if (old != NULL)
			memcpy(r->domains, old, r->domain_count * sizeof(*old));
	}
	r->domains[r->domain_count++] = arena_span(&r->arena, domain);
}

/* MAIL was refused for good: so is whoever else would come behind it there,
 * also when another destination has the mail by then. */
static void note_refusal(struct relay *r)
{
	bool is_one = r->end.fate == FATE_WORDS && r->end.stage == RELAY_MAIL;

	for (size_t i = 0; is_one && i < r->domain_count &&
			   r->refused_count < REFUSED_MAX;
	     i++) {
		struct refusal *f = arena_alloc(&r->arena, sizeof(*f));

		*f = (struct refusal){ r->domains[i], r->end };
		r->refused[r->refused_count++] = f;
	}
}

static const struct relay_said *refusal_of(const struct relay *r,
					   struct span domain)
{
	for (size_t i = 0; i < r->refused_count; i++)
		if (span_eq(r->refused[i]->domain, domain))
			return &r->refused[i]->said;
	return NULL;
}

/* ---- What the lane says ---- */

static struct relay *of(void *arg)
{
	struct relay *r = arg;

	MX_ASSERT(r->magic == RELAY_MAGIC);
	return r;
}

/* It cannot be carried, and those before it go on. */
static void turn_away(struct relay *r, struct span why)
{
	said_made(&r->rcpt, RELAY_CONNECT, PRIMARY_CLOSED, why);
	answer_rcpt(r);
}

/* No connection, or no longer. */
static void on_none(enum lane_none why, struct span reply, void *arg)
{
	struct relay *r = of(arg);

	if (reply.n == 0)
		reply = SPAN_LIT("(connect) 4.3.2 All connections for relaying "
				 "are in use");
	if (why == LANE_OTHER && r->is_given) { /* for this one */
		r->at = AT_NOTHING;
		turn_away(r, reply);
		return;
	}
	said_made(&r->end,
		  r->first_taken != SIZE_MAX ? RELAY_DATA : RELAY_CONNECT,
		  PRIMARY_CLOSED, reply);
	over(r);
	if (r->is_given)
		turn_away(r, reply);
}

static void on_begun(const struct lane_peer *peer, void *arg)
{
	struct relay *r = of(arg);

	span_copy(peer->host, r->host, sizeof(r->host));
	r->conn_ms = peer->conn_ms;
	r->is_only = peer->is_only;
	r->is_reused = peer->is_reused;
	r->offered = peer->offered;
	r->size_most = peer->size_most;
	r->began_ms = clock_mono_ms();
}

static void on_rcpt(size_t i, enum meaning m, struct span reply, void *arg)
{
	struct relay *r = of(arg);

	if (!r->is_given || i + 1 != r->given)
		return;
	if (m == MEANS_YES && r->first_taken == SIZE_MAX)
		r->first_taken = i;
	said_of_rcpt(&r->rcpt, m, reply, r->opt.env->from, r->is_only);
	answer_rcpt(r);
}

/* It was closed between two transactions: nobody has seen this one. */
static bool is_once_more(const struct relay *r, const struct delivery_job *job,
			 const struct delivery_end *end)
{
	return end != NULL && r->is_given && r->is_reused && r->given == 1 &&
	       r->tries < TRIES_MAX && !delivery_job_is_decided(job) &&
	       end->why != DELIVERY_BUSY;
}

static void on_done(const struct delivery_job *job,
		    const struct delivery_end *end, void *arg)
{
	struct relay *r = of(arg);
	bool has_taken = r->first_taken != SIZE_MAX;

	if (is_once_more(r, job, end)) {
		r->at = AT_NOTHING;
		r->is_given = false;
		tell(r, GO_ON);
		return;
	}
	said_of_job(&r->end, job, end, has_taken ? r->first_taken : 0,
		    has_taken);
	note_refusal(r);
	over(r);
	if (!r->is_given) /* else: who is asked about goes on by GO_ON */
		return;
	said_of_job(&r->rcpt, job, end, r->given - 1, false);
	answer_rcpt(r);
}

static const struct lane_listener lane_listener = {
	.on_none = on_none,
	.on_begun = on_begun,
	.on_rcpt = on_rcpt,
	.on_done = on_done,
};

/* ---- Content ---- */

/* From offset on there is what has not been read yet. */
static enum mx_err read_pending(void *arg, const struct delivery_job *job,
				uint64_t offset, size_t most, struct buf *out)
{
	struct relay *r = of(arg);
	size_t left = r->pending.n - r->sent;
	size_t n = left < most ? left : most;

	(void)job;
	MX_ASSERT(offset + left == r->fed);
	buf_add(out, span_of(r->pending.p + r->sent, n));
	r->sent += n;
	if (r->sent == r->pending.n) {
		buf_reset(&r->pending);
		r->sent = 0;
	}
	if (r->is_waited && left - n <= ROOM_FROM) {
		r->is_waited = false;
		tell(r, TELL_ROOM);
	}
	return MX_OK;
}

/* A piece of content is many writes of the session's, and one to the primary. */
static void push(struct relay *r, bool is_all)
{
	r->tell &= ~(unsigned)PUSH;
	r->opt.door->more_content(r->lane, r->fed, is_all);
}

void relay_feed(struct relay *r, struct span s)
{
	if (r->at != AT_CONTENT || s.n == 0)
		return;
	r->fed += s.n;
	if (r->size_most >= SIZE_LEAST && r->fed > r->size_most) {
		r->opt.door->close(&r->lane);
		said_too_big(&r->end, r->is_only);
		over(r);
		return;
	}
	if (r->sent > 0) { /* the rest of before goes to the front */
		r->pending.n -= r->sent;
		memmove(r->pending.p, r->pending.p + r->sent, r->pending.n);
		r->sent = 0;
	}
	buf_add(&r->pending, s);
	tell(r, PUSH);
}

bool relay_is_full(struct relay *r)
{
	if (r->at != AT_CONTENT || r->pending.n - r->sent < RELAY_PENDING_MAX)
		return false;
	r->is_waited = true;
	return true;
}

void relay_data(struct relay *r)
{
	MX_ASSERT(!r->is_asking && r->first_taken != SIZE_MAX);
	if (r->at != AT_ENVELOPE)
		return;
	r->at = AT_CONTENT;
	r->opt.door->more_content(r->lane, 0, false);
}

void relay_end(struct relay *r)
{
	MX_ASSERT(!r->is_asking && r->at != AT_END);
	if (r->at != AT_CONTENT) {
		MX_ASSERT(r->at == AT_OVER);
		tell(r, TELL_END);
		return;
	}
	r->at = AT_END;
	arm(r, RELAY_END_MS);
	push(r, true);
}

/* ---- Recipients ---- */

static struct unit *unit_for(const struct relay *r)
{
	const struct envelope *env = r->opt.env;
	struct unit *u = mx_alloc(sizeof(*u));
	struct recipient *to;

	u->envelope = (struct envelope){
		.bytes = r->opt.size,
		.from = arena_span(&u->arena, env->from),
		.envid = arena_span(&u->arena, env->envid),
		.body = env->body,
		.ret = env->ret,
		.smtputf8 = env->smtputf8,
		.requiretls = env->requiretls,
	};
	u->domain = arena_span(&u->arena, r->to.domain);
	u->rcpts = to = arena_alloc_array(&u->arena, 1, sizeof(*to));
	u->rcpt_count = 1;
	to->path = arena_span(&u->arena, r->to.path);
	to->domain = u->domain;
	to->orcpt = arena_span(&u->arena, r->to.orcpt);
	to->notify = r->to.notify;
	return u;
}

/*
 * RFC 3461 section 5.2.2: who wants to hear of his delivery hears of it from the
 * primary, or that this is not possible: from a report of ours, which is made of
 * what goes through the spool.
 */
static unsigned needs(const struct relay *r)
{
	return r->to.notify & SMTP_NOTIFY_SUCCESS ? SMTP_EXT_DSN : 0;
}

static void ask_lane(struct relay *r)
{
	const struct lane_ask ask = {
		.domain = r->to.domain,
		.unit = unit_for(r),
		.needs = needs(r),
		.client = r->opt.client,
		.source = { read_pending, r },
		.listener = &lane_listener,
		.arg = r,
	};

	if (r->lane != NULL)
		r->opt.door->close(&r->lane);
	r->at = AT_ENVELOPE;
	r->ended_ms = 0;
	r->is_given = true;
	r->given = 1;
	r->tries++;
	r->domain_count = 0; /* those of a connection before */
	add_domain(r, r->to.domain);
	r->lane = r->opt.door->ask(&ask, r->opt.door->arg);
	if (r->lane == NULL)
		on_none(LANE_DOWN, SPAN_LIT("(connect) not now"), r);
}

static void carry(struct relay *r)
{
	if ((needs(r) & ~r->offered) != 0) {
		turn_away(r, SPAN_LIT("(ehlo) The server lacks DSN"));
		return;
	}
	r->is_given = true;
	r->to.number = (uint32_t)r->given++;
	r->opt.door->more_rcpt(r->lane, &r->to);
}

static void on_compared(enum lane_none why, struct span reply, void *arg)
{
	struct relay *r = of(arg);

	(void)reply;
	if (!r->is_asking)
		return;
	if (why != LANE_SAME) {
		turn_away(r, SPAN_LIT("(route) another destination"));
		return;
	}
	add_domain(r, r->to.domain);
	tell(r, GO_ON);
}

static const struct lane_listener beside_listener = { .on_none = on_compared };

static void compare(struct relay *r)
{
	const struct lane_ask ask = {
		.domain = r->to.domain,
		.beside = r->lane,
		.listener = &beside_listener,
		.arg = r,
	};

	if (r->beside != NULL)
		r->opt.door->close(&r->beside);
	r->beside = r->opt.door->ask(&ask, r->opt.door->arg);
	if (r->beside == NULL)
		turn_away(r, SPAN_LIT("(route) not now"));
}

/* Nobody of it is there, so another destination can have the mail. */
static bool is_free_for(const struct relay *r, struct span domain)
{
	return r->at == AT_OVER && r->first_taken == SIZE_MAX &&
	       !has_domain(r, domain);
}

static void proceed(struct relay *r)
{
	const struct relay_said *no = refusal_of(r, r->to.domain);

	MX_ASSERT(r->is_asking && !r->is_given);
	if (no != NULL) {
		r->rcpt = *no;
		answer_rcpt(r);
	} else if (r->at == AT_NOTHING || is_free_for(r, r->to.domain)) {
		ask_lane(r);
	} else if (r->at == AT_ENVELOPE && has_domain(r, r->to.domain)) {
		carry(r);
	} else if (r->at == AT_ENVELOPE) {
		compare(r);
	} else {
		turn_away(r, span_str(r->end.reply));
	}
}

void relay_rcpt(struct relay *r, const struct recipient *to)
{
	MX_ASSERT(!r->is_asking && r->at != AT_CONTENT && r->at != AT_END);
	r->to = (struct recipient){
		.path = arena_span(&r->arena, to->path),
		.domain = arena_span(&r->arena, to->domain),
		.orcpt = arena_span(&r->arena, to->orcpt),
		.notify = to->notify,
	};
	r->is_asking = true;
	r->asked++;
	r->tries = 0;
	arm(r, RELAY_RCPT_MS);
	proceed(r);
}

bool relay_has_rcpts(const struct relay *r)
{
	return r->first_taken != SIZE_MAX;
}

bool relay_may(const struct relay_door *door, const struct relay *r,
	       struct span domain)
{
	if (r != NULL && r->asked >= RELAY_RCPTS_MAX)
		return false;
	if (r != NULL && refusal_of(r, domain) != NULL)
		return true;
	if (r != NULL && r->at == AT_OVER && !is_free_for(r, domain))
		return false;
	if (r != NULL && has_domain(r, domain))
		return true;
	return door->may_answer(domain, door->arg);
}

/* ---- Life ---- */

void relay_is_overdue(struct relay *r)
{
	const struct span why = SPAN_LIT("(relay) No reply in time");

	if (r->lane != NULL)
		r->opt.door->give_up(&r->lane);
	if (r->beside != NULL)
		r->opt.door->close(&r->beside);
	if (r->is_asking)
		said_made(&r->rcpt, RELAY_RCPT, PRIMARY_SILENT, why);
	if (r->at != AT_OVER) {
		said_made(&r->end, r->at == AT_END ? RELAY_DOT : RELAY_DATA,
			  PRIMARY_SILENT, why);
		over(r);
	}
	if (r->is_asking)
		answer_rcpt(r);
}

static void on_patience(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	relay_is_overdue(of(w->data));
}

struct relay *relay_new(const struct relay_options *opt)
{
	struct relay *r = mx_alloc(sizeof(*r));

	r->magic = RELAY_MAGIC;
	r->opt = *opt;
	r->first_taken = SIZE_MAX;
	ev_init(&r->soon, on_soon);
	ev_timer_init(&r->patience, on_patience, 0., 0.);
	r->soon.data = r->patience.data = r;
	return r;
}

void relay_free(struct relay **rp)
{
	struct relay *r = *rp;

	if (r == NULL)
		return;
	*rp = NULL;
	MX_ASSERT(r->magic == RELAY_MAGIC);
	if (r->beside != NULL)
		r->opt.door->close(&r->beside);
	if (r->lane != NULL)
		r->opt.door->close(&r->lane);
	ev_clear_pending(r->opt.loop, &r->soon);
	ev_timer_stop(r->opt.loop, &r->patience);
	buf_fini(&r->pending);
	arena_reset(&r->arena);
	r->magic = 0;
	free(r);
}

void relay_facts(const struct relay *r, struct relay_facts *out)
{
	int64_t until = r->ended_ms > 0 ? r->ended_ms : clock_mono_ms();

	*out = (struct relay_facts){
		.host = r->host,
		.conn_ms = r->conn_ms,
		.ms = r->began_ms > 0 ? until - r->began_ms : 0,
	};
}
