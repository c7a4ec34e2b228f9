/*
 * What would this client hear?  The gate is asked as a session would ask it,
 * up to its first recipient, but nothing is counted and nothing begins.  Beside
 * it SPF is asked who he may send for; the answer waits for both.
 */
#include "daemon/control/control_priv.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "common/mail/header.h"
#include "daemon/policy/policy.h"
#include "daemon/proof/proof.h"

/* A few evaluations run at once, those of reports included: whoever has to wait
 * for the others is told so. */
enum { SPF_MS = 5000 };

struct inquiry {
	struct request *request; /* NULL: nobody is to be answered */
	struct ev_loop *loop;
	struct gate *gate;
	struct gate_question q;
	struct gate_visit visit;
	struct net_addr client;
	struct buf helo, from, to; /* the spans below borrow from them */
	struct envelope env;
	struct smtp_path path;
	struct gate_rcpt rcpt;
	json_t *gates;
	bool is_out; /* the question is */
	bool is_judged;
	struct verdict verdict; /* then */
	struct proof_query *proof; /* under way, or NULL */
	ev_timer patience;	   /* with that */
	json_t *spf;		   /* NULL: not known yet */
};

/* Whether it would say STARTTLS nobody knows: as one that does. */
static const struct tls_facts any_tls = { .version = "TLSv1.3" };

static void inquiry_free(struct inquiry *i)
{
	ev_timer_stop(i->loop, &i->patience);
	proof_cancel(&i->proof);
	json_decref(i->spf);
	gate_leave(i->gate, &i->visit);
	config_unref(&i->q.config);
	json_decref(i->gates);
	gate_rcpt_fini(&i->rcpt);
	buf_fini(&i->helo);
	buf_fini(&i->from);
	buf_fini(&i->to);
	free(i);
}

/* One link, one row. */
static void heard(struct gate_question *q, const char *link,
		  const struct verdict *v)
{
	struct inquiry *i = CONTAINER_OF(q, struct inquiry, q);
	char line[VERDICT_LINE_MAX];
	json_t *row = json_pack("{s:s, s:s}", "gate", link, "verdict",
				v->code == 0 ? "pass" : "refuse");

	if (v->code != 0) {
		struct span reply = verdict_line(v, line);

		reply.n -= 2;
		json_object_set_new(row, "reply", control_text(reply));
		json_object_set_new(row, "detail",
				    json_sprintf("%s%s%s", v->reason,
						 *v->setting ? ", by " : "",
						 v->setting));
	} else {
		json_object_set_new(row, "reply", json_null());
		json_object_set_new(row, "detail",
				    q->would != NULL ? json_string(q->would)
						     : json_null());
		q->would = NULL;
	}
	json_array_append_new(i->gates, row);
}

/* The words of the last link that refused may have been changed by one that
 * heard of it: these are what is said. */
static void conclude(struct inquiry *i)
{
	const struct verdict *v = &i->verdict;
	struct request *r = i->request;
	char line[VERDICT_LINE_MAX];
	struct span reply = SPAN_LIT("250 2.1.5 Recipient ok");

	if (!i->is_judged || i->spf == NULL)
		return;
	if (v->code != 0) {
		reply = verdict_line(v, line);
		reply.n -= 2;
	}
	r->inquiry = NULL;
	request_done(r, json_pack("{s:b, s:O, s:O, s:o, s:s}", "ok", 1, "spf",
				  i->spf, "gates", i->gates, "reply",
				  control_text(reply), "reason",
				  v->code != 0 ? v->reason : ""));
	inquiry_free(i);
}

static void judged(struct inquiry *i, const struct verdict *v)
{
	i->is_judged = true;
	i->verdict = *v;
	conclude(i);
}

/* ---- SPF ---- */

static void on_proof(const struct spf_verdict *v, void *arg)
{
	struct inquiry *i = arg;

	i->proof = NULL;
	ev_timer_stop(i->loop, &i->patience);
	i->spf = json_pack("{s:s, s:o, s:o, s:o}", "result",
			   spf_result_name(v->result), "domain",
			   control_text_or_null(v->domain), "mechanism",
			   control_text_or_null(v->mechanism), "explanation",
			   control_text_or_null(v->explanation.n > 0
							? v->explanation
							: v->problem));
	conclude(i);
}

static void on_patience(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct inquiry *i = w->data;
	const struct spf_verdict late = {
		.result = SPF_TEMPERROR,
		.problem = SPAN_LIT("no answer within 5 seconds"),
	};

	(void)loop;
	(void)revents;
	proof_cancel(&i->proof);
	on_proof(&late, i);
}

static void ask_spf(struct inquiry *i, struct prover *prover)
{
	ev_timer_init(&i->patience, on_patience, SPF_MS / 1000., 0.);
	i->patience.data = i;
	ev_timer_start(i->loop, &i->patience);
	i->proof = proof_ask(prover,
			     &(struct proof_request){
				     .client = i->client,
				     .sender = buf_span(&i->from),
				     .helo = buf_span(&i->helo),
			     },
			     on_proof, i);
}

/* ---- The gate ---- */

/* The moments of a session as far as a recipient. */
static void go_on(struct inquiry *i, enum gate_moment moment)
{
	static const enum gate_moment moments[] = { GATE_CONNECTION, GATE_MAIL,
						    GATE_RCPT };
	struct verdict v = { .code = 0 };

	for (size_t n = 0; n < COUNT(moments) && v.code == 0; n++) {
		if (moments[n] < moment)
			continue;
		i->q.moment = moments[n];
		i->q.tls = moments[n] == GATE_CONNECTION ? NULL : &any_tls;
		i->is_out = !gate_ask(i->gate, &i->q, &v);
		if (i->is_out)
			return;
	}
	judged(i, &v);
}

static void on_answer(struct gate_question *q, const struct verdict *v)
{
	struct inquiry *i = CONTAINER_OF(q, struct inquiry, q);

	i->is_out = false;
	if (v->code != 0 || q->moment == GATE_RCPT)
		judged(i, v);
	else
		go_on(i, q->moment + 1);
}

static bool carries(struct gate_question *q)
{
	const struct inquiry *i = CONTAINER_OF(q, struct inquiry, q);

	return q->rcpt->row->standby == STANDBY_RELAY &&
	       drain_may_answer(i->request->control->opt.drain,
				buf_span(&q->rcpt->domain));
}

static void stop(struct request *r)
{
	struct inquiry *i = r->inquiry;

	r->inquiry = NULL;
	if (i->is_out)
		gate_cancel(&i->q);
	inquiry_free(i);
}

/* Our Received field is a part of what the primary would get. */
static size_t length_added(const struct inquiry *i, struct span client)
{
	struct buf field = { 0 };
	size_t n;

	mail_received_add(&field, &(struct mail_received){
					  .helo = buf_span(&i->helo),
					  .client_addr = client,
					  .by = i->q.config->hostname,
					  .with = SPAN_LIT("ESMTPS"),
					  .rcpt = buf_span(&i->to),
					  .wall_ms = clock_wall_ms(),
				  });
	n = field.n;
	buf_fini(&field);
	return n;
}

static void take_size(struct inquiry *i, const json_t *o)
{
	int64_t size = control_get_int(o, "size", 0);

	if (size <= 0)
		return;
	i->q.size = (uint64_t)size;
	i->q.added = length_added(i, control_get_text(o, "client"));
}

/* NULL: all of it can be read. */
static const char *take(struct inquiry *i, const json_t *o)
{
	struct span to = control_get_text(o, "to");
	struct smtp_path from;

	buf_add(&i->helo, control_get_text(o, "helo"));
	buf_add(&i->from, control_get_text(o, "from"));
	buf_add(&i->to, to);
	if (net_addr_parse(control_get_text(o, "client"), &i->client) != MX_OK)
		return "--client: expected an address such as 192.0.2.1";
	if (i->from.n > 0 &&
	    smtp_mailbox_parse(buf_span(&i->from), true, &from) != MX_OK)
		return "--from: expected an address such as a@example.org";
	if (smtp_mailbox_parse(buf_span(&i->to), true, &i->path) != MX_OK)
		return "--to: expected an address such as a@example.com";
	i->env.smtputf8 = span_has_8bit(buf_span(&i->from)) ||
			  span_has_8bit(buf_span(&i->to));
	take_size(i, o);
	return NULL;
}

void verdict_run(struct request *r, const json_t *o)
{
	struct inquiry *i = mx_alloc(sizeof(*i));
	const char *wrong;

	i->loop = r->control->opt.loop;
	i->gate = policy_gate(r->control->opt.policy);
	i->gates = json_array();
	i->q.config = config_ref(r->control->opt.config);
	wrong = take(i, o);
	if (wrong != NULL) {
		inquiry_free(i);
		request_fail(r, wrong);
		return;
	}
	i->env.from = buf_span(&i->from);
	i->request = r;
	r->inquiry = i;
	r->stop_inquiry = stop;
	i->q.cb = on_answer;
	i->q.heard = heard;
	i->q.is_dry = true;
	i->q.client = &i->client;
	i->q.visit = &i->visit;
	i->q.helo = buf_span(&i->helo);
	i->q.env = &i->env;
	i->q.to = &i->path;
	i->q.rcpt = &i->rcpt;
	i->q.carries = carries;
	ask_spf(i, r->control->opt.prover);
	go_on(i, GATE_CONNECTION);
}
