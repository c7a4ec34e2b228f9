/* MAIL and RCPT: the envelope grows. */
#include "daemon/intake/intake_priv.h"

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/smtp/address.h"
#include "config/allow/domains.h"

/* ---- The transaction ---- */

static struct mail *mail_new(struct session *s, const struct smtp_mail *m)
{
	struct arena arena = { 0 };
	struct mail *mail = arena_alloc(&arena, sizeof(*mail));

	mail->session = s;
	mail->sid = s->sid;
	mail->config = config_ref(s->in->config);
	mail->store = s->in->store;
	mail->began_ms = clock_mono_ms();
	mail->size = m->has_size ? m->size : 0;
	mail->env.from = arena_span(&arena, m->from.mailbox);
	mail->env.envid = arena_span(&arena, m->envid);
	mail->env.body = m->body;
	mail->env.ret = m->ret;
	mail->env.smtputf8 = m->smtputf8;
	mail->env.requiretls = m->requiretls;
	mail->arena = arena;
	holding_begin(&mail->holding, policy_shares(s->in->policy), &s->client);
	return mail;
}

void mail_free(struct mail **m)
{
	struct arena arena;

	if (*m == NULL)
		return;
	relay_free(&(*m)->relay);
	config_unref(&(*m)->config);
	holding_end(&(*m)->holding);
	if ((*m)->draft != NULL)
		(*m)->store->draft_discard(&(*m)->draft);
	arena = (*m)->arena; /* holds *m itself */
	*m = NULL;
	arena_reset(&arena);
}

void mail_drop(struct session *s)
{
	struct mail *m = s->mail;

	if (m == NULL)
		return;
	s->mail = NULL;
	if (s->phase == PH_HAND_OVER)
		trace_unheard(m);
	if (m->waiter.is_waiting)
		s->in->store->wait_cancel(s->in->spool, &m->waiter);
	if (s->phase == PH_COMMIT) /* the spool has it: on_commit frees it */
		m->session = NULL;
	else
		mail_free(&m);
	s->phase = PH_READY;
}

/* ---- Recipients ---- */

enum {
	RCPTS_FIRST = 2,
	SLOTS_FROM = 16,
	/* Each is delivered on its own, and may fail at another time and be
	 * reported on its own.  Who writes to people at more than 100 of our
	 * domains at once brings the others in another transaction. */
	DOMAINS_MAX = 100,
};

/* The local part, as it was written: its case is the primary's business (RFC
 * 5321 section 2.4).  The domain behind it has one canonical form.  But
 * postmaster has no case (section 4.5.1): one name for all spellings. */
static struct span name_of(const struct spool_rcpt *r)
{
	const struct span postmaster = SPAN_LIT("postmaster");
	struct span local = smtp_local_of(r->path);

	return span_ieq(local, postmaster) ? postmaster : local;
}

static bool is_same(const struct spool_rcpt *a, const struct spool_rcpt *b)
{
	return span_eq(name_of(a), name_of(b)) && span_eq(a->domain, b->domain);
}

/* The slot that holds it, or the empty one where it belongs. */
static uint32_t *slot_of(const struct mail *m, const struct spool_rcpt *r)
{
	const uint32_t mask = 2 * m->cap - 1;
	uint32_t at = (uint32_t)hash_keyed(name_of(r)) & mask;

	while (m->slots[at] != 0 && !is_same(&m->rcpts[m->slots[at] - 1], r))
		at = (at + 1) & mask;
	return &m->slots[at];
}

static bool has_rcpt(const struct mail *m, const struct spool_rcpt *r)
{
	if (m->slots != NULL)
		return *slot_of(m, r) != 0;
	for (uint32_t i = 0; i < m->count; i++)
		if (is_same(&m->rcpts[i], r))
			return true;
	return false;
}

/* Doubles; what it leaves behind in the arena is no more than what it has. */
static void grow(struct mail *m)
{
	struct spool_rcpt *old = m->rcpts;
	enum way *ways = m->ways;

	m->cap = m->cap > 0 ? 2 * m->cap : RCPTS_FIRST;
	m->rcpts = arena_alloc_array(&m->arena, m->cap, sizeof(*m->rcpts));
	m->ways = arena_alloc_array(&m->arena, m->cap, sizeof(*m->ways));
	if (m->count > 0) {
		memcpy(m->rcpts, old, m->count * sizeof(*old));
		memcpy(m->ways, ways, m->count * sizeof(*ways));
	}
	if (m->cap < SLOTS_FROM)
		return;
	m->slots = arena_alloc_array(&m->arena, 2 * (size_t)m->cap,
				     sizeof(*m->slots));
	for (uint32_t i = 0; i < m->count; i++)
		*slot_of(m, &m->rcpts[i]) = i + 1;
}

/* The transaction's own copy of a recipient's domain; NULL: none yet.
 * Neighbours are mostly of one domain. */
static const struct span *domain_of(const struct mail *m, struct span domain)
{
	for (unsigned i = m->domain_count; i > 0; i--)
		if (span_eq(m->domains[i - 1], domain))
			return &m->domains[i - 1];
	return NULL;
}

static struct span need_domain(struct mail *m, struct span domain)
{
	const struct span *known = domain_of(m, domain);

	if (known != NULL)
		return *known;
	if (m->domain_count < 2) { /* most have one, the others get room */
		struct span *old = m->domains;

		m->domains = arena_alloc_array(
			&m->arena, m->domain_count == 0 ? 1 : DOMAINS_MAX,
			sizeof(*m->domains));
		if (old != NULL)
			m->domains[0] = old[0];
	}
	MX_ASSERT(m->domain_count < DOMAINS_MAX);
	return m->domains[m->domain_count++] = arena_span(&m->arena, domain);
}

/* Add a recipient unless it is there already.  Spans are copied. */
static void add_rcpt(struct mail *m, const struct spool_rcpt *r, enum way way)
{
	struct spool_rcpt *to;

	if (has_rcpt(m, r))
		return;
	if (m->count == m->cap)
		grow(m);
	m->ways[m->count] = way;
	m->kept += way == WAY_SPOOL;
	to = &m->rcpts[m->count++];
	*to = *r;
	to->path = arena_span(&m->arena, r->path);
	to->orcpt = arena_span(&m->arena, r->orcpt);
	to->domain = need_domain(m, r->domain);
	if (m->slots != NULL)
		*slot_of(m, to) = m->count;
	holding_set_memory(&m->holding, m->arena.heap_bytes);
}

/* ---- Commands ---- */

static enum reply_id syntax_reply(enum smtp_syntax syntax, enum reply_id path)
{
	switch (syntax) {
	case SMTP_SYNTAX_PATH:
		return path;
	case SMTP_SYNTAX_PARAMETER:
		return SAY_PARAMETER;
	case SMTP_SYNTAX_UNKNOWN:
		return SAY_NO_PARAMETER;
	case SMTP_SYNTAX_UTF8:
		return SAY_NO_UTF8;
	default:
		return SAY_SYNTAX;
	}
}

enum step run_mail(struct session *s, struct span arg)
{
	struct smtp_mail m;
	enum smtp_syntax syntax = smtp_mail_parse(arg, s->offered, &m);

	s->is_failed = true; /* until it is taken */
	s->pardoned = 0;
	if (syntax != SMTP_SYNTAX_OK)
		return session_refuse(
			s, syntax_reply(syntax, SAY_SENDER_SYNTAX), arg);
	if (m.has_size && m.size > s->in->config->limits.message_bytes)
		return session_refuse(s, SAY_TOO_BIG, arg);
	s->mail = mail_new(s, &m);
	asked_ready(s->in)->arg = arg;
	return session_ask(s, GATE_MAIL);
}

/* May it do without the spool? */
static bool may_relay(const struct session *s)
{
	return s->in->door != NULL &&
	       domains_have_standby(s->mail->config->domains, STANDBY_RELAY);
}

enum step mail_judged(struct session *s, struct asked *a,
		      const struct verdict *v)
{
	enum mx_err err;

	if (v->code != 0) {
		mail_drop(s);
		return session_refuse_mail(s, v, a->arg);
	}
	err = s->in->store->room(s->in->spool, s->mail->size);
	if (err != MX_OK && !may_relay(s)) {
		mail_drop(s);
		return session_refuse(s, storage_reply(err), a->arg);
	}
	if (err != MX_OK)
		s->mail->unkept = storage_reply(err);
	s->phase = PH_MAIL;
	s->is_failed = false;
	return session_say(s, SAY_SENDER_OK);
}

/* Those that were taken go on, and the client brings the others in another
 * transaction (RFC 5321 section 4.5.3.1.10). */
static enum step too_many(struct session *s, enum reply_id why,
			  struct span path)
{
	if (s->mail->is_over_limit) /* logged once, said each time */
		return session_refuse_again(s, why);
	s->mail->is_over_limit = true;
	return session_refuse_path(s, why, path);
}

static int64_t lifetime_ms(const struct config *c,
			   const struct config_domain *row)
{
	return row != NULL ? row->lifetime_ms : c->spool.lifetime_ms;
}

static uint64_t quota_of(const struct config_domain *row)
{
	return row != NULL ? row->quota_bytes : 0;
}

/* With a single row in the allowlist there is nobody to share with.  What flows
 * is asked for only where it makes a difference. */
static enum spool_claim claim_of(const struct intake *in,
				 const struct config *c, struct span domain,
				 bool is_tight)
{
	const struct intake_hooks *h = &in->hooks;

	if (c->domain_count == 1)
		return SPOOL_CLAIM_ALL;
	if (is_tight && h->flows != NULL && h->flows(domain, h->arg))
		return SPOOL_CLAIM_FLOW;
	return SPOOL_CLAIM_SHARE;
}

void mail_claim(struct intake *in, struct mail *m)
{
	const bool is_tight = in->store->is_tight(in->spool, 0);

	for (uint32_t i = 0; i < m->count; i++) {
		struct spool_rcpt *r = &m->rcpts[i];

		r->claim =
			i > 0 && span_eq(r->domain, r[-1].domain)
				? r[-1].claim
				: claim_of(in, m->config, r->domain, is_tight);
	}
}

/* Is there room for it?  Looked at when it is short only. */
static bool has_room(struct session *s, struct span domain)
{
	const struct mail *m = s->mail;
	struct spool *sp = s->in->spool;

	if (!m->store->is_tight(sp, m->size))
		return true;
	return m->store->domain_room(sp, domain, m->size,
				     claim_of(s->in, m->config, domain,
					      true)) == MX_OK;
}

enum step run_rcpt(struct session *s, struct span arg)
{
	struct asked *a = asked_ready(s->in);
	enum smtp_syntax syntax = smtp_rcpt_parse(
		arg, s->offered, s->mail->env.smtputf8, &a->rcpt);

	if (syntax != SMTP_SYNTAX_OK)
		return session_refuse(s, syntax_reply(syntax, SAY_RCPT_SYNTAX),
				      arg);
	if (s->mail->count >= s->mail->config->limits.recipients)
		return too_many(s, SAY_TOO_MANY, a->rcpt.to.mailbox);
	if (!holding_may_grow(&s->mail->holding))
		return too_many(s, SAY_TOO_MANY_NOW, a->rcpt.to.mailbox);
	return session_ask(s, GATE_RCPT);
}

static struct spool_rcpt rcpt_of(const struct mail *m, const struct asked *a)
{
	return (struct spool_rcpt){
		.path = buf_span(&a->to.path),
		.domain = buf_span(&a->to.domain),
		.orcpt = a->rcpt.orcpt,
		.notify = a->rcpt.notify,
		.quota_bytes = quota_of(a->to.row),
		/* from the start of the content on */
		.expires_ms = lifetime_ms(m->config, a->to.row),
	};
}

enum step rcpt_keep(struct session *s, struct asked *a)
{
	struct mail *m = s->mail;
	const struct spool_rcpt r = rcpt_of(m, a);

	if (m->unkept != SAY_NONE)
		return session_refuse_path(s, m->unkept, a->rcpt.to.mailbox);
	if (!has_room(s, r.domain)) {
		policy_count(s->in->policy, a->to.row, "domain_room");
		return session_refuse_path(s, SAY_DOMAIN_FULL,
					   a->rcpt.to.mailbox);
	}
	add_rcpt(m, &r, WAY_SPOOL);
	s->phase = PH_RCPT;
	return session_say(s, SAY_RCPT_OK);
}

void rcpt_relayed(struct session *s, struct asked *a)
{
	const struct spool_rcpt r = rcpt_of(s->mail, a);

	add_rcpt(s->mail, &r, WAY_RELAY);
	s->phase = PH_RCPT;
}

enum step rcpt_judged(struct session *s, struct asked *a,
		      const struct verdict *v)
{
	struct mail *m = s->mail;
	const struct spool_rcpt r = rcpt_of(m, a);

	if (v->code != 0)
		return session_refuse_rcpt(s, v, a->rcpt.to.mailbox);
	if (has_rcpt(m, &r))
		return session_say(s, SAY_RCPT_OK);
	if (m->domain_count == DOMAINS_MAX && domain_of(m, r.domain) == NULL)
		return too_many(s, SAY_MANY_DOMAINS, a->rcpt.to.mailbox);
	conn_tls_invite(s->conn);
	return a->to.is_carried ? carry_rcpt(s, a) : rcpt_keep(s, a);
}
