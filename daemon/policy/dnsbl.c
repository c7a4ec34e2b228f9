#include "daemon/policy/dnsbl.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/hash.h"
#include "daemon/policy/dnsbl_zones.h"

enum {
	TTL_LEAST_S = 60,
	TTL_MOST_S = 3600,
	TTL_FAILED_S = 30, /* a zone that failed is asked again soon */
};

struct asked_zone {
	struct entry *entry;
	struct zone *zone;
	struct dns_query *query; /* under way, or NULL */
	bool has_it;
};

TAILQ_HEAD(visit_list, dnsbl_visit);
TAILQ_HEAD(entry_list, entry);

struct entry {
	struct net_addr key;
	struct dnsbl *dnsbl;
	struct zones *zones;
	unsigned refs, pending;
	bool is_listed_here; /* in the table: new visitors find it */
	int64_t ends_ms;
	ev_timer timer;
	struct visit_list waiting;
	UT_hash_handle hh;
	TAILQ_ENTRY(entry) idle; /* of all_idle while refs is 0, else busy */
	int64_t ttl_s;
	struct asked_zone asked[];
};

struct dnsbl_visit {
	struct entry *entry;
	dnsbl_cb *cb; /* NULL: does not wait */
	void *arg;
	TAILQ_ENTRY(dnsbl_visit) link; /* while it waits */
};

struct dnsbl {
	struct ev_loop *loop;
	struct dnsbl_dns dns;
	struct zones *zones;
	struct entry *table;
	struct entry_list all_idle; /* who was left first stands first */
	struct entry_list busy;
	size_t idle_count;
	size_t left_count; /* of these, that are being asked about */
};

/* ---- Pure ---- */

void dnsbl_name(struct buf *out, const struct net_addr *client,
		struct span zone)
{
	if (client->family == AF_INET6)
		for (int i = 15; i >= 0; i--)
			buf_addf(out, "%x.%x.", client->ip[i] & 15,
				 client->ip[i] >> 4);
	else
		for (int i = 3; i >= 0; i--)
			buf_addf(out, "%u.", client->ip[i]);
	buf_add(out, zone);
}

bool dnsbl_lists(const struct dns_answer *answer)
{
	struct net_addr a;

	for (size_t i = 0; answer->status == DNS_OK && i < answer->count; i++)
		if (dns_read_addr(DNS_A, answer->rdata[i], &a) &&
		    a.ip[0] == 127 && (a.ip[1] != 255 || a.ip[2] != 255))
			return true;
	return false;
}

/* ---- Entries ---- */

static void take_out(struct entry *e)
{
	if (!e->is_listed_here)
		return;
	HASH_DEL(e->dnsbl->table, e);
	e->is_listed_here = false;
}

static void stop_asking(struct entry *e)
{
	for (size_t i = 0; i < e->zones->count; i++)
		e->dnsbl->dns.cancel(&e->asked[i].query);
	e->pending = 0;
	ev_timer_stop(e->dnsbl->loop, &e->timer);
}

static void enter_idle(struct entry *e)
{
	struct dnsbl *d = e->dnsbl;

	TAILQ_INSERT_TAIL(&d->all_idle, e, idle);
	d->idle_count++;
	d->left_count += e->pending > 0;
}

static void leave_idle(struct entry *e)
{
	struct dnsbl *d = e->dnsbl;

	TAILQ_REMOVE(&d->all_idle, e, idle);
	d->idle_count--;
	d->left_count -= e->pending > 0;
}

static void entry_free(struct entry *e)
{
	MX_ASSERT(e->refs == 0 && TAILQ_EMPTY(&e->waiting));
	leave_idle(e);
	stop_asking(e);
	take_out(e);
	zones_unref(&e->zones);
	free(e);
}

static void leave(struct entry *e)
{
	struct dnsbl *d = e->dnsbl;

	if (--e->refs > 0)
		return;
	TAILQ_REMOVE(&d->busy, e, idle);
	enter_idle(e);
	if (!e->is_listed_here || d->left_count > DNSBL_LEFT_MAX)
		entry_free(e);
	else if (d->idle_count > DNSBL_KEPT_MAX)
		entry_free(TAILQ_FIRST(&d->all_idle));
}

/* All is known: whoever waits is told.  Any of them may leave meanwhile. */
static void tell(struct entry *e)
{
	struct dnsbl_visit *v;

	ev_timer_stop(e->dnsbl->loop, &e->timer);
	e->ends_ms = clock_mono_ms() + e->ttl_s * 1000;
	if (e->refs == 0) { /* all have left: it is kept */
		e->dnsbl->left_count--;
		return;
	}
	e->refs++;
	while ((v = TAILQ_FIRST(&e->waiting)) != NULL) {
		dnsbl_cb *cb = v->cb;

		MX_ASSERT(cb != NULL);
		dnsbl_unwait(v);
		cb(v->arg);
	}
	leave(e);
}

static void keep_for(struct entry *e, int64_t ttl_s)
{
	if (ttl_s < e->ttl_s)
		e->ttl_s = ttl_s;
}

static void on_answer(const struct dns_answer *answer, void *arg)
{
	struct asked_zone *a = arg;
	struct entry *e = a->entry;

	a->query = NULL;
	a->has_it = dnsbl_lists(answer);
	zone_note(a->zone, answer->status == DNS_TIMEOUT);
	if (dns_failed(answer->status))
		keep_for(e, TTL_FAILED_S);
	else
		keep_for(e, answer->ttl_s > TTL_LEAST_S ? answer->ttl_s
							: TTL_LEAST_S);
	if (--e->pending == 0)
		tell(e);
}

static void on_late(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct entry *e = w->data;

	(void)loop;
	(void)revents;
	for (size_t i = 0; i < e->zones->count; i++)
		if (e->asked[i].query != NULL)
			zone_note(e->asked[i].zone, true);
	stop_asking(e);
	keep_for(e, TTL_FAILED_S);
	tell(e);
}

static void ask(struct entry *e)
{
	struct dnsbl *d = e->dnsbl;
	const int64_t now_ms = clock_mono_ms();
	struct buf name = { 0 };

	for (size_t i = 0; i < e->zones->count; i++) {
		struct asked_zone *a = &e->asked[i];

		a->entry = e;
		a->zone = &e->zones->zone[i];
		if (now_ms < a->zone->rests_ms) {
			keep_for(e, TTL_FAILED_S);
			continue;
		}
		buf_reset(&name);
		dnsbl_name(&name, &e->key, span_str(a->zone->name));
		e->pending++;
		a->query = d->dns.ask(d->dns.by, buf_span(&name), DNS_A,
				      on_answer, a);
	}
	buf_fini(&name);
	e->ends_ms = now_ms + e->ttl_s * 1000;
	ev_timer_init(&e->timer, on_late, DNSBL_MS / 1000., 0.);
	e->timer.data = e;
	if (e->pending > 0)
		ev_timer_start(d->loop, &e->timer);
}

static struct entry *entry_new(struct dnsbl *d, const struct net_addr *key)
{
	struct entry *e = mx_alloc(sizeof(*e) +
				   d->zones->count * sizeof(e->asked[0]));

	memcpy(&e->key, key, sizeof(*key));
	e->dnsbl = d;
	e->zones = d->zones;
	e->zones->refs++;
	e->ttl_s = TTL_MOST_S;
	e->is_listed_here = true;
	TAILQ_INIT(&e->waiting);
	HASH_ADD(hh, d->table, key, sizeof(e->key), e);
	ask(e);
	enter_idle(e);
	return e;
}

/* Zeroed first: the key is compared byte by byte, padding included. */
static struct entry *find(struct dnsbl *d, const struct net_addr *client)
{
	struct net_addr key;
	struct entry *e;

	memset(&key, 0, sizeof(key));
	key.family = client->family;
	memcpy(key.ip, client->ip, sizeof(key.ip));
	HASH_FIND(hh, d->table, &key, sizeof(key), e);
	if (e != NULL && e->pending == 0 && clock_mono_ms() >= e->ends_ms) {
		take_out(e);
		if (e->refs == 0)
			entry_free(e);
		e = NULL;
	}
	return e != NULL ? e : entry_new(d, &key);
}

/* ---- Visits ---- */

struct dnsbl_visit *dnsbl_begin(struct dnsbl *d, const struct net_addr *client)
{
	struct dnsbl_visit *v;
	struct entry *e;

	if (d->dns.ask == NULL || d->zones == NULL || d->zones->count == 0)
		return NULL;
	e = find(d, client);
	if (e->refs++ == 0) {
		leave_idle(e);
		TAILQ_INSERT_TAIL(&d->busy, e, idle);
	}
	v = mx_alloc(sizeof(*v));
	v->entry = e;
	return v;
}

void dnsbl_end(struct dnsbl_visit **vp)
{
	struct dnsbl_visit *v = *vp;

	*vp = NULL;
	if (v == NULL)
		return;
	dnsbl_unwait(v);
	leave(v->entry);
	free(v);
}

bool dnsbl_is_known(const struct dnsbl_visit *v)
{
	return v->entry->pending == 0;
}

void dnsbl_wait(struct dnsbl_visit *v, dnsbl_cb *cb, void *arg)
{
	MX_ASSERT(v->cb == NULL && !dnsbl_is_known(v));
	v->cb = cb;
	v->arg = arg;
	TAILQ_INSERT_TAIL(&v->entry->waiting, v, link);
}

void dnsbl_unwait(struct dnsbl_visit *v)
{
	if (v->cb == NULL)
		return;
	v->cb = NULL;
	TAILQ_REMOVE(&v->entry->waiting, v, link);
}

unsigned dnsbl_score(const struct dnsbl_visit *v, struct buf *names)
{
	const struct entry *e = v->entry;
	unsigned score = 0;

	for (size_t i = 0; i < e->zones->count; i++) {
		if (!e->asked[i].has_it)
			continue;
		score += e->asked[i].zone->weight;
		buf_addf(names, "%s%s", names->n > 0 ? ", " : "",
			 e->asked[i].zone->name);
	}
	return score;
}

bool dnsbl_is_left_often(const struct dnsbl *d)
{
	return d->left_count >= DNSBL_LEFT_MAX;
}

size_t dnsbl_count(const struct dnsbl *d)
{
	return HASH_COUNT(d->table);
}

/* ---- The module ---- */

struct dnsbl *dnsbl_new(struct ev_loop *loop)
{
	struct dnsbl *d = mx_alloc(sizeof(*d));

	d->loop = loop;
	TAILQ_INIT(&d->all_idle);
	TAILQ_INIT(&d->busy);
	return d;
}

static void forget_idle(struct dnsbl *d)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(&d->all_idle)) != NULL)
		entry_free(e);
}

/* The old resolver goes: what was asked of it comes to nothing. */
static void give_up_asking(struct dnsbl *d, bool are_same)
{
	struct entry *e, *next;

	for (e = TAILQ_FIRST(&d->all_idle); e != NULL; e = next) {
		next = TAILQ_NEXT(e, idle);
		if (e->pending > 0)
			entry_free(e);
	}
	for (e = TAILQ_FIRST(&d->busy); e != NULL; e = next) {
		bool was_pending = e->pending > 0;

		next = TAILQ_NEXT(e, idle);
		if (!are_same || was_pending)
			take_out(e);
		if (was_pending)
			stop_asking(e);
	}
	/* from the front each time: any of them may go */
	e = TAILQ_FIRST(&d->busy);
	while (e != NULL) {
		if (TAILQ_EMPTY(&e->waiting) || e->pending > 0) {
			e = TAILQ_NEXT(e, idle);
			continue;
		}
		tell(e);
		e = TAILQ_FIRST(&d->busy);
	}
}

void dnsbl_configure(struct dnsbl *d, const struct config *c,
		     const struct dnsbl_dns *dns)
{
	const bool are_same = zones_are_same(d->zones, c);
	struct dnsbl_dns old = d->dns;

	if (old.ask != NULL)
		give_up_asking(d, are_same);
	if (!are_same) {
		forget_idle(d);
		zones_unref(&d->zones);
		d->zones = zones_new(c);
	}
	d->dns = *dns;
}

void dnsbl_free(struct dnsbl **dp)
{
	struct dnsbl *d = *dp;

	*dp = NULL;
	if (d == NULL)
		return;
	MX_ASSERT(TAILQ_EMPTY(&d->busy));
	forget_idle(d);
	zones_unref(&d->zones);
	free(d);
}
