#include "daemon/proving.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/spool/record.h"

struct proving {
	struct router *router;
	struct prover *prover;
	struct give_up_proof hook;
};

/* A question of the drain's, and what the log says of it. */
struct asked {
	struct proof_query *query;
	give_up_proof_cb *cb;
	void *arg;
	struct arena arena;
	struct span from, client;
	uint64_t id;
};

static void asked_free(struct asked *q)
{
	arena_reset(&q->arena);
	free(q);
}

/* RFC 7208 section 2.6: a pass is the domain's word; all else is none, and a
 * temperror is no answer. */
static enum proof proof_of(enum spf_result r)
{
	if (r == SPF_PASS)
		return PROOF_PASS;
	return r == SPF_TEMPERROR ? PROOF_LATER : PROOF_NONE;
}

static void on_verdict(const struct spf_verdict *v, void *arg)
{
	struct asked *q = arg;
	give_up_proof_cb *cb = q->cb;
	void *cb_arg = q->arg;

	log_info(EV_PROOF, LOG_ID("mid", q->id), LOG_PATH("from", q->from),
		 LOG_SPAN("client", q->client),
		 LOG_STR("spf", spf_result_name(v->result)),
		 LOG_SPAN("domain", v->domain),
		 LOG_SPAN("mechanism", v->mechanism),
		 LOG_SPAN("error", v->problem));
	asked_free(q);
	cb(proof_of(v->result), cb_arg);
}

/* <> is never proven: SPF would speak of the HELO then. */
static void *ask(const struct envelope *env, give_up_proof_cb *cb, void *cb_arg,
		 void *arg)
{
	struct proving *p = arg;
	struct asked *q = mx_alloc(sizeof(*q));
	struct proof_request r = { .sender = env->from, .helo = env->helo };

	q->cb = cb;
	q->arg = cb_arg;
	q->id = env->id;
	q->from = arena_span(&q->arena, env->from);
	q->client = arena_span(&q->arena, env->client_addr);
	if (env->from.n == 0 ||
	    net_addr_parse(env->client_addr, &r.client) != MX_OK)
		r.client.family = AF_UNSPEC;
	q->query = proof_ask(p->prover, &r, on_verdict, q);
	return q;
}

static void cancel(void *question, void *arg)
{
	struct asked *q = question;

	(void)arg;
	proof_cancel(&q->query);
	asked_free(q);
}

static struct proof_dns dns_of(struct proving *p)
{
	return proof_dns_of(router_strangers(p->router));
}

struct proving *proving_new(struct ev_loop *loop, struct router *router,
			    const struct config *config)
{
	struct proving *p = mx_alloc(sizeof(*p));

	p->router = router;
	p->hook = (struct give_up_proof){ ask, cancel, p };
	p->prover = prover_new(&(struct prover_options){
		.loop = loop,
		.dns = dns_of(p),
		.receiver = config->hostname,
	});
	return p;
}

void proving_free(struct proving **pp)
{
	struct proving *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	prover_free(&p->prover);
	free(p);
}

void proving_pause(struct proving *p)
{
	prover_pause(p->prover);
}

void proving_resume(struct proving *p, const struct config *config)
{
	const struct proof_dns dns = dns_of(p);

	prover_resume(p->prover, &dns, config->hostname);
}

const struct give_up_proof *proving_hook(struct proving *p)
{
	return &p->hook;
}

struct prover *proving_prover(struct proving *p)
{
	return p->prover;
}
