/* Is he a recipient, and who says so: the answer behind `mx20ctl recipient`. */
#include "daemon/control/control_priv.h"

#include "common/base/clock.h"
#include "common/smtp/address.h"
#include "config/allow/domains.h"
#include "daemon/known/verify.h"

/* What is asked for; spans borrow from the request. */
struct subject {
	struct smtp_path path;
	struct buf domain; /* canonical */
	const struct config_domain *row;
};

static const char *subject_take(struct request *r, struct subject *s)
{
	if (smtp_mailbox_parse(buf_span(&r->address), true, &s->path) !=
		    MX_OK ||
	    s->path.is_literal || s->path.domain.n == 0 ||
	    smtp_domain_canon(&s->domain, s->path.domain) != MX_OK)
		return "that is no address";
	s->row = domains_find(r->control->opt.config->domains,
			      buf_span(&s->domain));
	return s->row == NULL ? "its domain is not in the allowlist" : NULL;
}

/* ---- The answer ---- */

static json_t *answer(const struct request *r, const struct subject *s,
		      const char *known, const char *source)
{
	return json_pack("{s:b, s:o, s:o, s:s, s:s, s:n, s:n, s:n}", "ok", 1,
			 "address", control_text(buf_span(&r->address)),
			 "domain", control_text(buf_span(&s->domain)), "known",
			 known, "source", source, "since", "expires", "reply");
}

static void add_fact(json_t *o, int64_t since_ms, int64_t expires_ms,
		     struct span reply)
{
	json_object_set_new(o, "since", control_time(since_ms));
	json_object_set_new(o, "expires", control_time(expires_ms));
	json_object_set_new(o, "reply", control_text_or_null(reply));
}

static json_t *look(const struct request *r, const struct subject *s)
{
	const struct control_options *opt = &r->control->opt;
	struct known_fact fact = { 0 };
	json_t *o;

	if (domains_has_recipient(opt->config->domains, s->row,
				  buf_span(&s->domain), s->path.local))
		return answer(r, s, "yes",
			      domains_is_fetched(opt->config->domains, s->row,
						 buf_span(&s->domain),
						 s->path.local)
				      ? "url"
				      : "file");
	if (s->row->verify)
		known_look(opt->known, buf_span(&s->domain), s->path.local,
			   s->row->delimiter, clock_wall_ms(), &fact);
	if (fact.is == FACT_NONE)
		return answer(r, s, "unknown", "none");
	o = answer(r, s, fact.is == FACT_YES ? "yes" : "no",
		   fact.is_asked ? "callout" : "learned");
	add_fact(o, fact.since_ms, fact.expires_ms, span_str(fact.reply));
	return o;
}

/* ---- Once more ---- */

static bool is_unknown(const json_t *o)
{
	return span_eq(control_get_text(o, "known"), SPAN_LIT("unknown"));
}

static void on_said(enum known_said said, struct span reply, void *arg)
{
	struct request *r = arg;
	struct subject s = { 0 };
	json_t *o;

	(void)said;
	r->waiter = NULL;
	if (subject_take(r, &s) != NULL) { /* a reload took it meanwhile */
		buf_fini(&s.domain);
		request_fail(r, "its domain is not in the allowlist");
		return;
	}
	o = look(r, &s);
	if (is_unknown(o)) /* nothing that could be known */
		json_object_set_new(o, "reply", control_text_or_null(reply));
	buf_fini(&s.domain);
	request_done(r, o);
}

static void recheck(struct request *r, const struct subject *s)
{
	static const struct net_addr nobody = { 0 };

	r->waiter = verify_ask(r->control->opt.known, buf_span(&s->domain),
			       s->path.mailbox, &nobody, on_said, r);
	if (r->waiter == NULL)
		request_fail(r, "the primary cannot be asked now");
}

/* ---- The verb ---- */

static void change(struct request *r, const struct subject *s)
{
	known_forget(r->control->opt.known, buf_span(&s->domain),
		     s->path.local);
	log_info(EV_CONTROL, LOG_STR("verb", r->verb),
		 LOG_PATH("to", buf_span(&r->address)),
		 LOG_STR("order", r->is_recheck ? "recheck" : "forget"),
		 LOG_INT("uid", r->uid),
		 LOG_STR("claimed_uid", r->claimed_uid));
}

void recipient_run(struct request *r)
{
	struct subject s = { 0 };
	const char *wrong = subject_take(r, &s);
	bool is_order = r->is_forget || r->is_recheck;

	if (wrong == NULL && is_order && r->right != RIGHT_ALL)
		wrong = CONTROL_LOOK_ONLY;
	if (wrong == NULL && r->control->opt.known == NULL)
		wrong = "nothing is known here";
	if (wrong == NULL && is_order)
		change(r, &s);
	if (wrong != NULL)
		request_fail(r, wrong);
	else if (r->is_recheck)
		recheck(r, &s);
	else
		request_done(r, look(r, &s));
	buf_fini(&s.domain);
}
