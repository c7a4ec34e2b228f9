#include "daemon/proof/proof.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/smtp/address.h"
#include "daemon/proof/evaluation.h"

enum {
	PROVER_MAGIC = 0x5207e400,
	PROOF_MAGIC = 0x5207e401,
	/* Evaluations hold what strangers publish, 64 KiB an answer. */
	AT_ONCE = 16,
	/* One that is silent leaves room for others, and so do all names that
	 * its owner can make up. */
	AT_ONCE_DOMAIN = 4,
	AT_ONCE_ZONE = 8, /* the same last two labels */
	WAITING_MOST = 4096,
	KNOWN_MOST = 1024,
	KNOWN_MS = 5 * 60 * 1000,
	KNOWN_LEAST_MS = 5 * 1000,
	KNOWN_ERROR_MS = 30 * 1000,
	TEXT_MOST = 512, /* of each text of a verdict that is kept */
};

enum state { WAITING, RUNNING, KNOWN };

TAILQ_HEAD(question_list, question);
TAILQ_HEAD(proof_list, proof_query);

/*
 *  waiting --room--> running --verdict--> known --expired, evicted--> gone
 *
 * All that ask the same hang on one.
 */
struct question {
	UT_hash_handle hh;
	struct prover *prover;
	TAILQ_ENTRY(question) link; /* of the list of its state */
	enum state state;
	struct proof_list proofs;
	struct evaluation *evaluation; /* running */
	ev_timer ready;		       /* known: whoever waits is told */
	bool is_telling;
	struct arena arena; /* of the request and the verdict */
	struct spf_request request;
	uint64_t domain, zone; /* hashes of the sender's */
	struct spf_verdict verdict;
	int64_t expires_ms; /* monotonic */
	size_t key_len;
	char key[];
};

struct proof_query {
	unsigned magic;
	struct question *question;
	TAILQ_ENTRY(proof_query) link;
	proof_cb *cb;
	void *arg;
};

struct prover {
	unsigned magic;
	struct ev_loop *loop;
	struct proof_dns dns;
	int64_t most_ms;
	int64_t (*now_ms)(void);
	struct arena receiver_arena;
	struct span receiver;
	struct question *questions;
	struct question_list lists[KNOWN + 1];
	size_t counts[KNOWN + 1];
	bool is_paused;
};

/* ---- DNS ---- */

static struct dns_query *ask_resolver(void *by, struct span name,
				      enum dns_type type, dns_cb *cb, void *arg)
{
	return resolver_ask(by, name, type, cb, arg);
}

struct proof_dns proof_dns_of(struct resolver *r)
{
	return (struct proof_dns){ ask_resolver, resolver_cancel, r };
}

/* ---- Questions ---- */

static void move(struct question *q, enum state to)
{
	struct prover *p = q->prover;

	TAILQ_REMOVE(&p->lists[q->state], q, link);
	p->counts[q->state]--;
	q->state = to;
	TAILQ_INSERT_TAIL(&p->lists[to], q, link);
	p->counts[to]++;
}

static void question_free(struct question *q)
{
	struct prover *p = q->prover;

	MX_ASSERT(TAILQ_EMPTY(&q->proofs) && !q->is_telling);
	ev_timer_stop(p->loop, &q->ready);
	evaluation_free(&q->evaluation);
	TAILQ_REMOVE(&p->lists[q->state], q, link);
	p->counts[q->state]--;
	HASH_DEL(p->questions, q);
	arena_reset(&q->arena);
	free(q);
}

static bool is_used(const struct question *q)
{
	return q->is_telling || !TAILQ_EMPTY(&q->proofs);
}

static void evict(struct prover *p)
{
	struct question *q = TAILQ_FIRST(&p->lists[KNOWN]), *next;

	for (; q != NULL && p->counts[KNOWN] > KNOWN_MOST; q = next) {
		next = TAILQ_NEXT(q, link);
		if (!is_used(q))
			question_free(q);
	}
}

/* As many as hung on it when it began: one that asks again from its callback
 * has another turn. */
static void tell(struct question *q)
{
	struct proof_query *o;
	size_t n = 0;

	TAILQ_FOREACH (o, &q->proofs, link)
		n++;
	q->is_telling = true;
	for (; n > 0 && (o = TAILQ_FIRST(&q->proofs)) != NULL; n--) {
		proof_cb *cb = o->cb;
		void *arg = o->arg;

		proof_cancel(&o);
		cb(&q->verdict, arg);
	}
	q->is_telling = false;
	evict(q->prover);
}

static void on_ready(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct question *q = w->data;

	(void)loop;
	(void)revents;
	MX_ASSERT(q->prover->magic == PROVER_MAGIC && q->state == KNOWN);
	tell(q);
}

static void tell_soon(struct question *q)
{
	ev_timer_stop(q->prover->loop, &q->ready);
	ev_timer_set(&q->ready, 0., 0.);
	ev_timer_start(q->prover->loop, &q->ready);
}

static struct span keep(struct question *q, struct span text)
{
	text.n = text.n < TEXT_MOST ? text.n : TEXT_MOST;
	return arena_span(&q->arena, text);
}

static int64_t lasts_ms(const struct spf_verdict *v, int64_t ttl_s)
{
	if (v->result == SPF_TEMPERROR)
		return KNOWN_ERROR_MS;
	if (ttl_s >= KNOWN_MS / 1000)
		return KNOWN_MS;
	return ttl_s * 1000 > KNOWN_LEAST_MS ? ttl_s * 1000 : KNOWN_LEAST_MS;
}

static void know(struct question *q, const struct spf_verdict *v, int64_t ttl_s)
{
	q->verdict = (struct spf_verdict){
		.result = v->result,
		.domain = keep(q, v->domain),
		.mechanism = keep(q, v->mechanism),
		.explanation = keep(q, v->explanation),
		.problem = keep(q, v->problem),
	};
	q->expires_ms = q->prover->now_ms() + lasts_ms(v, ttl_s);
	move(q, KNOWN);
	tell_soon(q);
}

static void know_at_once(struct question *q, enum spf_result r, const char *why)
{
	know(q,
	     &(struct spf_verdict){ .result = r, .problem = span_str(why) }, 0);
}

/* ---- Running ---- */

static void run_waiting(struct prover *p);

static void on_verdict(const struct spf_verdict *v, int64_t ttl_s, void *arg)
{
	struct question *q = arg;

	MX_ASSERT(q->state == RUNNING);
	know(q, v, ttl_s);
	evaluation_free(&q->evaluation);
	run_waiting(q->prover);
}

static bool has_turn(const struct prover *p, const struct question *q)
{
	const struct question *other;
	unsigned of_domain = 0, of_zone = 0;

	TAILQ_FOREACH (other, &p->lists[RUNNING], link) {
		of_domain += other->domain == q->domain;
		of_zone += other->zone == q->zone;
	}
	return of_domain < AT_ONCE_DOMAIN && of_zone < AT_ONCE_ZONE;
}

static struct question *next_to_run(struct prover *p)
{
	struct question *q;

	TAILQ_FOREACH (q, &p->lists[WAITING], link)
		if (has_turn(p, q))
			return q;
	return NULL;
}

static void run_waiting(struct prover *p)
{
	struct question *q;

	while (!p->is_paused && p->counts[RUNNING] < AT_ONCE &&
	       (q = next_to_run(p)) != NULL) {
		move(q, RUNNING);
		q->request.receiver = p->receiver;
		q->request.now_s = clock_wall_ms() / 1000;
		q->evaluation = evaluation_new(p->loop, &p->dns, &q->request,
					       p->most_ms, on_verdict, q);
	}
}

/* ---- What is asked ---- */

/* Whoever it is about in DNS is written in ASCII there. */
static void sender_add(struct buf *out, struct span sender)
{
	if (span_find(sender, '@') < sender.n)
		smtp_mailbox_add_ascii(out, sender);
	else
		buf_add(out, sender);
}

/* family, address, sender, NUL, helo; neither holds a NUL. */
static void key_add(struct buf *out, const struct proof_request *r)
{
	buf_addc(out, (char)r->client.family);
	buf_add(out, span_of(r->client.ip, sizeof(r->client.ip)));
	sender_add(out, r->sender);
	buf_addc(out, '\0');
	buf_add(out, r->helo);
}

/* What its owner has made up in front of it does not count. */
static struct span zone_of(struct span domain)
{
	size_t at = domain.n;
	unsigned dots = 0;

	while (at > 0 && (dots += domain.p[at - 1] == '.') < 2)
		at--;
	return span_skip(domain, at);
}

static void note_domain(struct question *q)
{
	const struct spf_request *r = &q->request;
	struct span local = smtp_local_of(r->sender);
	struct span domain = local.n < r->sender.n
				     ? span_skip(r->sender, local.n + 1)
				     : r->helo;

	q->domain = hash_keyed(domain);
	q->zone = hash_keyed(zone_of(domain));
}

static struct question *find(struct prover *p, struct span key)
{
	struct question *q;

	HASH_FIND(hh, p->questions, key.p, key.n, q);
	if (q == NULL || q->state != KNOWN || is_used(q) ||
	    p->now_ms() < q->expires_ms)
		return q;
	question_free(q);
	return NULL;
}

static struct question *question_new(struct prover *p,
				     const struct proof_request *r,
				     struct span key)
{
	struct question *q = mx_alloc(sizeof(*q) + key.n);
	struct buf sender = { 0 };

	q->prover = p;
	q->key_len = key.n;
	memcpy(q->key, key.p, key.n);
	TAILQ_INIT(&q->proofs);
	ev_timer_init(&q->ready, on_ready, 0., 0.);
	q->ready.data = q;
	sender_add(&sender, r->sender);
	q->request = (struct spf_request){
		.client = r->client,
		.sender = arena_span(&q->arena, buf_span(&sender)),
		.helo = arena_span(&q->arena, r->helo),
	};
	buf_fini(&sender);
	note_domain(q);
	HASH_ADD(hh, p->questions, key, q->key_len, q);
	TAILQ_INSERT_TAIL(&p->lists[WAITING], q, link);
	p->counts[WAITING]++;
	return q;
}

static struct question *question_need(struct prover *p,
				      const struct proof_request *r)
{
	struct buf key = { 0 };
	struct question *q;

	key_add(&key, r);
	q = find(p, buf_span(&key));
	if (q == NULL) {
		q = question_new(p, r, buf_span(&key));
		if (r->client.family == AF_UNSPEC)
			know_at_once(q, SPF_NONE,
				     "the client's address is not known");
		else if (p->counts[WAITING] > WAITING_MOST)
			know_at_once(q, SPF_TEMPERROR,
				     "too much is asked at once");
	}
	buf_fini(&key);
	return q;
}

struct proof_query *proof_ask(struct prover *p, const struct proof_request *r,
			proof_cb *cb, void *arg)
{
	struct proof_query *o = mx_alloc(sizeof(*o));

	MX_ASSERT(p->magic == PROVER_MAGIC);
	o->magic = PROOF_MAGIC;
	o->cb = cb;
	o->arg = arg;
	o->question = question_need(p, r);
	TAILQ_INSERT_TAIL(&o->question->proofs, o, link);
	if (o->question->state == KNOWN)
		tell_soon(o->question);
	run_waiting(p);
	return o;
}

/* One that runs goes on: its answer may be wanted again. */
void proof_cancel(struct proof_query **op)
{
	struct proof_query *o = *op;
	struct question *q;

	*op = NULL;
	if (o == NULL)
		return;
	MX_ASSERT(o->magic == PROOF_MAGIC);
	q = o->question;
	TAILQ_REMOVE(&q->proofs, o, link);
	o->magic = 0;
	free(o);
	if (q->state == WAITING && TAILQ_EMPTY(&q->proofs))
		question_free(q);
}

/* ---- The module ---- */

static void set_receiver(struct prover *p, struct span receiver)
{
	arena_reset(&p->receiver_arena);
	p->receiver = arena_span(&p->receiver_arena, receiver);
}

struct prover *prover_new(const struct prover_options *opt)
{
	struct prover *p = mx_alloc(sizeof(*p));

	p->magic = PROVER_MAGIC;
	p->loop = opt->loop;
	p->dns = opt->dns;
	p->most_ms = opt->most_ms > 0 ? opt->most_ms : PROOF_MS;
	p->now_ms = opt->now_ms != NULL ? opt->now_ms : clock_mono_ms;
	for (int i = 0; i <= KNOWN; i++)
		TAILQ_INIT(&p->lists[i]);
	set_receiver(p, opt->receiver);
	return p;
}

void prover_free(struct prover **pp)
{
	struct prover *p = *pp;
	struct question *q, *next;
	struct proof_query *o;

	*pp = NULL;
	if (p == NULL)
		return;
	MX_ASSERT(p->magic == PROVER_MAGIC);
	HASH_ITER (hh, p->questions, q, next) {
		while ((o = TAILQ_FIRST(&q->proofs)) != NULL) {
			TAILQ_REMOVE(&q->proofs, o, link);
			free(o);
		}
		question_free(q);
	}
	arena_reset(&p->receiver_arena);
	p->magic = 0;
	free(p);
}

void prover_pause(struct prover *p)
{
	struct question *q;

	p->is_paused = true;
	while ((q = TAILQ_LAST(&p->lists[RUNNING], question_list)) != NULL) {
		evaluation_free(&q->evaluation);
		move(q, WAITING);
		TAILQ_REMOVE(&p->lists[WAITING], q, link);
		TAILQ_INSERT_HEAD(&p->lists[WAITING], q, link);
	}
}

void prover_resume(struct prover *p, const struct proof_dns *dns,
		   struct span receiver)
{
	p->dns = *dns;
	p->is_paused = false;
	set_receiver(p, receiver);
	run_waiting(p);
}
