/* Lists of clients in DNS, with a DNS that answers when it is told to. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/policy/dnsbl.h"

/* ---- DNS ---- */

struct dns_query {
	char name[300];
	dns_cb *cb;
	void *arg;
	struct dns_query *next;
};

static struct dns_query *out; /* what was asked last stands first */
static unsigned asked, cancelled;

static struct dns_query *fake_ask(void *by, struct span name,
				  enum dns_type type, dns_cb *cb, void *arg)
{
	struct dns_query *q = mx_alloc(sizeof(*q));

	(void)by;
	cr_expect_eq(type, DNS_A);
	snprintf(q->name, sizeof(q->name), "%.*s", SPAN_ARG(name));
	q->cb = cb;
	q->arg = arg;
	q->next = out;
	out = q;
	asked++;
	return q;
}

static void unlink_query(struct dns_query *q)
{
	struct dns_query **p = &out;

	while (*p != q)
		p = &(*p)->next;
	*p = q->next;
}

static void fake_cancel(struct dns_query **q)
{
	if (*q == NULL)
		return;
	unlink_query(*q);
	free(*q);
	*q = NULL;
	cancelled++;
}

static const struct dnsbl_dns dns = { fake_ask, fake_cancel, NULL };

static struct dns_answer answer_of(enum dns_status status, const char *ip)
{
	static struct span rdata;

	rdata = span_of(ip, 4);
	return (struct dns_answer){ .status = status,
				    .ttl_s = 300,
				    .rdata = &rdata,
				    .count = status == DNS_OK };
}

/* The one that was asked last. */
static void answer(enum dns_status status)
{
	struct dns_query *q = out;
	struct dns_answer a = answer_of(status, "\x7f\0\0\2");

	cr_assert_not_null(q);
	unlink_query(q);
	q->cb(&a, q->arg);
	free(q);
}

/* ---- The world ---- */

static struct dnsbl *d;
static struct config config;
static struct config_dnsbl lists[2];
static unsigned heard;

static void configure(size_t count)
{
	config.policy.dnsbl = lists;
	config.policy.dnsbl_count = count;
	dnsbl_configure(d, &config, &dns);
}

static void setup(void)
{
	lists[0] = (struct config_dnsbl){ SPAN_LIT("bl.test"), 1 };
	lists[1] = (struct config_dnsbl){ SPAN_LIT("dul.test"), 2 };
	d = dnsbl_new(ev_default_loop(0));
	configure(2);
}

static void teardown(void)
{
	dnsbl_free(&d);
	cr_expect_null(out);
}

TestSuite(dnsbl, .init = setup, .fini = teardown);

static struct dnsbl_visit *visit(unsigned n)
{
	struct net_addr a = { .family = AF_INET, .ip = { 192, 0 } };

	a.ip[2] = (unsigned char)(n >> 8);
	a.ip[3] = (unsigned char)n;
	return dnsbl_begin(d, &a);
}

static void on_known(void *arg)
{
	struct dnsbl_visit **v = arg;

	heard++;
	if (v != NULL) /* leaves at once */
		dnsbl_end(v);
}

static void expect_score(const struct dnsbl_visit *v, unsigned score,
			 const char *names)
{
	struct buf b = { 0 };

	cr_expect(dnsbl_is_known(v));
	cr_expect_eq(dnsbl_score(v, &b), score);
	cr_expect_str_eq(buf_cstr(&b), names);
	buf_fini(&b);
}

/* ---- Pure ---- */

/* RFC 5782 sections 2.1 and 2.4. */
Test(dnsbl, names)
{
	static const struct {
		const char *client, *name;
	} cases[] = {
		{ "192.0.2.99", "99.2.0.192.bad.example.com" },
		{ "2001:db8:1:2:3:4:567:89ab",
		  "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0."
		  "1.0.0.2.bad.example.com" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf b = { 0 };
		struct net_addr a;

		cr_assert_eq(net_addr_parse(span_str(cases[i].client), &a),
			     MX_OK);
		dnsbl_name(&b, &a, SPAN_LIT("bad.example.com"));
		cr_expect_str_eq(buf_cstr(&b), cases[i].name);
		buf_fini(&b);
	}
}

Test(dnsbl, what_lists)
{
	static const struct {
		enum dns_status status;
		const char *ip;
		bool lists;
	} cases[] = {
		{ DNS_OK, "\x7f\0\0\2", true },
		{ DNS_OK, "\x7f\1\2\3", true },
		{ DNS_OK, "\x7f\xff\xff\xfe", false },
		{ DNS_OK, "\xc0\0\2\1", false },
		{ DNS_NXDOMAIN, "\x7f\0\0\2", false },
		{ DNS_SERVFAIL, "\x7f\0\0\2", false },
		{ DNS_BOGUS, "\x7f\0\0\2", false },
		{ DNS_TIMEOUT, "\x7f\0\0\2", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct dns_answer a =
			answer_of(cases[i].status, cases[i].ip);

		cr_expect_eq(dnsbl_lists(&a), cases[i].lists, "%zu", i);
	}
}

/* ---- Look-ups ---- */

Test(dnsbl, weights)
{
	struct dnsbl_visit *a = visit(1), *b = visit(2);

	cr_expect_eq(asked, 4);
	cr_expect(!dnsbl_is_known(b));
	answer(DNS_OK); /* dul.test of b */
	cr_expect(!dnsbl_is_known(b));
	answer(DNS_NXDOMAIN);
	expect_score(b, 2, "dul.test");
	answer(DNS_OK);
	answer(DNS_OK);
	expect_score(a, 3, "bl.test, dul.test");
	dnsbl_end(&a);
	dnsbl_end(&b);
}

/* Equal clients share it, at a time and one after the other. */
Test(dnsbl, shared)
{
	struct dnsbl_visit *v[100];

	heard = 0;
	for (size_t i = 0; i < COUNT(v); i++) {
		v[i] = visit(1);
		/* every other one leaves when it hears */
		dnsbl_wait(v[i], on_known, i % 2 == 0 ? &v[i] : NULL);
	}
	cr_expect_eq(asked, 2);
	answer(DNS_NXDOMAIN);
	cr_expect_eq(heard, 0);
	answer(DNS_OK);
	cr_expect_eq(heard, COUNT(v));
	for (size_t i = 1; i < COUNT(v); i += 2)
		dnsbl_end(&v[i]);
	v[0] = visit(1);
	cr_expect_eq(asked, 2);
	expect_score(v[0], 1, "bl.test");
	dnsbl_end(&v[0]);
}

/* Who connects and leaves is asked about once, and not each time. */
Test(dnsbl, all_leave)
{
	struct dnsbl_visit *a = visit(1), *b = visit(1);

	dnsbl_wait(a, on_known, NULL);
	dnsbl_unwait(a);
	dnsbl_end(&a);
	dnsbl_end(&b);
	for (int i = 0; i < 100; i++) {
		a = visit(1);
		cr_expect_not(dnsbl_is_known(a));
		dnsbl_end(&a);
	}
	cr_expect_eq(asked, 2);
	answer(DNS_NXDOMAIN);
	answer(DNS_OK);
	a = visit(1);
	cr_expect_eq(asked, 2);
	expect_score(a, 1, "bl.test");
	dnsbl_end(&a);
	cr_expect_eq(cancelled, 0);
}

/* From however many addresses: so many at a time. */
Test(dnsbl, many_leave)
{
	struct dnsbl_visit *v;

	for (unsigned i = 0; i < DNSBL_LEFT_MAX + 100; i++) {
		cr_expect_eq(dnsbl_is_left_often(d), i >= DNSBL_LEFT_MAX);
		v = visit(i);
		dnsbl_end(&v);
	}
	cr_expect_eq(dnsbl_count(d), DNSBL_LEFT_MAX);
	cr_expect_eq(cancelled, 2 * 100);
	answer(DNS_NXDOMAIN);
	answer(DNS_NXDOMAIN);
	cr_expect_not(dnsbl_is_left_often(d));
	configure(2); /* the old resolver goes */
	cr_expect_eq(dnsbl_count(d), 1);
	cr_expect_null(out);
}

/* What is kept is bounded. */
Test(dnsbl, kept)
{
	for (unsigned i = 0; i < DNSBL_KEPT_MAX + 100; i++) {
		struct dnsbl_visit *v = visit(i);

		answer(DNS_NXDOMAIN);
		answer(DNS_NXDOMAIN);
		dnsbl_end(&v);
	}
	cr_expect_eq(dnsbl_count(d), DNSBL_KEPT_MAX);
}

/* A list that is silent for many is left alone; the other is not. */
Test(dnsbl, tired)
{
	struct dnsbl_visit *v;

	for (unsigned i = 0; i < DNSBL_TIRED; i++) {
		v = visit(i);
		answer(DNS_TIMEOUT);
		answer(DNS_NXDOMAIN);
		expect_score(v, 0, "");
		dnsbl_end(&v);
	}
	asked = 0;
	v = visit(1000);
	cr_expect_eq(asked, 1);
	answer(DNS_OK);
	expect_score(v, 1, "bl.test");
	dnsbl_end(&v);
}

/* Nobody waits for longer than five seconds; what is there by then counts. */
Test(dnsbl, silence, .timeout = 60)
{
	struct ev_loop *loop = ev_default_loop(0);
	int64_t began_ms;
	struct dnsbl_visit *v;

	ev_now_update(loop);
	began_ms = clock_mono_ms();
	v = visit(1);
	answer(DNS_OK); /* dul.test, as it was asked last */
	heard = 0;
	dnsbl_wait(v, on_known, NULL);
	while (heard == 0)
		ev_run(loop, EVRUN_ONCE);
	cr_expect_geq(clock_mono_ms() - began_ms, DNSBL_MS - 100);
	cr_expect_null(out, "it is asked no more");
	expect_score(v, 2, "dul.test");
	dnsbl_end(&v);
}

/* ---- Reload ---- */

/* Who waits for the old resolver is let in. */
Test(dnsbl, reload_while_it_asks)
{
	struct dnsbl_visit *a = visit(1), *b = visit(2);

	heard = 0;
	dnsbl_wait(a, on_known, &a);
	configure(2);
	cr_expect_eq(heard, 1);
	cr_expect_null(a);
	cr_expect_eq(cancelled, 4);
	expect_score(b, 0, "");
	dnsbl_end(&b);
	cr_expect_eq(dnsbl_count(d), 0);
}

/* What is known of the same lists stays, and of others goes. */
Test(dnsbl, reload_and_what_is_known)
{
	struct dnsbl_visit *v = visit(1);

	answer(DNS_OK);
	answer(DNS_OK);
	dnsbl_end(&v);
	configure(2);
	cr_expect_eq(dnsbl_count(d), 1);
	v = visit(1);
	configure(1);
	expect_score(v, 3, "bl.test, dul.test");
	dnsbl_end(&v);
	cr_expect_eq(dnsbl_count(d), 0);
	configure(0);
	cr_expect_null(visit(1));
}
