/* SPF over DNS: a name server that answers when the test says so. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "daemon/proof/proof.h"

/* ---- A name server ---- */

static const struct row {
	const char *name;
	enum dns_type type;
	const char *data; /* TXT: its text; A: the last octet; MX, PTR: a name */
	int64_t ttl_s;
} zone[] = {
	{ "pass.example", DNS_TXT, "v=spf1 ip4:192.0.2.1 -all", 3600 },
	{ "soft.example", DNS_TXT, "v=spf1 ~all", 3600 },
	{ "short.example", DNS_TXT, "v=spf1 ip4:192.0.2.1 -all", 70 },
	{ "both.example", DNS_TXT, "v=spf1 a:short-a.example -all", 3600 },
	{ "short-a.example", DNS_A, "\1", 90 },
	{ "mx.example", DNS_TXT, "v=spf1 mx -all", 3600 },
	{ "mx.example", DNS_MX, "host.mx.example", 3600 },
	{ "host.mx.example", DNS_A, "\1", 3600 },
	{ "ptr.example", DNS_TXT, "v=spf1 ptr -all", 3600 },
	{ "1.2.0.192.in-addr.arpa", DNS_PTR, "host.ptr.example", 3600 },
	{ "host.ptr.example", DNS_A, "\1", 3600 },
	{ "bad.example", DNS_TXT, "v=spf1 what", 3600 },
	{ "void.example", DNS_TXT, "v=spf1 a:no1.example a:no2.example "
				   "a:no3.example +all", 3600 },
	{ "forged.example", DNS_TXT, NULL, 0 }, /* bogus */
	{ "why.example", DNS_TXT, "v=spf1 -all exp=e.why.example", 3600 },
	{ "e.why.example", DNS_TXT, "no %{i}, %{h}", 3600 },
	{ "xn--bcher-kva.example", DNS_TXT, "v=spf1 +all", 3600 },
	{ "local.example", DNS_TXT, "v=spf1 exists:%{l}.u.example -all", 3600 },
	{ "ann.u.example", DNS_A, "\2", 3600 },
};

struct dns_query {
	TAILQ_ENTRY(dns_query) link;
	ev_timer timer;
	char name[256];
	enum dns_type type;
	dns_cb *cb;
	void *arg;
};

static struct fake {
	struct ev_loop *loop;
	TAILQ_HEAD(, dns_query) queries;
	bool is_silent;
	unsigned asked, open, most_open;
} fake;

static void query_end(struct dns_query *q)
{
	ev_timer_stop(fake.loop, &q->timer);
	TAILQ_REMOVE(&fake.queries, q, link);
	fake.open--;
	free(q);
}

/* Record data as it travels. */
static void add_rdata(struct buf *out, const struct row *r)
{
	struct span name = span_str(r->data);

	if (r->type == DNS_A) {
		buf_add(out, span_of("\300\0\2", 3)); /* 192.0.2 */
		buf_addc(out, r->data[0]);
		return;
	}
	if (r->type == DNS_TXT) {
		buf_addc(out, (char)name.n);
		buf_add(out, name);
		return;
	}
	if (r->type == DNS_MX)
		buf_add(out, span_of("\0\12", 2));
	while (name.n > 0) {
		struct span label = span_cut(&name, '.');

		buf_addc(out, (char)label.n);
		buf_add(out, label);
	}
	buf_addc(out, '\0');
}

static const struct row *row_find(const char *name, enum dns_type type)
{
	for (size_t i = 0; i < COUNT(zone); i++)
		if (strcasecmp(zone[i].name, name) == 0 && zone[i].type == type)
			return &zone[i];
	return NULL;
}

static void on_answer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct dns_query *q = w->data;
	const struct row *r = row_find(q->name, q->type);
	struct dns_answer a = { .status = DNS_NXDOMAIN, .ttl_s = 5 };
	struct buf data = { 0 };
	struct span rdata;
	dns_cb *cb = q->cb;
	void *arg = q->arg;

	(void)loop;
	(void)revents;
	if (r != NULL && r->data == NULL) {
		a.status = DNS_BOGUS;
	} else if (r != NULL) {
		add_rdata(&data, r);
		rdata = buf_span(&data);
		a = (struct dns_answer){ .status = DNS_OK, .rdata = &rdata,
					 .count = 1, .ttl_s = r->ttl_s };
	}
	query_end(q);
	cb(&a, arg);
	buf_fini(&data);
}

static struct dns_query *fake_ask(void *by, struct span name,
				  enum dns_type type, dns_cb *cb, void *arg)
{
	struct dns_query *q = mx_alloc(sizeof(*q));

	cr_assert_eq(by, &fake);
	cr_assert_lt(name.n, sizeof(q->name));
	memcpy(q->name, name.p, name.n);
	q->type = type;
	q->cb = cb;
	q->arg = arg;
	ev_timer_init(&q->timer, on_answer, 0., 0.);
	q->timer.data = q;
	if (!fake.is_silent)
		ev_timer_start(fake.loop, &q->timer);
	TAILQ_INSERT_TAIL(&fake.queries, q, link);
	fake.asked++;
	if (++fake.open > fake.most_open)
		fake.most_open = fake.open;
	return q;
}

static void fake_cancel(struct dns_query **q)
{
	query_end(*q);
	*q = NULL;
}

static void fake_speaks(void)
{
	struct dns_query *q;

	fake.is_silent = false;
	TAILQ_FOREACH (q, &fake.queries, link)
		ev_timer_start(fake.loop, &q->timer);
}

/* ---- The test's own ---- */

static struct prover *prover;
static unsigned told;
static struct spf_verdict last;
static char last_explanation[600], last_problem[600];
static const struct proof_dns dns = { fake_ask, fake_cancel, &fake };
static int64_t now_ms = 1000;

static int64_t fake_now(void)
{
	return now_ms;
}

static void begin(int64_t most_ms)
{
	struct prover_options o = { .loop = fake.loop, .dns = dns,
				    .receiver = SPAN_LIT("mx2.example.net"),
				    .most_ms = most_ms, .now_ms = fake_now };

	prover_free(&prover);
	prover = prover_new(&o);
}

static void setup(void)
{
	fake.loop = ev_default_loop(0);
	TAILQ_INIT(&fake.queries);
	begin(0);
}

static void teardown(void)
{
	prover_free(&prover);
	cr_expect_eq(fake.open, 0, "a question was left behind");
}

TestSuite(proof, .init = setup, .fini = teardown);

static void on_proof(const struct spf_verdict *v, void *arg)
{
	unsigned *count = arg;

	told++;
	if (count != NULL)
		++*count;
	last = *v;
	snprintf(last_explanation, sizeof(last_explanation), "%.*s",
		 SPAN_ARG(v->explanation));
	snprintf(last_problem, sizeof(last_problem), "%.*s",
		 SPAN_ARG(v->problem));
}

static struct proof_request request(const char *client, const char *sender)
{
	struct proof_request r = { .sender = span_str(sender),
				   .helo = SPAN_LIT("helo.example") };

	if (client[0] != '\0')
		cr_assert_eq(net_addr_parse(span_str(client), &r.client),
			     MX_OK);
	return r;
}

static struct proof_query *ask(const char *client, const char *sender,
			 unsigned *count)
{
	struct proof_request r = request(client, sender);

	return proof_ask(prover, &r, on_proof, count);
}

/* Until everything that can happen without more time has. */
static void run(void)
{
	for (int i = 0; i < 200; i++)
		ev_run(fake.loop, EVRUN_NOWAIT);
}

static enum spf_result result_of(const char *client, const char *sender)
{
	unsigned count = 0;

	(void)ask(client, sender, &count);
	cr_expect_eq(count, 0, "called back before it returned");
	run();
	cr_expect_eq(count, 1);
	return last.result;
}

static void let_pass(int64_t s)
{
	now_ms += s * 1000;
}

/* ---- What comes of it ---- */

Test(proof, results)
{
	static const struct {
		const char *client, *sender;
		enum spf_result wanted;
	} cases[] = {
		{ "192.0.2.1", "a@pass.example", SPF_PASS },
		{ "192.0.2.2", "a@pass.example", SPF_FAIL },
		{ "192.0.2.2", "a@soft.example", SPF_SOFTFAIL },
		{ "192.0.2.1", "a@none.example", SPF_NONE },
		{ "192.0.2.1", "a@mx.example", SPF_PASS },
		{ "192.0.2.2", "a@mx.example", SPF_FAIL },
		{ "192.0.2.1", "a@ptr.example", SPF_PASS },
		{ "192.0.2.2", "a@ptr.example", SPF_FAIL },
		{ "192.0.2.1", "a@bad.example", SPF_PERMERROR },
		{ "192.0.2.1", "a@void.example", SPF_PERMERROR },
		{ "192.0.2.1", "a@forged.example", SPF_TEMPERROR },
		{ "192.0.2.1", "\"a@b\"@pass.example", SPF_PASS },
		{ "192.0.2.1", "a@[192.0.2.1]", SPF_NONE },
		{ "192.0.2.1", "a@localhost", SPF_NONE },
		{ "2001:db8::1", "a@pass.example", SPF_FAIL },
		{ "192.0.2.1", "a@b\303\274cher.example", SPF_PASS },
		{ "192.0.2.1", "", SPF_NONE },
		{ "", "a@pass.example", SPF_NONE },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(result_of(cases[i].client, cases[i].sender),
			     cases[i].wanted, "%s from %s: %s", cases[i].sender,
			     cases[i].client, spf_result_name(last.result));
}

/* "v=spf1 +all" must not prove a client of whom nothing is known. */
Test(proof, without_a_client_nothing_is_asked)
{
	cr_expect_eq(result_of("", "a@b\303\274cher.example"), SPF_NONE);
	cr_expect_eq(fake.asked, 0);
	cr_expect_str_eq(last_problem, "the client's address is not known");
}

Test(proof, the_verdict_is_whole)
{
	cr_expect_eq(result_of("192.0.2.9", "a@why.example"), SPF_FAIL);
	cr_expect_str_eq(last_explanation, "no 192.0.2.9, helo.example");
	cr_expect(span_eq(last.mechanism, SPAN_LIT("-all")));
	cr_expect(span_eq(last.domain, SPAN_LIT("why.example")));
}

/* ---- Asked once ---- */

Test(proof, equal_questions_are_one)
{
	fake.is_silent = true;
	for (int i = 0; i < 5; i++)
		(void)ask("192.0.2.1", "a@pass.example", NULL);
	cr_expect_eq(fake.asked, 1);
	fake_speaks();
	run();
	cr_expect_eq(told, 5);
	cr_expect_eq(fake.asked, 1);
}

/* The local part is a macro. */
Test(proof, other_senders_are_other_questions)
{
	cr_expect_eq(result_of("192.0.2.1", "ann@local.example"), SPF_PASS);
	cr_expect_eq(result_of("192.0.2.1", "bob@local.example"), SPF_FAIL);
}

Test(proof, an_answer_is_good_for_as_long_as_dns_says)
{
	static const struct {
		const char *sender;
		int64_t good_s, over_s;
	} cases[] = {
		{ "a@pass.example", 299, 2 }, /* an hour: five minutes */
		{ "a@short.example", 69, 2 },
		{ "a@both.example", 89, 2 }, /* the shortest of all */
		{ "a@none.example", 4, 2 }, /* of a denial: five seconds */
		{ "a@forged.example", 29, 2 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		enum spf_result r = result_of("192.0.2.1", cases[i].sender);
		unsigned asked = fake.asked;

		let_pass(cases[i].good_s);
		cr_expect_eq(result_of("192.0.2.1", cases[i].sender), r);
		cr_expect_eq(fake.asked, asked, "%s", cases[i].sender);
		let_pass(cases[i].over_s);
		(void)result_of("192.0.2.1", cases[i].sender);
		cr_expect_gt(fake.asked, asked, "%s", cases[i].sender);
	}
}

Test(proof, what_is_known_is_bounded)
{
	unsigned asked;

	for (int i = 0; i < 1100; i++) {
		char sender[40];

		snprintf(sender, sizeof(sender), "u%d@none.example", i);
		(void)ask("192.0.2.1", sender, NULL);
		run();
	}
	cr_expect_eq(told, 1100);
	asked = fake.asked;
	cr_expect_eq(result_of("192.0.2.1", "u1099@none.example"), SPF_NONE);
	cr_expect_eq(fake.asked, asked);
	cr_expect_eq(result_of("192.0.2.1", "u0@none.example"), SPF_NONE);
	cr_expect_eq(fake.asked, asked + 1, "the oldest went");
}

/* ---- How many at once ---- */

Test(proof, few_run_at_once_and_of_one_domain_fewer)
{
	unsigned quick = 0;

	fake.is_silent = true;
	for (int i = 0; i < 100; i++) {
		char sender[40];

		snprintf(sender, sizeof(sender), "u%d@silent.example", i);
		(void)ask("192.0.2.1", sender, NULL);
	}
	cr_expect_eq(fake.open, 4);
	fake.is_silent = false; /* to what is asked from now on */
	(void)ask("192.0.2.1", "a@pass.example", &quick);
	run();
	cr_expect_eq(quick, 1, "it stood behind the silent one");
	for (int i = 0; i < 100; i++) {
		char sender[40];

		fake.is_silent = true;
		snprintf(sender, sizeof(sender), "u@silent%d.example", i);
		(void)ask("192.0.2.1", sender, NULL);
	}
	cr_expect_eq(fake.most_open, 16);
	fake_speaks();
	run();
	cr_expect_eq(told, 201);
	cr_expect_eq(fake.most_open, 16);
}

/* Its owner makes up names. */
Test(proof, nor_do_all_names_of_an_owner_take_every_place)
{
	unsigned quick = 0;
	char sender[64];

	fake.is_silent = true;
	for (int i = 0; i < 20; i++) {
		snprintf(sender, sizeof(sender), "u@n%d.silent.example", i);
		(void)ask("192.0.2.1", sender, NULL);
	}
	cr_expect_eq(fake.asked, 8);
	fake.is_silent = false;
	(void)ask("192.0.2.1", "u@pass.example", &quick);
	run();
	cr_expect_eq(quick, 1);
}

Test(proof, too_many_are_told_at_once)
{
	unsigned late = 0;

	fake.is_silent = true;
	for (int i = 0; i < 4096 + 16; i++) {
		char sender[40];

		snprintf(sender, sizeof(sender), "u@silent%d.example", i);
		(void)ask("192.0.2.1", sender, NULL);
	}
	run();
	cr_expect_eq(told, 0);
	(void)ask("192.0.2.1", "a@pass.example", &late);
	cr_expect_eq(late, 0);
	run();
	cr_expect_eq(late, 1);
	cr_expect_eq(last.result, SPF_TEMPERROR);
	cr_expect_str_eq(last_problem, "too much is asked at once");
}

/* ---- Time, and whoever goes ---- */

/* RFC 7208 section 4.6.4: with 20 ms in the place of 20 s. */
Test(proof, time_is_limited_in_all)
{
	unsigned count = 0;

	cr_expect_eq(PROOF_MS, 20000);
	begin(20);
	fake.is_silent = true;
	(void)ask("192.0.2.1", "a@mx.example", &count);
	while (count == 0)
		ev_run(fake.loop, EVRUN_ONCE);
	cr_expect_eq(last.result, SPF_TEMPERROR);
	cr_expect_str_eq(last_problem, "DNS took too long");
	cr_expect_eq(fake.open, 0, "a question that nobody waits for");
}

Test(proof, who_cancels_is_not_told)
{
	unsigned one = 0, two = 0;
	struct proof_query *a, *b;

	fake.is_silent = true;
	a = ask("192.0.2.1", "a@pass.example", &one);
	(void)ask("192.0.2.1", "a@pass.example", &two);
	proof_cancel(&a);
	cr_expect_null(a);
	proof_cancel(&a); /* NULL is fine */
	fake_speaks();
	run();
	cr_expect_eq(one, 0);
	cr_expect_eq(two, 1);
	b = ask("192.0.2.1", "a@pass.example", &one); /* known */
	proof_cancel(&b);
	run();
	cr_expect_eq(one, 0);
}

Test(proof, free_ends_questions_without_a_word)
{
	fake.is_silent = true;
	(void)ask("192.0.2.1", "a@pass.example", NULL);
	prover_free(&prover);
	cr_expect_eq(fake.open, 0);
	run();
	cr_expect_eq(told, 0);
}

/* A reload takes the resolver away. */
Test(proof, a_pause_begins_anew)
{
	fake.is_silent = true;
	(void)ask("192.0.2.1", "a@mx.example", NULL);
	prover_pause(prover);
	cr_expect_eq(fake.open, 0);
	(void)ask("192.0.2.1", "a@pass.example", NULL);
	cr_expect_eq(fake.open, 0, "nobody is there to be asked");
	fake.is_silent = false;
	prover_resume(prover, &dns, SPAN_LIT("other.example.net"));
	run();
	cr_expect_eq(told, 2);
}

/* An answer may lead to the next question, at once. */
static void on_proof_ask_again(const struct spf_verdict *v, void *arg)
{
	(void)arg;
	if (told < 10)
		(void)ask("192.0.2.1", "a@pass.example", NULL);
	on_proof(v, NULL);
}

Test(proof, a_callback_may_ask)
{
	struct proof_request r = request("192.0.2.1", "a@pass.example");

	(void)proof_ask(prover, &r, on_proof_ask_again, NULL);
	run();
	cr_expect_eq(told, 2);
}
