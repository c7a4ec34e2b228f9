/*
 * check_host() of RFC 7208 section 4, as a machine that never waits.
 *
 *             record of the domain            each term in turn
 *   RECORD ───────────────────────▶ TERM ───────────────────────▶ END
 *     ▲                             │ ▲ ▲        matched; none left
 *     ├──── include: one frame ─────┤ │ │
 *     └──── redirect: this frame ───┘ │ └── HOST ◀── hosts of an MX
 *                                     ├──── ADDRESS, HOSTS
 *                                     └──── NAMES, NAME: of the client
 *
 *   END of a fail ──▶ EXPLAIN ──▶ over
 *
 * Each state but TERM and END has one question out; the answer is for it.  NAMES
 * (the client's own names, for ptr and %{p}) are asked for once, then the state
 * that wanted them begins again.
 */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/smtp/address.h"
#include "common/spf/macro.h"
#include "common/spf/record.h"

enum {
	SPF_MAGIC = 0x05bf7208,
	/* Section 4.6.4 */
	TERMS_MOST = 10, /* that ask DNS */
	HOSTS_MOST = 10, /* of one MX set; names of a client */
	VOIDS_MOST = 2,

	NAME_MOST = 253, LABEL_MOST = 63,
	EXPLANATION_MOST = 512 /* ours: it goes into a line of a log */
};

enum state {
	AT_RECORD, AT_TERM, AT_ADDRESS, AT_HOSTS, AT_HOST, AT_NAMES, AT_NAME,
	AT_EXPLAIN, AT_EXPLAINED, AT_OVER
};

/* A domain whose record is being gone through. */
struct frame {
	struct span domain;
	struct spf_terms record;
	size_t at; /* the term */
};

struct spf {
	unsigned magic;
	struct arena arena; /* owns every span */
	struct spf_request request;
	struct spf_macros macros;
	struct frame frames[TERMS_MOST + 1];
	size_t depth; /* of frames; the last is gone through */
	enum state state;
	struct spf_lookup question;
	unsigned terms, voids; /* so far */

	struct span hosts[HOSTS_MOST]; /* of an MX set */
	size_t host_count, host;

	struct span names[HOSTS_MOST]; /* of the client; the first: valid */
	size_t name_count, valid_count, name;
	bool has_names;
	enum state after_names;

	struct span text; /* of the explanation, with its macros */
	struct spf_verdict verdict;
};

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

static struct frame *top(struct spf *s)
{
	return &s->frames[s->depth - 1];
}

/* ---- Ends ---- */

static void end(struct spf *s, enum spf_result r)
{
	s->verdict.result = r;
	s->verdict.domain = top(s)->domain;
	s->state = r == SPF_FAIL && top(s)->record.explain.n > 0 ? AT_EXPLAIN
								: AT_OVER;
}

static void end_error(struct spf *s, enum spf_result r, const char *what,
		      struct span about)
{
	struct buf b = { 0 };

	buf_adds(&b, what);
	if (about.n > 0)
		buf_addf(&b, ": %.*s", SPAN_ARG(about));
	s->verdict.problem = arena_span(&s->arena, buf_span(&b));
	buf_fini(&b);
	s->verdict.mechanism.n = 0;
	end(s, r);
}

/* ---- Names ---- */

/* What a resolver reads as it is meant: nothing that needs an escape there. */
static bool is_plain(struct span name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~' || name.p[i] == '\\')
			return false;
	return true;
}

static bool is_name(struct span name, size_t least_labels)
{
	size_t labels = 0;

	if (name.n > NAME_MOST || !is_plain(name))
		return false;
	do {
		size_t n = span_find(name, '.');

		if (n == 0 || n > LABEL_MOST)
			return false;
		labels++;
		if (n == name.n)
			break;
		name = span_skip(name, n + 1);
	} while (true);
	return labels >= least_labels;
}

/* Is name that domain, or below it? */
static bool is_within(struct span name, struct span domain)
{
	size_t at = name.n - domain.n;

	if (name.n < domain.n || !span_ieq(span_skip(name, at), domain))
		return false;
	return at == 0 || name.p[at - 1] == '.';
}

/* Section 7.3: which name of the client %{p} is. */
static struct span best_name(struct spf *s)
{
	struct span domain = top(s)->domain, below = { 0 };

	for (size_t i = 0; i < s->valid_count; i++) {
		if (span_ieq(s->names[i], domain))
			return s->names[i];
		if (below.n == 0 && is_within(s->names[i], domain))
			below = s->names[i];
	}
	if (below.n > 0)
		return below;
	return s->valid_count > 0 ? s->names[0] : SPAN_LIT("unknown");
}

/* Empty: it is longer than anything that could be asked or said. */
static struct span expand(struct spf *s, struct span text)
{
	struct buf b = { 0 };
	struct span done;

	s->macros.domain = top(s)->domain;
	s->macros.name = best_name(s);
	if (!spf_expand(&b, text, &s->macros))
		buf_reset(&b);
	done = arena_span(&s->arena, buf_span(&b));
	buf_fini(&b);
	return done;
}

/* The domain a term is about.  Section 7.3: too long, it loses labels on its
 * left. */
static struct span target(struct spf *s, struct span spec)
{
	struct span name = spec.n > 0 ? expand(s, spec) : top(s)->domain;

	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	while (name.n > NAME_MOST)
		span_cut(&name, '.');
	return name;
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
	ask(s, AT_NAMES, SPF_PTR, expand(s, SPAN_LIT("%{ir}.%{v}.arpa")));
	return true;
}

/* One more void answer.  False: that was one too many, and it is over. */
static bool count_void(struct spf *s, const struct spf_answer *a)
{
	if (a->status != SPF_VOID || ++s->voids <= VOIDS_MOST)
		return true;
	end_error(s, SPF_PERMERROR, "too many names that are not there",
		  s->question.name);
	return false;
}

/* ---- Terms ---- */

static const struct spf_term *term(struct spf *s)
{
	return &top(s)->record.terms[top(s)->at];
}

static void next_term(struct spf *s)
{
	top(s)->at++;
	s->state = AT_TERM;
}

static void leave_include(struct spf *s, bool does_match);

static void match(struct spf *s)
{
	enum spf_result r = term(s)->result;

	if (s->depth > 1) {
		leave_include(s, r == SPF_PASS);
		return;
	}
	s->verdict.mechanism = term(s)->text;
	end(s, r);
}

/* Section 5.2: a pass matches, what is no error does not. */
static void leave_include(struct spf *s, bool does_match)
{
	s->depth--;
	s->state = AT_TERM;
	if (does_match)
		match(s);
	else
		next_term(s);
}

static void enter(struct spf *s, struct span domain)
{
	*top(s) = (struct frame){ .domain = domain };
	if (is_name(domain, 2))
		ask(s, AT_RECORD, SPF_TXT, domain);
	else if (s->terms == 0)
		end_error(s, SPF_NONE, "not a domain name", domain);
	else
		end_error(s, SPF_PERMERROR, "not a domain name", domain);
}

/* False: that was one too many, and it is over. */
static bool count_term(struct spf *s)
{
	if (++s->terms <= TERMS_MOST)
		return true;
	end_error(s, SPF_PERMERROR, "more than 10 terms that ask DNS",
		  (struct span){ 0 });
	return false;
}

static void run_end_of_record(struct spf *s)
{
	struct span spec = top(s)->record.redirect;

	if (spec.n > 0) {
		if (spf_macro_wants_name(spec) && ask_names(s))
			return;
		if (count_term(s))
			enter(s, target(s, spec));
	} else if (s->depth > 1) {
		leave_include(s, false);
	} else {
		end(s, SPF_NEUTRAL);
	}
}

static void run_ptr(struct spf *s, struct span domain)
{
	for (size_t i = 0; i < s->valid_count; i++)
		if (is_within(s->names[i], domain)) {
			match(s);
			return;
		}
	next_term(s);
}

/* A name that cannot be asked for is not there. */
static void ask_term(struct spf *s, enum state state, enum spf_type type,
		     struct span name)
{
	if (is_name(name, 1))
		ask(s, state, type, name);
	else
		next_term(s);
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
	name = target(s, t->spec);
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

	if (top(s)->at == top(s)->record.count) {
		run_end_of_record(s);
		return;
	}
	t = term(s);
	is_net = t->mechanism == SPF_IP4 || t->mechanism == SPF_IP6;
	if (t->mechanism != SPF_ALL && !is_net)
		run_asking(s, t);
	else if (!is_net || net_cidr_has(&t->net, &s->request.client))
		match(s);
	else
		next_term(s);
}

static void run_host(struct spf *s)
{
	if (s->host == s->host_count)
		next_term(s);
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
	struct span spec = top(s)->record.explain, name;

	if (spf_macro_wants_name(spec) && ask_names(s))
		return;
	name = target(s, spec);
	if (is_name(name, 1))
		ask(s, AT_EXPLAIN, SPF_TXT, name);
	else
		s->state = AT_OVER;
}

static void run_explained(struct spf *s)
{
	struct span done;

	if (spf_macro_wants_name(s->text) && ask_names(s))
		return;
	done = expand(s, s->text);
	for (size_t i = 0; i < done.n; i++)
		if (done.p[i] < ' ' || done.p[i] > '~')
			done.n = 0; /* the sender's local part has anything */
	if (done.n > EXPLANATION_MOST)
		done.n = EXPLANATION_MOST;
	s->verdict.explanation = done;
	s->state = AT_OVER;
}

/* Until there is a question, or it is over. */
static void run(struct spf *s)
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

/* ---- Answers ---- */

static bool has_client(const struct spf *s, const struct spf_answer *a,
		       const struct spf_term *t)
{
	const struct net_addr *client = &s->request.client;
	unsigned bits = client->family == AF_INET ? 32 : 128;

	if (t != NULL)
		bits = client->family == AF_INET ? t->bits4 : t->bits6;
	for (size_t i = 0; a->status == SPF_FOUND && i < a->count; i++) {
		struct net_cidr net = { a->records[i].addr, bits };

		if (net_cidr_has(&net, client))
			return true;
	}
	return false;
}

/* Section 4.5: exactly one. */
static void got_record(struct spf *s, const struct spf_answer *a)
{
	struct span text = { 0 }, bad = { 0 };
	struct frame *f = top(s);
	size_t found = 0;

	for (size_t i = 0; a->status == SPF_FOUND && i < a->count; i++)
		if (spf_is_record(a->records[i].text) && found++ == 0)
			text = a->records[i].text;
	if (a->status == SPF_UNKNOWN)
		end_error(s, SPF_TEMPERROR, "no answer for", f->domain);
	else if (found > 1)
		end_error(s, SPF_PERMERROR, "two records at", f->domain);
	else if (found == 0 && s->terms == 0)
		end(s, SPF_NONE);
	else if (found == 0)
		end_error(s, SPF_PERMERROR, "no record at", f->domain);
	else if (!spf_read(&s->arena, arena_span(&s->arena, text), &f->record,
			   &bad))
		end_error(s, SPF_PERMERROR, "bad term", bad);
	else
		s->state = AT_TERM;
}

/* Of a, mx, exists: no answer is a temperror (section 5). */
static bool is_answered(struct spf *s, const struct spf_answer *a)
{
	if (a->status == SPF_UNKNOWN) {
		end_error(s, SPF_TEMPERROR, "no answer for", s->question.name);
		return false;
	}
	return count_void(s, a);
}

static void got_address(struct spf *s, const struct spf_answer *a)
{
	const struct spf_term *t = term(s);

	if (!is_answered(s, a))
		return;
	if (t->mechanism == SPF_EXISTS
		    ? a->status == SPF_FOUND && a->count > 0
		    : has_client(s, a, t))
		match(s);
	else
		next_term(s);
}

/* At most as many as fit; those that are no names (a null MX) are left out. */
static size_t copy_hosts(struct spf *s, const struct spf_answer *a,
			 struct span *out)
{
	size_t count = 0;

	for (size_t i = 0; a->status == SPF_FOUND && i < a->count; i++) {
		struct span host = a->records[i].text;

		if (host.n > 0 && host.p[host.n - 1] == '.')
			host.n--;
		if (count < HOSTS_MOST && is_name(host, 1))
			out[count++] = arena_span(&s->arena, host);
	}
	return count;
}

static void got_hosts(struct spf *s, const struct spf_answer *a)
{
	if (!is_answered(s, a))
		return;
	if (a->status == SPF_FOUND && a->count > HOSTS_MOST) {
		end_error(s, SPF_PERMERROR, "more than 10 MX hosts of",
			  s->question.name);
		return;
	}
	s->host_count = copy_hosts(s, a, s->hosts);
	s->host = 0;
	s->state = AT_HOST;
}

static void got_host(struct spf *s, const struct spf_answer *a)
{
	if (!is_answered(s, a))
		return;
	if (has_client(s, a, term(s)))
		match(s);
}

/* Section 5.5: those beyond the tenth are passed over, and an error means no
 * names. */
static void got_names(struct spf *s, const struct spf_answer *a)
{
	if (s->after_names == AT_TERM && !count_void(s, a))
		return;
	s->name_count = copy_hosts(s, a, s->names);
	s->name = s->valid_count = 0;
	s->state = AT_NAME;
}

static void got_name(struct spf *s, const struct spf_answer *a)
{
	if (has_client(s, a, NULL))
		s->names[s->valid_count++] = s->names[s->name - 1];
}

static void got_explanation(struct spf *s, const struct spf_answer *a)
{
	s->state = AT_OVER;
	if (a->status != SPF_FOUND || a->count != 1 ||
	    !spf_macro_ok(a->records[0].text, true))
		return;
	s->text = arena_span(&s->arena, a->records[0].text);
	s->state = AT_EXPLAINED;
}

typedef void got(struct spf *s, const struct spf_answer *a);

static got *const answered[] = {
	[AT_RECORD] = got_record,
	[AT_ADDRESS] = got_address,
	[AT_HOSTS] = got_hosts,
	[AT_HOST] = got_host,
	[AT_NAMES] = got_names,
	[AT_NAME] = got_name,
	[AT_EXPLAIN] = got_explanation,
	[AT_OVER] = NULL,
};

void spf_answer(struct spf *s, const struct spf_answer *a)
{
	MX_ASSERT(s->magic == SPF_MAGIC && answered[s->state] != NULL);
	answered[s->state](s, a);
	run(s);
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
	enter(s, target(s, SPAN_LIT("%{o}")));
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
		end_error(s, SPF_TEMPERROR, why, (struct span){ 0 });
}

void spf_verdict(const struct spf *s, struct spf_verdict *out)
{
	MX_ASSERT(s->state == AT_OVER);
	*out = s->verdict;
}
