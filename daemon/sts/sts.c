#include "daemon/sts/sts.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/log.h"
#include "daemon/dns/shun.h"

enum {
	ENTRY_MAGIC = 0x057a7e00,
	QUERY_MAGIC = 0x057a0a5c,
	ENTRIES_MAX = 10000,
	STRANGERS_MAX = 200,
	ADDRS_MOST = 8,
	/* RFC 8461 section 3.3: no new attempt within five minutes. */
	RETRY_MS = 300000,
	/* A policy older than this is fetched again although the record has not
	 * changed, so that a cached one never ends by surprise. */
	REFRESH_MS = 24 * 3600 * 1000,
};
#define POLICY_PATH "/.well-known/mta-sts.txt"

static const struct fetch_limits limits = { 128, 20000, 60000 };
static const struct fetch_limits of_strangers = { 8, 5000, 10000 };

TAILQ_HEAD(sts_query_list, sts_query);
TAILQ_HEAD(sts_entry_list, entry);

enum step { STEP_IDLE, STEP_RECORD, STEP_ADDRESSES, STEP_FETCH };

/*
 * One policy domain.
 *
 *  idle --asked--> record --new id, or none kept--> addresses --> fetch -->
 * idle ^                 \--id unchanged, no record, failure (answered)------->
 * |
 *   \------------------------------------------------------------------------/
 *
 * Whoever waits is answered as soon as the answer is known: a mere refresh
 * goes on without them.
 */
struct entry {
	unsigned magic;
	UT_hash_handle hh;
	TAILQ_ENTRY(entry) lru;
	struct sts *sts;
	struct sts_known *known; /* may have expired; NULL: none */
	int64_t retry_ms;	 /* monotonic: no fetch before */
	bool is_forced;
	enum step step;
	struct dns_query *record, *v4, *v6;
	struct fetch *fetch;
	char id[STS_ID_MAX + 1]; /* as the record says now */
	struct net_addr addrs[ADDRS_MOST];
	size_t addr_count;
	const char *shunned;	 /* an address was, for this reason; or NULL */
	struct sts_query_list waiting;
	size_t len;
	char domain[];
};

struct sts_query {
	unsigned magic;
	TAILQ_ENTRY(sts_query) link;
	struct entry *entry;
	sts_cb *cb;
	void *arg;
};

struct sts {
	struct sts_options opt;
	struct fetcher *fetcher;
	struct entry *entries;
	size_t entry_count;
	struct sts_entry_list lru;
};

static struct span entry_domain(const struct entry *e)
{
	return span_of(e->domain, e->len);
}

/* ---- Entries ---- */

static bool wants_refresh(const struct sts_known *k)
{
	return sts_known_age_ms(k) > REFRESH_MS ||
	       sts_known_age_ms(k) > SECONDS(k->policy.max_age_s) / 2;
}

static void entry_stop(struct entry *e)
{
	resolver_cancel(&e->record);
	resolver_cancel(&e->v4);
	resolver_cancel(&e->v6);
	fetch_cancel(&e->fetch);
	e->step = STEP_IDLE;
}

static void entry_free(struct entry *e)
{
	struct sts *s = e->sts;
	struct sts_query *q;

	entry_stop(e);
	while ((q = TAILQ_FIRST(&e->waiting)) != NULL) {
		TAILQ_REMOVE(&e->waiting, q, link);
		free(q);
	}
	HASH_DEL(s->entries, e);
	TAILQ_REMOVE(&s->lru, e, lru);
	s->entry_count--;
	sts_known_unref(&e->known);
	e->magic = 0;
	free(e);
}

static void evict(struct sts *s)
{
	size_t most = s->opt.for_strangers ? STRANGERS_MAX : ENTRIES_MAX;
	struct entry *e = TAILQ_LAST(&s->lru, sts_entry_list), *before;

	for (unsigned tries = 0;
	     e != NULL && s->entry_count >= most && tries < 16;
	     e = before, tries++) {
		before = TAILQ_PREV(e, sts_entry_list, lru);
		if (e->step == STEP_IDLE && TAILQ_EMPTY(&e->waiting))
			entry_free(e);
	}
}

static struct entry *entry_get(struct sts *s, struct span domain)
{
	struct entry *e;

	HASH_FIND(hh, s->entries, domain.p, domain.n, e);
	if (e != NULL) {
		TAILQ_REMOVE(&s->lru, e, lru);
		TAILQ_INSERT_HEAD(&s->lru, e, lru);
		return e;
	}
	evict(s);
	e = mx_alloc(sizeof(*e) + domain.n);
	e->magic = ENTRY_MAGIC;
	e->sts = s;
	e->len = domain.n;
	memcpy(e->domain, domain.p, domain.n);
	TAILQ_INIT(&e->waiting);
	HASH_ADD(hh, s->entries, domain, e->len, e);
	TAILQ_INSERT_HEAD(&s->lru, e, lru);
	s->entry_count++;
	e->known = sts_known_get(&s->opt.facts, domain);
	return e;
}

/* Callbacks may ask and cancel as they like.  e may be gone afterwards,
 * unless a step is under way. */
static void answer_all(struct entry *e, struct span problem)
{
	struct sts_known *known =
		sts_known_in_force(e->known) ? sts_known_ref(e->known) : NULL;
	struct sts_query_list now = TAILQ_HEAD_INITIALIZER(now);
	struct sts_query *q;

	TAILQ_CONCAT(&now, &e->waiting, link);
	TAILQ_FOREACH (q, &now, link)
		q->entry = NULL;
	while ((q = TAILQ_FIRST(&now)) != NULL) {
		TAILQ_REMOVE(&now, q, link);
		if (q->cb != NULL) /* else cancelled meanwhile */
			q->cb(known != NULL ? sts_known_ref(known) : NULL,
			      problem, q->arg);
		free(q);
	}
	sts_known_unref(&known);
}

/* ---- Steps ---- */

static void finish(struct entry *e, struct span problem)
{
	e->step = STEP_IDLE;
	if (problem.n > 0)
		log_info(EV_ROUTE, LOG_SPAN("domain", entry_domain(e)),
			 LOG_STR("note", "MTA-STS"),
			 LOG_SPAN("error", problem));
	answer_all(e, problem);
}

static void fetch_failed(struct entry *e, const char *what, const char *why)
{
	struct buf problem = { 0 };

	e->retry_ms = clock_mono_ms() + RETRY_MS;
	buf_addf(&problem, "policy host mta-sts.%.*s: %s%s",
		 SPAN_ARG(entry_domain(e)), what, why);
	finish(e, buf_span(&problem));
	buf_fini(&problem);
}

static void on_fetched(struct span body, const char *why, void *arg)
{
	struct entry *e = arg;
	struct sts_known *k;

	MX_ASSERT(e->magic == ENTRY_MAGIC);
	e->fetch = NULL;
	if (why != NULL) {
		fetch_failed(e, "", why);
		return;
	}
	k = sts_known_new(entry_domain(e), span_str(e->id), clock_wall_ms(),
			  body);
	if (k == NULL) {
		fetch_failed(e, "malformed policy", "");
		return;
	}
	sts_known_unref(&e->known);
	e->known = k;
	e->is_forced = false;
	sts_known_put(&e->sts->opt.facts, k, body);
	log_info(EV_ROUTE, LOG_SPAN("domain", entry_domain(e)),
		 LOG_STR("note", "MTA-STS policy"),
		 LOG_STR("mode", sts_mode_name(k->policy.mode)),
		 LOG_SPAN("id", k->id),
		 LOG_INT("max_age_s", k->policy.max_age_s));
	finish(e, SPAN_LIT(""));
}

static void start_fetch(struct entry *e)
{
	struct buf host = { 0 };
	struct fetch_request req = { .port = e->sts->opt.port,
				     .path = POLICY_PATH,
				     .addrs = e->addrs,
				     .addr_count = e->addr_count };

	e->step = STEP_FETCH;
	buf_addf(&host, "mta-sts.%.*s", SPAN_ARG(entry_domain(e)));
	req.host = buf_span(&host);
	e->fetch = fetch_start(e->sts->fetcher, &req, on_fetched, e);
	buf_fini(&host);
}

static void take_addrs(struct entry *e, enum dns_type type,
		       const struct dns_answer *a)
{
	for (size_t i = 0; i < a->count && e->addr_count < ADDRS_MOST; i++) {
		struct net_addr *to = &e->addrs[e->addr_count];
		const char *why;

		if (!dns_read_addr(type, a->rdata[i], to))
			continue;
		why = shun_why(e->sts->opt.self, to);
		if (why == NULL)
			e->addr_count++;
		else
			e->shunned = why;
	}
	if (e->v4 != NULL || e->v6 != NULL)
		return;
	if (e->addr_count > 0)
		start_fetch(e);
	else if (e->shunned != NULL)
		fetch_failed(e, "its address is ", e->shunned);
	else
		fetch_failed(e, "no address: ", dns_status_name(a->status));
}

static void on_v4(const struct dns_answer *a, void *arg)
{
	struct entry *e = arg;

	MX_ASSERT(e->magic == ENTRY_MAGIC);
	e->v4 = NULL;
	take_addrs(e, DNS_A, a);
}

static void on_v6(const struct dns_answer *a, void *arg)
{
	struct entry *e = arg;

	MX_ASSERT(e->magic == ENTRY_MAGIC);
	e->v6 = NULL;
	take_addrs(e, DNS_AAAA, a);
}

static void start_addresses(struct entry *e)
{
	struct buf host = { 0 };
	struct resolver *r = e->sts->opt.resolver;

	e->step = STEP_ADDRESSES;
	e->addr_count = 0;
	e->shunned = NULL;
	buf_addf(&host, "mta-sts.%.*s", SPAN_ARG(entry_domain(e)));
	e->v4 = resolver_ask(r, buf_span(&host), DNS_A, on_v4, e);
	e->v6 = resolver_ask(r, buf_span(&host), DNS_AAAA, on_v6, e);
	buf_fini(&host);
}

/* RFC 8461 section 3.1: records of other kinds do not count; two of ours are
 * as good as none. */
static bool read_record(struct entry *e, const struct dns_answer *a)
{
	struct arena arena = { 0 };
	struct span text, id;
	unsigned found = 0;

	for (size_t i = 0; i < a->count; i++) {
		if (!dns_read_txt(&arena, a->rdata[i], &text) ||
		    !span_starts(text, SPAN_LIT("v=STSv1")))
			continue;
		if (++found > 1 || !sts_record_parse(text, &id))
			break;
		memcpy(e->id, id.p, id.n);
		e->id[id.n] = '\0';
	}
	arena_reset(&arena);
	return found == 1 && e->id[0] != '\0';
}

static void drop_expired(struct entry *e)
{
	if (e->known == NULL || sts_known_in_force(e->known))
		return;
	sts_known_delete(&e->sts->opt.facts, entry_domain(e));
	sts_known_unref(&e->known);
}

static void on_record(const struct dns_answer *a, void *arg)
{
	struct entry *e = arg;
	bool is_same;

	MX_ASSERT(e->magic == ENTRY_MAGIC);
	e->record = NULL;
	e->id[0] = '\0';
	if (!read_record(e, a)) {
		/* A policy outlives its record until max_age (section 5.1),
		 * or taking the record away would be all an attacker needs. */
		drop_expired(e);
		finish(e, SPAN_LIT(""));
		return;
	}
	is_same = sts_known_in_force(e->known) &&
		  span_eq(e->known->id, span_str(e->id));
	if (is_same && !e->is_forced && !wants_refresh(e->known)) {
		finish(e, SPAN_LIT(""));
	} else if (clock_mono_ms() < e->retry_ms) {
		finish(e, SPAN_LIT("no policy since the last attempt, the next "
				   "is due in minutes"));
	} else {
		start_addresses(e);
		if (is_same && !e->is_forced)
			answer_all(e, SPAN_LIT(""));
	}
}

static void start_record(struct entry *e)
{
	struct buf name = { 0 };

	e->step = STEP_RECORD;
	buf_addf(&name, "_mta-sts.%.*s", SPAN_ARG(entry_domain(e)));
	e->record = resolver_ask(e->sts->opt.resolver, buf_span(&name), DNS_TXT,
				 on_record, e);
	buf_fini(&name);
}

/* ---- The module ---- */

struct sts *sts_new(const struct sts_options *opt)
{
	struct sts *s = mx_alloc(sizeof(*s));

	s->opt = *opt;
	s->fetcher = fetcher_new(opt->loop, opt->tls,
				 opt->for_strangers ? of_strangers : limits);
	TAILQ_INIT(&s->lru);
	return s;
}

void sts_stop(struct sts *s)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(&s->lru)) != NULL)
		entry_free(e);
}

void sts_free(struct sts **sp)
{
	struct sts *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	sts_stop(s);
	fetcher_free(&s->fetcher);
	free(s);
}

struct sts_query *sts_ask(struct sts *s, struct span domain, sts_cb *cb,
			  void *arg)
{
	struct sts_query *q = mx_alloc(sizeof(*q));
	struct entry *e = entry_get(s, domain);

	q->magic = QUERY_MAGIC;
	q->entry = e;
	q->cb = cb;
	q->arg = arg;
	TAILQ_INSERT_TAIL(&e->waiting, q, link);
	if (e->step == STEP_IDLE)
		start_record(e);
	return q;
}

void sts_cancel(struct sts_query **qp)
{
	struct sts_query *q = *qp;

	*qp = NULL;
	if (q == NULL)
		return;
	MX_ASSERT(q->magic == QUERY_MAGIC);
	if (q->entry == NULL) { /* being answered: see answer_all */
		q->cb = NULL;
		return;
	}
	TAILQ_REMOVE(&q->entry->waiting, q, link);
	q->magic = 0;
	free(q);
}

void sts_forget(struct sts *s, struct span domain)
{
	struct entry *e = entry_get(s, domain);

	e->is_forced = true;
	e->retry_ms = 0;
}
