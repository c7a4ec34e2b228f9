#include "daemon/dns/resolver.h"

#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/dns/context.h"
#include "daemon/dns/stamp.h"

/* Of Debian's dns-root-data; used when dns.trust_anchor is empty. */
#define SYSTEM_ANCHOR "/usr/share/dns/root.key"

enum {
	RESOLVER_MAGIC = 0x7e501fe2,
	QUERY_MAGIC = 0x0d15c0ff,
	STRANGERS_ACTIVE_MAX = 64, /* instead of CONTEXT_ACTIVE_MAX */
	/* While the system's anchor has not proved itself: how long an answer
	 * may take, how long one without it counts, when to try again. */
	PATIENCE_MS = 5000,
	PLAIN_TTL_S = 60,
	RETEST_MS = 60000,
	/* How long libunbound keeps an answer at most. */
	TTL_MOST_S = 3600,
	TTL_SHOWN_S = 365 * 24 * 3600, /* RESOLVER_DOCTOR */
};

enum query_state { QUERY_WAITING, QUERY_ACTIVE, QUERY_BROKEN };

/*
 *  waiting --room--> active --answer--> (cb, gone)
 *                       |  \--time-out, cancel--> (ub_cancel, gone)
 *                       \--libunbound refuses--> broken --timer--> (cb, gone)
 */
struct dns_query {
	unsigned magic;
	struct resolver *resolver;
	TAILQ_ENTRY(dns_query) link;
	enum query_state state;
	struct context *ctx; /* while active */
	int id;
	ev_timer timer;
	dns_cb *cb;
	void *arg;
	enum dns_type type;
	char *name;
};

TAILQ_HEAD(query_list, dns_query);

struct resolver {
	unsigned magic;
	struct ev_loop *loop;
	enum resolver_use use;
	struct config *config;
	struct context *main;
	/* The same without a trust anchor; see retry_plainly.  Or NULL. */
	struct context *plain;
	struct stamp stamp; /* of the system's list of name servers */
	char *anchor;	    /* file, or NULL */
	bool anchor_is_implicit, is_proven, has_warned;
	int64_t retest_ms; /* monotonic: when to try validation again */
	struct query_list waiting, active;
	size_t active_count, active_most;
	int timeout_ms;
};

/* ---- The module ------------------------------------------------------ */

static void ignore(const struct dns_answer *a, void *arg)
{
	(void)a;
	(void)arg;
}

static enum mx_err open_context(struct resolver *r, struct context **out,
				const char *anchor, struct buf *why)
{
	const bool is_doctor = r->use == RESOLVER_DOCTOR;
	enum mx_err err = context_open(out, r->loop, r->config,
				       is_doctor ? TTL_SHOWN_S : TTL_MOST_S,
				       anchor, why);

	if (err == MX_OK && is_doctor)
		context_ask_reverse(*out);
	return err;
}

static const int timeouts_ms[] = {
	[RESOLVER_OURS] = DNS_TIMEOUT_MS,
	[RESOLVER_STRANGERS] = DNS_STRANGERS_MS,
	[RESOLVER_DOCTOR] = DNS_DOCTOR_MS,
};

enum mx_err resolver_new(struct resolver **out, struct ev_loop *loop,
			 const struct config *config, enum resolver_use use,
			 struct buf *why)
{
	const bool for_strangers = use == RESOLVER_STRANGERS;
	struct resolver *r = mx_alloc(sizeof(*r));
	enum mx_err err;

	r->magic = RESOLVER_MAGIC;
	r->loop = loop;
	r->use = use;
	/* A counted reference; the count is not part of the snapshot. */
	r->config = config_ref((struct config *)(uintptr_t)config);
	r->active_most =
		for_strangers ? STRANGERS_ACTIVE_MAX : CONTEXT_ACTIVE_MAX;
	r->timeout_ms = timeouts_ms[use];
	TAILQ_INIT(&r->waiting);
	TAILQ_INIT(&r->active);
	if (config->dns.trust_anchor.n > 0) {
		r->anchor = mx_strdup(config->dns.trust_anchor.p);
	} else if (access(SYSTEM_ANCHOR, R_OK) == 0) {
		r->anchor = mx_strdup(SYSTEM_ANCHOR);
		r->anchor_is_implicit = true;
	} else if (!for_strangers) { /* said once */
		log_warn(EV_ROUTE,
			 LOG_STR("error",
				 "no DNSSEC trust anchor: "
				 "no DANE (install dns-root-data or set "
				 "dns.trust_anchor)"));
	}
	stamp_take(&r->stamp, CONTEXT_RESOLV_CONF);
	err = open_context(r, &r->main, r->anchor, why);
	if (err != MX_OK)
		resolver_free(&r);
	else if (r->anchor_is_implicit && !for_strangers)
		/* prove it before it matters */
		(void)resolver_ask(r, SPAN_LIT("."), DNS_NS, ignore, NULL);
	*out = r;
	return err;
}

enum mx_err resolver_check(struct ev_loop *loop, const struct config *config,
			   struct buf *why)
{
	const struct span anchor = config->dns.trust_anchor;
	struct context *ctx;
	enum mx_err err;

	if (anchor.n == 0) /* the rest was checked when it was read */
		return MX_OK;
	err = context_open(&ctx, loop, config, TTL_MOST_S, anchor.p, why);
	if (err == MX_OK)
		context_close(&ctx, loop);
	else if (err == MX_EINVAL)
		buf_adds(why, ": DS or DNSKEY records are expected, as in a "
			      "zone file");
	return err;
}

/* ---- Questions ---- */

static void query_free(struct dns_query *q)
{
	struct resolver *r = q->resolver;

	ev_timer_stop(r->loop, &q->timer);
	if (q->state == QUERY_ACTIVE) {
		TAILQ_REMOVE(&r->active, q, link);
		r->active_count--;
	} else {
		TAILQ_REMOVE(&r->waiting, q, link);
	}
	q->magic = 0;
	free(q->name);
	free(q);
}

static void resolver_end(struct resolver *r)
{
	struct dns_query *q;

	while ((q = TAILQ_FIRST(&r->active)) != NULL)
		query_free(q);
	while ((q = TAILQ_FIRST(&r->waiting)) != NULL)
		query_free(q);
	config_unref(&r->config);
	r->magic = 0;
	free(r->anchor);
	free(r);
}

/* The threads first: what they hold is never called back. */
void resolver_free(struct resolver **rp)
{
	struct resolver *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	context_close(&r->main, r->loop);
	context_close(&r->plain, r->loop);
	resolver_end(r);
}

void resolver_retire(struct resolver **rp)
{
	struct resolver *r = *rp;

	*rp = NULL;
	context_retire(&r->main, r->loop);
	context_retire(&r->plain, r->loop);
	resolver_end(r);
}

static void fill(struct resolver *r);

/* The query goes first, so that cb may ask and cancel as it likes. */
static void query_finish(struct dns_query *q, const struct dns_answer *a)
{
	struct resolver *r = q->resolver;
	dns_cb *cb = q->cb;
	void *arg = q->arg;

	query_free(q);
	fill(r);
	cb(a, arg);
}

static enum dns_status status_of(const struct ub_result *res)
{
	if (res->bogus)
		return DNS_BOGUS;
	if (res->havedata)
		return DNS_OK;
	if (res->nxdomain || res->rcode == 3)
		return DNS_NXDOMAIN;
	return res->rcode == 0 ? DNS_NODATA : DNS_SERVFAIL;
}

static struct span without_dot(const char *name)
{
	struct span s = span_str(name);

	if (s.n > 0 && s.p[s.n - 1] == '.')
		s.n--;
	return s;
}

/* As many as there are: a message of DNS has room for some thousands, and the
 * one that matters may be the last.  The caller frees rdata. */
static struct span *records_of(struct dns_answer *a,
			       const struct ub_result *res)
{
	struct span *rdata;
	size_t n = 0;

	while (res->data[n] != NULL)
		n++;
	rdata = mx_alloc_array(n + 1, sizeof(*rdata));
	for (size_t i = 0; i < n; i++)
		rdata[i] = span_of(res->data[i], (size_t)res->len[i]);
	a->rdata = rdata;
	a->count = n;
	return rdata;
}

static struct span *answer_from(struct dns_answer *a,
				const struct ub_result *res)
{
	*a = (struct dns_answer){ .status = status_of(res),
				  .secure = res->secure && !res->bogus,
				  .ttl_s = res->ttl };
	if (res->canonname != NULL)
		a->canon = without_dot(res->canonname);
	if (span_ieq(a->canon, without_dot(res->qname)))
		a->canon.n = 0;
	if (res->why_bogus != NULL)
		a->why = span_str(res->why_bogus);
	return a->status == DNS_OK ? records_of(a, res) : NULL;
}

static bool submit(struct dns_query *q, struct context *ctx);

static void set_timer(struct dns_query *q, int ms)
{
	ev_timer_stop(q->resolver->loop, &q->timer);
	ev_timer_set(&q->timer, ms / 1000., 0.);
	ev_timer_start(q->resolver->loop, &q->timer);
}

/*
 * The system's root anchor was nobody's decision, and with a resolver that
 * drops signatures, or one of a closed test bed, it would make every answer
 * bogus and stop all mail.  So it has to prove itself: until one answer has
 * passed validation, one that is bogus or does not come is asked for again
 * without it, and a warning says so.  An anchor that was configured is always
 * enforced.
 */
static bool retry_plainly(struct dns_query *q)
{
	struct resolver *r = q->resolver;
	struct buf why = { 0 };

	if (!r->anchor_is_implicit || r->is_proven || q->ctx != r->main)
		return false;
	if (r->plain == NULL &&
	    open_context(r, &r->plain, NULL, &why) != MX_OK) {
		buf_fini(&why);
		return false;
	}
	r->retest_ms = clock_mono_ms() + RETEST_MS;
	return submit(q, r->plain);
}

/* An answer without validation counts for a minute only: the anchor may prove
 * itself yet. */
static void took_plain(struct resolver *r, struct dns_answer *a)
{
	if (a->ttl_s > PLAIN_TTL_S && r->use != RESOLVER_DOCTOR)
		a->ttl_s = PLAIN_TTL_S;
	if (dns_failed(a->status) || r->is_proven || r->has_warned)
		return;
	r->has_warned = true;
	log_warn(EV_ROUTE, LOG_STR("anchor", SYSTEM_ANCHOR),
		 LOG_STR("error", "the name servers do not pass DNSSEC "
				  "signatures on: no validation, no DANE"));
}

/* Secure or proven to be unsigned: the chain from the root was there.
 * libunbound makes up its own answers for localhost. */
static bool proves_anchor(const struct dns_query *q, const struct dns_answer *a)
{
	struct span tail = SPAN_LIT("localhost");
	struct span name = span_str(q->name);

	return q->ctx == q->resolver->main && !dns_failed(a->status) &&
	       (name.n < tail.n ||
		!span_ieq(span_skip(name, name.n - tail.n), tail));
}

static void on_answer(void *arg, int err, struct ub_result *res)
{
	struct dns_query *q = arg;
	struct dns_answer a = { .status = DNS_SERVFAIL };
	struct span *rdata = NULL;

	MX_ASSERT(q->magic == QUERY_MAGIC);
	if (err == 0 && res != NULL)
		rdata = answer_from(&a, res);
	if (proves_anchor(q, &a))
		q->resolver->is_proven = true;
	if (q->ctx == q->resolver->plain)
		took_plain(q->resolver, &a);
	if (a.status != DNS_BOGUS || !retry_plainly(q))
		query_finish(q, &a);
	free(rdata);
	ub_resolve_free(res);
}

static void on_timer(EV_P_ ev_timer *w, int revents)
{
	struct dns_query *q = w->data;
	struct dns_answer a = { .status = DNS_TIMEOUT };
	struct resolver *r = q->resolver;

	(void)loop;
	(void)revents;
	MX_ASSERT(q->magic == QUERY_MAGIC);
	if (q->state == QUERY_BROKEN)
		a.status = DNS_SERVFAIL;
	if (q->state == QUERY_ACTIVE)
		(void)ub_cancel(q->ctx->ub, q->id);
	if (q->state == QUERY_ACTIVE && retry_plainly(q))
		set_timer(q, r->timeout_ms - PATIENCE_MS);
	else
		query_finish(q, &a);
}

static bool submit(struct dns_query *q, struct context *ctx)
{
	q->ctx = ctx;
	return context_can_ask(ctx) &&
	       ub_resolve_async(ctx->ub, q->name, (int)q->type, 1, q, on_answer,
				&q->id) == 0;
}

/* While validation is out of order, it is tried once a minute. */
static struct context *choose_context(struct resolver *r)
{
	if (r->plain == NULL || r->is_proven)
		return r->main;
	if (clock_mono_ms() < r->retest_ms)
		return r->plain;
	r->retest_ms = clock_mono_ms() + RETEST_MS;
	return r->main;
}

/* Give libunbound what it has room for. */
static void fill(struct resolver *r)
{
	struct dns_query *q, *next;

	for (q = TAILQ_FIRST(&r->waiting);
	     q != NULL && r->active_count < r->active_most; q = next) {
		next = TAILQ_NEXT(q, link);
		if (q->state == QUERY_BROKEN)
			continue;
		if (!submit(q, choose_context(r))) {
			/* A name it cannot parse, or no thread for it: answer
			 * from the timer. */
			q->state = QUERY_BROKEN;
			set_timer(q, 0);
			continue;
		}
		TAILQ_REMOVE(&r->waiting, q, link);
		TAILQ_INSERT_TAIL(&r->active, q, link);
		q->state = QUERY_ACTIVE;
		r->active_count++;
		set_timer(q, r->anchor_is_implicit && !r->is_proven
				     ? PATIENCE_MS
				     : r->timeout_ms);
	}
}

struct dns_query *resolver_ask(struct resolver *r, struct span name,
			       enum dns_type type, dns_cb *cb, void *arg)
{
	struct dns_query *q = mx_alloc(sizeof(*q));

	q->magic = QUERY_MAGIC;
	q->resolver = r;
	q->type = type;
	q->cb = cb;
	q->arg = arg;
	q->name = mx_alloc(name.n + 1);
	memcpy(q->name, name.p, name.n);
	ev_timer_init(&q->timer, on_timer, 0., 0.);
	q->timer.data = q;
	set_timer(q, r->anchor_is_implicit && !r->is_proven ? PATIENCE_MS
							    : r->timeout_ms);
	TAILQ_INSERT_TAIL(&r->waiting, q, link);
	fill(r);
	return q;
}

void resolver_cancel(struct dns_query **qp)
{
	struct dns_query *q = *qp;
	struct resolver *r;

	*qp = NULL;
	if (q == NULL)
		return;
	MX_ASSERT(q->magic == QUERY_MAGIC);
	r = q->resolver;
	if (q->state == QUERY_ACTIVE)
		(void)ub_cancel(q->ctx->ub, q->id);
	query_free(q);
	fill(r);
}

/* ---- Other name servers ---- */

/* What the old ones were asked waits again, before all others. */
static void take_back(struct resolver *r)
{
	struct dns_query *q;

	while ((q = TAILQ_LAST(&r->active, query_list)) != NULL) {
		TAILQ_REMOVE(&r->active, q, link);
		TAILQ_INSERT_HEAD(&r->waiting, q, link);
		q->state = QUERY_WAITING;
		q->ctx = NULL;
		r->active_count--;
	}
}

void resolver_refresh(struct resolver *r)
{
	struct context *fresh;
	struct buf why = { 0 };
	struct stamp now;

	if (r->config->dns.server_count > 0)
		return;
	stamp_take(&now, CONTEXT_RESOLV_CONF);
	if (stamp_eq(&now, &r->stamp))
		return;
	if (open_context(r, &fresh, r->anchor, &why) != MX_OK) {
		log_error(EV_ROUTE, LOG_SPAN("error", buf_span(&why)),
			  LOG_STR("note", "the old name servers stay"));
		buf_fini(&why);
		return; /* tried again at the next look */
	}
	log_info(EV_ROUTE, LOG_STR("note", CONTEXT_RESOLV_CONF
				   " has changed: it counts from now on"));
	r->stamp = now;
	take_back(r);
	context_retire(&r->main, r->loop);
	context_retire(&r->plain, r->loop);
	r->main = fresh;
	r->is_proven = r->has_warned = false;
	fill(r);
}
