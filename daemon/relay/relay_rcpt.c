/* The recipients of a relayed message: asked about one by one, over the lane of
 * the destination that has the first of them. */
#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "daemon/relay/relay_priv.h"
#include "daemon/relay/said.h"

enum { TRIES_MAX = 2 };

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

/* It cannot be carried, and those before it go on. */
static void turn_away(struct relay *r, struct span why)
{
	said_made(&r->rcpt, RELAY_CONNECT, PRIMARY_CLOSED, why);
	relay_answer_rcpt(r);
}

/* No connection, or no longer. */
static void on_none(enum lane_none why, struct span reply, void *arg)
{
	struct relay *r = relay_of(arg);

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
	relay_over(r);
	if (r->is_given)
		turn_away(r, reply);
}

static void on_begun(const struct lane_peer *peer, void *arg)
{
	struct relay *r = relay_of(arg);

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
	struct relay *r = relay_of(arg);

	if (!r->is_given || i + 1 != r->given)
		return;
	if (m == MEANS_YES && r->first_taken == SIZE_MAX)
		r->first_taken = i;
	said_of_rcpt(&r->rcpt, m, reply, r->opt.env->from, r->is_only);
	relay_answer_rcpt(r);
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
	struct relay *r = relay_of(arg);
	bool has_taken = r->first_taken != SIZE_MAX;

	if (is_once_more(r, job, end)) {
		r->at = AT_NOTHING;
		r->is_given = false;
		relay_tell(r, GO_ON);
		return;
	}
	said_of_job(&r->end, job, end, has_taken ? r->first_taken : 0,
		    has_taken);
	note_refusal(r);
	relay_over(r);
	if (!r->is_given) /* else: who is asked about goes on by GO_ON */
		return;
	said_of_job(&r->rcpt, job, end, r->given - 1, false);
	relay_answer_rcpt(r);
}

static const struct lane_listener lane_listener = {
	.on_none = on_none,
	.on_begun = on_begun,
	.on_rcpt = on_rcpt,
	.on_done = on_done,
};

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
		.source = { relay_read, r },
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
	struct relay *r = relay_of(arg);

	(void)reply;
	if (!r->is_asking)
		return;
	if (why != LANE_SAME) {
		turn_away(r, SPAN_LIT("(route) another destination"));
		return;
	}
	add_domain(r, r->to.domain);
	relay_tell(r, GO_ON);
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

void relay_go_on(struct relay *r)
{
	const struct relay_said *no = refusal_of(r, r->to.domain);

	MX_ASSERT(r->is_asking && !r->is_given);
	if (no != NULL) {
		r->rcpt = *no;
		relay_answer_rcpt(r);
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
	relay_arm(r, RELAY_RCPT_MS);
	relay_go_on(r);
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
