#include "daemon/proof/evaluation.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "daemon/proof/answers.h"

enum { EVALUATION_MAGIC = 0x5bfe7a1e };

/*
 *  asking --answer, next question--> asking
 *     \--no more questions, time over--> (cb)
 */
struct evaluation {
	unsigned magic;
	struct ev_loop *loop;
	struct proof_dns dns;
	struct spf *spf;
	struct spf_lookup question;
	struct dns_query *query; /* NULL: none out */
	ev_timer timer;		 /* the deadline; or at once: it is over */
	int64_t ttl_s;
	evaluation_cb *cb;
	void *arg;
};

static void set_timer(struct evaluation *e, int64_t ms)
{
	ev_timer_stop(e->loop, &e->timer);
	ev_timer_set(&e->timer, (double)ms / 1000., 0.);
	ev_timer_start(e->loop, &e->timer);
}

static void ask(struct evaluation *e);

static void on_answer(const struct dns_answer *dns, void *arg)
{
	struct evaluation *e = arg;
	struct arena arena = { 0 };
	struct spf_answer a;

	MX_ASSERT(e->magic == EVALUATION_MAGIC && e->query != NULL);
	e->query = NULL;
	if (dns->ttl_s < e->ttl_s)
		e->ttl_s = dns->ttl_s;
	answers_read(&arena, e->question.type, dns, &a);
	spf_answer(e->spf, &a);
	arena_reset(&arena);
	ask(e);
}

/* The end comes from the loop, as the deadline does. */
static void ask(struct evaluation *e)
{
	if (!spf_next(e->spf, &e->question)) {
		set_timer(e, 0);
		return;
	}
	e->query = e->dns.ask(e->dns.by, e->question.name,
			      answers_type(e->question.type), on_answer, e);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct evaluation *e = w->data;
	struct spf_verdict v;

	(void)loop;
	(void)revents;
	MX_ASSERT(e->magic == EVALUATION_MAGIC);
	if (e->query != NULL)
		e->dns.cancel(&e->query);
	spf_give_up(e->spf, "DNS took too long");
	spf_verdict(e->spf, &v);
	e->cb(&v, e->ttl_s, e->arg);
}

struct evaluation *evaluation_new(struct ev_loop *loop,
				  const struct proof_dns *dns,
				  const struct spf_request *r, int64_t most_ms,
				  evaluation_cb *cb, void *arg)
{
	struct evaluation *e = mx_alloc(sizeof(*e));

	e->magic = EVALUATION_MAGIC;
	e->loop = loop;
	e->dns = *dns;
	e->spf = spf_new(r);
	e->ttl_s = INT64_MAX;
	e->cb = cb;
	e->arg = arg;
	ev_timer_init(&e->timer, on_timer, 0., 0.);
	e->timer.data = e;
	set_timer(e, most_ms);
	ask(e);
	return e;
}

void evaluation_free(struct evaluation **ep)
{
	struct evaluation *e = *ep;

	*ep = NULL;
	if (e == NULL)
		return;
	MX_ASSERT(e->magic == EVALUATION_MAGIC);
	ev_timer_stop(e->loop, &e->timer);
	if (e->query != NULL)
		e->dns.cancel(&e->query);
	spf_free(&e->spf);
	e->magic = 0;
	free(e);
}
