/* What the states of a check do. */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/smtp/address.h"
#include "common/spf/check_priv.h"

enum { EXPLANATION_MOST = 512 }; /* ours: it goes into a line of a log */

static const char *const result_names[] = {
	[SPF_NONE] = "none",         [SPF_NEUTRAL] = "neutral",
	[SPF_PASS] = "pass",         [SPF_FAIL] = "fail",
	[SPF_SOFTFAIL] = "softfail", [SPF_TEMPERROR] = "temperror",
	[SPF_PERMERROR] = "permerror",
};

const char *spf_result_name(enum spf_result r)
{
	return result_names[r];
}

/* ---- Ends ---- */

void spf_end(struct spf *s, enum spf_result r)
{
	s->verdict.result = r;
	s->verdict.domain = spf_top(s)->domain;
	s->state = AT_OVER;
	if (r == SPF_FAIL && spf_top(s)->record.explain.n > 0)
		s->state = AT_EXPLAIN;
}

void spf_error(struct spf *s, enum spf_result r, const char *what,
	       struct span about)
{
	struct buf b = { 0 };

	buf_adds(&b, what);
	if (about.n > 0)
		buf_addf(&b, ": %.*s", SPAN_ARG(about));
	s->verdict.problem = arena_span(&s->arena, buf_span(&b));
	buf_fini(&b);
	s->verdict.mechanism.n = 0;
	spf_end(s, r);
}

/* ---- Questions ---- */

static void ask(struct spf *s, enum state state, enum spf_type type,
		struct span name)
{
	s->state = state;
	s->question = (struct spf_lookup){ type, name };
}

static enum spf_type address_type(const struct spf *s)
{
	return s->request.client.family == AF_INET ? SPF_A : SPF_AAAA;
}

/* False: there is nobody to ask for the names, or they are there. */
static bool ask_names(struct spf *s)
{
	if (s->has_names)
		return false;
	s->after_names = s->state;
	ask(s, AT_NAMES, SPF_PTR, spf_filled(s, SPAN_LIT("%{ir}.%{v}.arpa")));
	return true;
}

/* ---- Terms ---- */

void spf_next_term(struct spf *s)
{
	spf_top(s)->at++;
	s->state = AT_TERM;
}

static void leave_include(struct spf *s, bool does_match);

void spf_match(struct spf *s)
{
	enum spf_result r = spf_term_now(s)->result;

	if (s->depth > 1) {
		leave_include(s, r == SPF_PASS);
		return;
	}
	s->verdict.mechanism = spf_term_now(s)->text;
	spf_end(s, r);
}

/* Section 5.2: a pass matches, what is no error does not. */
static void leave_include(struct spf *s, bool does_match)
{
	s->depth--;
	s->state = AT_TERM;
	if (does_match)
		spf_match(s);
	else
		spf_next_term(s);
}

static void enter(struct spf *s, struct span domain)
{
	*spf_top(s) = (struct frame){ .domain = domain };
	if (spf_is_name(domain, 2))
		ask(s, AT_RECORD, SPF_TXT, domain);
	else if (s->terms == 0)
		spf_error(s, SPF_NONE, "not a domain name", domain);
	else
		spf_error(s, SPF_PERMERROR, "not a domain name", domain);
}

/* False: that was one too many, and it is over. */
static bool count_term(struct spf *s)
{
	if (++s->terms <= TERMS_MOST)
		return true;
	spf_error(s, SPF_PERMERROR, "more than 10 terms that ask DNS",
		  (struct span){ 0 });
	return false;
}

static void run_end_of_record(struct spf *s)
{
	struct span spec = spf_top(s)->record.redirect;

	if (spec.n > 0) {
		if (spf_macro_wants_name(spec) && ask_names(s))
			return;
		if (count_term(s))
			enter(s, spf_target(s, spec));
	} else if (s->depth > 1) {
		leave_include(s, false);
	} else {
		spf_end(s, SPF_NEUTRAL);
	}
}

static void run_ptr(struct spf *s, struct span domain)
{
	for (size_t i = 0; i < s->valid_count; i++)
		if (spf_is_within(s->names[i], domain)) {
			spf_match(s);
			return;
		}
	spf_next_term(s);
}

/* A name that cannot be asked for is not there. */
static void ask_term(struct spf *s, enum state state, enum spf_type type,
		     struct span name)
{
	if (spf_is_name(name, 1))
		ask(s, state, type, name);
	else
		spf_next_term(s);
}

static void run_asking(struct spf *s, const struct spf_term *t)
{
	bool wants_names = t->mechanism == SPF_HAS_PTR ||
			   spf_macro_wants_name(t->spec);
	struct span name;

	if (wants_names && ask_names(s))
		return;
	if (!count_term(s))
		return;
	name = spf_target(s, t->spec);
	switch (t->mechanism) {
	case SPF_INCLUDE:
		MX_ASSERT(s->depth < COUNT(s->frames));
		s->depth++;
		enter(s, name);
		break;
	case SPF_HAS_PTR: run_ptr(s, name); break;
	case SPF_HAS_MX: ask_term(s, AT_HOSTS, SPF_MX, name); break;
	/* Section 5.7: an A record, even where the client has IPv6 */
	case SPF_EXISTS: ask_term(s, AT_ADDRESS, SPF_A, name); break;
	default: ask_term(s, AT_ADDRESS, address_type(s), name); break;
	}
}

static void run_term(struct spf *s)
{
	const struct spf_term *t;
	bool is_net;

	if (spf_top(s)->at == spf_top(s)->record.count) {
		run_end_of_record(s);
		return;
	}
	t = spf_term_now(s);
	is_net = t->mechanism == SPF_IP4 || t->mechanism == SPF_IP6;
	if (t->mechanism != SPF_ALL && !is_net)
		run_asking(s, t);
	else if (!is_net || net_cidr_has(&t->net, &s->request.client))
		spf_match(s);
	else
		spf_next_term(s);
}

static void run_host(struct spf *s)
{
	if (s->host == s->host_count)
		spf_next_term(s);
	else
		ask(s, AT_HOST, address_type(s), s->hosts[s->host++]);
}

static void run_name(struct spf *s)
{
	if (s->name < s->name_count) {
		ask(s, AT_NAME, address_type(s), s->names[s->name++]);
		return;
	}
	s->has_names = true;
	s->state = s->after_names;
}

/* ---- Explanations: section 6.2.  What goes wrong leaves none. ---- */

static void run_explain(struct spf *s)
{
	struct span spec = spf_top(s)->record.explain, name;

	if (spf_macro_wants_name(spec) && ask_names(s))
		return;
	name = spf_target(s, spec);
	if (spf_is_name(name, 1))
		ask(s, AT_EXPLAIN, SPF_TXT, name);
	else
		s->state = AT_OVER;
}

static void run_explained(struct spf *s)
{
	struct span done;

	if (spf_macro_wants_name(s->text) && ask_names(s))
		return;
	done = spf_filled(s, s->text);
	for (size_t i = 0; i < done.n; i++)
		if (done.p[i] < ' ' || done.p[i] > '~')
			done.n = 0; /* the sender's local part has anything */
	if (done.n > EXPLANATION_MOST)
		done.n = EXPLANATION_MOST;
	s->verdict.explanation = done;
	s->state = AT_OVER;
}

void spf_run(struct spf *s)
{
	s->question.name.n = 0;
	while (s->question.name.n == 0 && s->state != AT_OVER) {
		switch (s->state) {
		case AT_TERM: run_term(s); break;
		case AT_HOST: run_host(s); break;
		case AT_NAME: run_name(s); break;
		case AT_EXPLAIN: run_explain(s); break;
		case AT_EXPLAINED: run_explained(s); break;
		default: MX_ASSERT(!"a state with a question");
		}
	}
}

/* ---- The outside ---- */

/* Sections 2.4 and 4.3: without a sender it is postmaster of the helo, without
 * a local part postmaster. */
static void set_sender(struct spf *s, const struct spf_request *r)
{
	struct span local = smtp_local_of(r->sender);
	struct span domain = span_skip(r->sender, local.n + 1), whole;
	struct buf b = { 0 };

	if (local.n == r->sender.n)
		domain = local.n > 0 ? r->sender : r->helo;
	if (local.n == 0 || local.n == r->sender.n)
		local = SPAN_LIT("postmaster");
	buf_addf(&b, "%.*s@%.*s", SPAN_ARG(local), SPAN_ARG(domain));
	whole = arena_span(&s->arena, buf_span(&b));
	buf_fini(&b);
	s->request.sender = s->macros.sender = whole;
	s->macros.local = span_of(whole.p, local.n);
	s->macros.sender_domain = span_skip(whole, local.n + 1);
}

struct spf *spf_new(const struct spf_request *r)
{
	struct spf *s = mx_alloc(sizeof(*s));

	s->magic = SPF_MAGIC;
	s->request = *r;
	s->request.helo = arena_span(&s->arena, r->helo);
	s->request.receiver = arena_span(&s->arena, r->receiver);
	set_sender(s, r);
	s->macros.request = &s->request;
	s->depth = 1;
	enter(s, spf_target(s, SPAN_LIT("%{o}")));
	return s;
}

void spf_free(struct spf **sp)
{
	struct spf *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	MX_ASSERT(s->magic == SPF_MAGIC);
	arena_reset(&s->arena);
	s->magic = 0;
	free(s);
}

bool spf_next(const struct spf *s, struct spf_lookup *out)
{
	if (s->state == AT_OVER)
		return false;
	*out = s->question;
	return true;
}

void spf_give_up(struct spf *s, const char *why)
{
	if (s->state == AT_OVER)
		return;
	if (s->verdict.result == SPF_FAIL) /* the explanation is late */
		s->state = AT_OVER;
	else
		spf_error(s, SPF_TEMPERROR, why, (struct span){ 0 });
}

void spf_verdict(const struct spf *s, struct spf_verdict *out)
{
	MX_ASSERT(s->state == AT_OVER);
	*out = s->verdict;
}
