#include "daemon/known/verify.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/smtp/address.h"
#include "daemon/known/known_priv.h"

/* Whose questions they are: a client network's, and those about the mailboxes
 * of one destination. */
struct holder_key {
	struct net_addr client; /* AF_UNSPEC: of a destination */
	uint64_t destination;
};

struct holder {
	UT_hash_handle hh;
	struct holder_key key;
	unsigned count;
};

struct question {
	UT_hash_handle hh;
	struct known *known;
	struct known_key key;
	struct holder *client, *destination;
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

/* ---- Who asks, and whom ---- */

static struct holder *holder_enter(struct known *k,
				   const struct net_addr *client,
				   uint64_t destination)
{
	struct holder_key key;
	struct holder *h;

	memset(&key, 0, sizeof(key));
	if (client != NULL)
		key.client = net_addr_client(client);
	key.destination = destination;
	HASH_FIND(hh, k->holders, &key, sizeof(key), h);
	if (h == NULL) {
		h = mx_alloc(sizeof(*h));
		h->key = key;
		HASH_ADD(hh, k->holders, key, sizeof(h->key), h);
	}
	h->count++;
	return h;
}

static void holder_leave(struct known *k, struct holder *h)
{
	if (--h->count > 0)
		return;
	/* who is in the table has one: the analyzer cannot know */
	HASH_DEL(k->holders, h); /* NOLINT(*NullDereference) */
	free(h);
}

/* One of which no route is known yet is its own. */
static uint64_t destination_of(struct known *k, struct span domain)
{
	uint64_t destination = row_destination(k, domain);
	struct known_key key;

	if (destination != 0)
		return destination;
	key = key_of(k, domain, SPAN_LIT(""));
	memcpy(&destination, key.b, sizeof(destination));
	return destination;
}

/* No destination has more than is left for all others: one that lets questions
 * hang takes nobody else's place. */
static bool has_place(const struct known *k, const struct holder *client,
		      const struct holder *destination)
{
	return client->count <= VERIFY_PER_CLIENT &&
	       destination->count + HASH_COUNT(k->questions) <= VERIFY_MAX;
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
	holder_leave(k, q->client);
	holder_leave(k, q->destination);
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
	holder_leave(k, q->client);
	holder_leave(k, q->destination);
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
	struct holder *c = holder_enter(k, client, 0);
	struct holder *d = holder_enter(k, NULL, destination_of(k, domain));
	struct question *q = NULL;

	if (has_place(k, c, d)) {
		q = question_new(k, domain, mailbox, key);
		q->client = c;
		q->destination = d;
		q->asked = k->hooks.ask(domain, mailbox, on_said, q,
					k->hooks.arg);
	}
	if (q != NULL && q->asked != NULL) {
		HASH_ADD(hh, k->questions, key, sizeof(q->key), q);
		return q;
	}
	free(q);
	holder_leave(k, c);
	holder_leave(k, d);
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
