#include "daemon/known/verify.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/smtp/address.h"
#include "daemon/known/known_priv.h"

/* How many questions a client network has begun. */
struct asker {
	UT_hash_handle hh;
	struct net_addr client;
	unsigned count;
};

struct question {
	UT_hash_handle hh;
	struct known *known;
	struct known_key key;
	struct asker *asker;
	void *asked; /* by the hook */
	TAILQ_HEAD(, waiter) waiters;
	char *mailbox; /* behind the domain */
	size_t domain_len, mailbox_len;
	char domain[];
};

struct waiter {
	TAILQ_ENTRY(waiter) link;
	struct question *question;
	known_said_cb *cb;
	void *arg;
	ev_timer patience;
};

/* ---- Who asks ---- */

static struct asker *asker_of(struct known *k, const struct net_addr *client)
{
	struct net_addr c = net_addr_client(client);
	struct asker *a;

	HASH_FIND(hh, k->askers, &c, sizeof(c), a);
	if (a != NULL)
		return a;
	a = mx_alloc(sizeof(*a));
	a->client = c;
	HASH_ADD(hh, k->askers, client, sizeof(a->client), a);
	return a;
}

static void asker_leave(struct known *k, struct asker *a)
{
	if (--a->count > 0)
		return;
	HASH_DEL(k->askers, a);
	free(a);
}

/* ---- Waiters ---- */

static void waiter_free(struct waiter *w)
{
	ev_timer_stop(w->question->known->loop, &w->patience);
	TAILQ_REMOVE(&w->question->waiters, w, link);
	free(w);
}

/* w is gone. */
static void waiter_tell(struct waiter *w, enum known_said said,
			struct span reply)
{
	known_said_cb *cb = w->cb;
	void *arg = w->arg;

	waiter_free(w);
	cb(said, reply, arg);
}

static void on_patience(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct waiter *w = t->data;

	(void)loop;
	(void)revents;
	waiter_tell(w, SAID_NOTHING, SPAN_LIT("no answer in time"));
}

static struct waiter *waiter_new(struct question *q, known_said_cb *cb,
				 void *arg)
{
	struct known *k = q->known;
	struct waiter *w = mx_alloc(sizeof(*w));
	double wait = (double)k->config->policy.verify_timeout_ms / 1000.;

	w->question = q;
	w->cb = cb;
	w->arg = arg;
	TAILQ_INSERT_TAIL(&q->waiters, w, link);
	ev_timer_init(&w->patience, on_patience, wait, 0.);
	w->patience.data = w;
	ev_timer_start(k->loop, &w->patience);
	return w;
}

void verify_cancel(struct waiter **wp)
{
	struct waiter *w = *wp;

	*wp = NULL;
	if (w != NULL)
		waiter_free(w); /* the question goes on: it is worth knowing */
}

/* ---- Questions ---- */

static void question_free(struct question *q)
{
	struct known *k = q->known;
	struct waiter *w;

	while ((w = TAILQ_FIRST(&q->waiters)) != NULL)
		waiter_free(w);
	if (q->asked != NULL)
		k->hooks.cancel(q->asked, k->hooks.arg);
	HASH_DEL(k->questions, q);
	asker_leave(k, q->asker);
	free(q);
}

void verify_stop_all(struct known *k)
{
	struct question *q, *tmp;

	HASH_ITER (hh, k->questions, q, tmp)
		question_free(q);
}

size_t verify_count(const struct known *k)
{
	return HASH_COUNT(k->questions);
}

/* Whoever is told may ask again: then of a question that is new. */
static void answer(struct question *q, enum known_said said, struct span reply)
{
	struct known *k = q->known;
	struct waiter *w;

	HASH_DEL(k->questions, q);
	while ((w = TAILQ_FIRST(&q->waiters)) != NULL)
		waiter_tell(w, said, reply);
	asker_leave(k, q->asker);
	free(q);
}

static void learn(struct question *q, bool is_yes, struct span reply)
{
	struct known *k = q->known;
	struct span domain = span_of(q->domain, q->domain_len);
	struct buf destination = { 0 };

	if (k->hooks.destination != NULL)
		k->hooks.destination(domain, &destination, k->hooks.arg);
	known_learn(k, domain,
		    smtp_local_of(span_of(q->mailbox, q->mailbox_len)),
		    buf_span(&destination), is_yes, true, reply,
		    clock_wall_ms());
	buf_fini(&destination);
}

static void on_said(enum known_said said, struct span reply, void *arg)
{
	struct question *q = arg;

	q->asked = NULL;
	if (said == SAID_YES || said == SAID_NO)
		learn(q, said == SAID_YES, reply);
	answer(q, said == SAID_EARLY ? SAID_NOTHING : said, reply);
}

static struct question *question_new(struct known *k, struct span domain,
				     struct span mailbox,
				     const struct known_key *key)
{
	struct question *q =
		mx_alloc(sizeof(*q) + domain.n + mailbox.n);

	q->known = k;
	q->key = *key;
	TAILQ_INIT(&q->waiters);
	memcpy(q->domain, domain.p, domain.n);
	q->domain_len = domain.n;
	q->mailbox = q->domain + domain.n;
	memcpy(q->mailbox, mailbox.p, mailbox.n);
	q->mailbox_len = mailbox.n;
	return q;
}

/* NULL: nobody can be asked, or too much is being asked. */
static struct question *begin(struct known *k, struct span domain,
			      struct span mailbox, const struct known_key *key,
			      const struct net_addr *client)
{
	struct asker *a = asker_of(k, client);
	struct question *q = NULL;

	a->count++;
	if (a->count <= VERIFY_PER_CLIENT &&
	    HASH_COUNT(k->questions) < VERIFY_MAX) {
		q = question_new(k, domain, mailbox, key);
		q->asker = a;
		q->asked = k->hooks.ask(domain, mailbox, on_said, q,
					k->hooks.arg);
	}
	if (q != NULL && q->asked != NULL) {
		HASH_ADD(hh, k->questions, key, sizeof(q->key), q);
		return q;
	}
	free(q);
	asker_leave(k, a);
	return NULL;
}

struct waiter *verify_ask(struct known *k, struct span domain,
			  struct span mailbox, const struct net_addr *client,
			  known_said_cb *cb, void *arg)
{
	struct known_key key = key_of(k, domain, smtp_local_of(mailbox));
	struct question *q;

	HASH_FIND(hh, k->questions, key.b, sizeof(key.b), q);
	if (q == NULL && k->hooks.ask != NULL)
		q = begin(k, domain, mailbox, &key, client);
	return q != NULL ? waiter_new(q, cb, arg) : NULL;
}
