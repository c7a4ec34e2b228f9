/* The router on a loop: what is asked once, shared, cancelled, doubted. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "daemon/dns/answer.h"
#include "daemon/route/route.h"
#include "tests/support/folder.h"
#include "tests/support/nameserver.h"

static const struct nameserver_record records[] = {
	{ "mx.test", "192.0.2.1", DNS_A },
	{ "a.test", "10 mx.test", DNS_MX },
	{ "b.test", "20 MX.test", DNS_MX },
	{ "null.test", "0 ", DNS_MX },
};

static struct ev_loop *loop;
static struct folder folder;
static struct nameserver names;
static struct config *config;
static struct router *router;
static unsigned answered;
static struct route *last;
static bool has_relay = true;

/* The spool's facts: one of these. */
static struct buf fact_key, fact_value;
static bool is_left_now;

static void fact_put(struct span key, struct span value, void *arg)
{
	(void)arg;
	if (!span_starts(key, SPAN_LIT("last:")))
		return;
	buf_reset(&fact_key);
	buf_add(&fact_key, key);
	buf_reset(&fact_value);
	buf_add(&fact_value, value);
}

static enum mx_err fact_get(struct span key, struct buf *out, void *arg)
{
	(void)arg;
	if (!span_eq(key, buf_span(&fact_key)))
		return MX_ENOENT;
	buf_add(out, buf_span(&fact_value));
	return MX_OK;
}

static bool is_left(struct span domain, void *arg)
{
	(void)domain;
	(void)arg;
	return is_left_now;
}

static void load_config(const char *domains)
{
	struct config_errors errors = { 0 };
	char text[400];

	snprintf(text, sizeof(text),
		 "hostname = \"me.test\"; domains = \"domains\";\n"
		 "dns = { servers = [ \"127.0.0.1@%u\" ]; };\n"
		 "%s\n",
		 names.port,
		 has_relay ? "bounce = { relay = \"[192.0.2.9]:2525\"; };" : "");
	folder_write(&folder, "domains", domains);
	config_unref(&config);
	config = config_load(folder_write(&folder, "mx20.conf", text), &errors);
	cr_assert_not_null(config, "%s", buf_cstr(&errors.text));
	config_errors_fini(&errors);
}

static void setup(void)
{
	struct router_options opt = { 0 };
	struct buf why = { 0 };

	loop = ev_default_loop(0);
	folder_make(&folder);
	nameserver_start(&names, loop, records,
			 sizeof(records) / sizeof(records[0]));
	load_config("a.test recipients=*\nb.test recipients=*\n"
		    "null.test recipients=*\nnone.test recipients=*\n"
		    "p1.test recipients=* primary=mx.test:2526\n"
		    "p2.test recipients=* primary=MX.test:2526\n"
		    "p3.test recipients=* primary=mx.test:2526 tls=must\n"
		    "p4.test recipients=* primary=[192.0.2.5]\n");
	opt.loop = loop;
	opt.config = config;
	opt.fact_put = fact_put;
	opt.fact_get = fact_get;
	opt.is_left = is_left;
	cr_assert_eq(router_new(&router, &opt, &why), MX_OK, "%s",
		     buf_cstr(&why));
}

static void teardown(void)
{
	route_unref(&last);
	router_free(&router);
	config_unref(&config);
	buf_fini(&fact_key);
	buf_fini(&fact_value);
	nameserver_stop(&names, loop);
	folder_remove(&folder);
}

TestSuite(router, .init = setup, .fini = teardown);

static void on_route(struct route *route, void *arg)
{
	struct route **to = arg;

	answered++;
	route_unref(to);
	*to = route;
}

static void too_long(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)l, (void)w, (void)revents;
	cr_assert_fail("no answer within 15 s");
}

static void run_until(unsigned answers)
{
	ev_timer guard;

	ev_timer_init(&guard, too_long, 15, 0);
	ev_timer_start(loop, &guard);
	while (answered < answers)
		ev_run(loop, EVRUN_ONCE);
	ev_timer_stop(loop, &guard);
}

static const struct route *ask(const char *domain)
{
	unsigned before = answered;

	router_ask(router, span_str(domain), on_route, &last);
	cr_assert_eq(answered, before, "answered before return");
	run_until(before + 1);
	return last;
}

static void expect_key(const char *domain, const char *key)
{
	const struct route *r = ask(domain);

	cr_expect(span_eq(r->key, span_str(key)), "%s: %.*s", domain,
		  SPAN_ARG(r->key));
}

Test(router, answers_by_source)
{
	expect_key("a.test", "mx.test:25 tls=may");
	cr_expect_eq(last->source, ROUTE_FROM_MX);
	expect_key("p4.test", "192.0.2.5:25 tls=may");
	cr_expect_eq(last->source, ROUTE_FROM_PRIMARY);
	/* not ours: by bounce.relay */
	expect_key("sender.test", "192.0.2.9:2525 tls=may");
	cr_expect_eq(last->source, ROUTE_FROM_RELAY);
	cr_expect_eq(ask("null.test")->result, ROUTE_NULL_MX);
	cr_expect_not(last->is_final); /* since it is listed */
	cr_expect_eq(ask("none.test")->result, ROUTE_PERMANENT);
	cr_expect_not(last->is_final);
	cr_expect_leq(last->expires_ms, clock_mono_ms() + 1000);
}

/* A line that went leaves its options behind, for mail that waits. */
Test(router, last_options_outlive_their_line)
{
	router_remember(router, SPAN_LIT("p3.test"));
	cr_expect(span_eq(buf_span(&fact_value),
			  SPAN_LIT("tls=must primary=mx.test:2526")));
	load_config("");
	router_reload(router, config);
	expect_key("p3.test", "192.0.2.9:2525 tls=may"); /* nobody of ours */
	is_left_now = true;
	expect_key("p3.test", "mx.test:2526 tls=must");
	/* without options: by MX, never by the relay for reports */
	expect_key("a.test", "mx.test:25 tls=may");
	cr_expect_eq(ask("none.test")->result, ROUTE_PERMANENT);
	cr_expect_not(last->is_final);
	/* listed again without options: nothing is left of them */
	load_config("p3.test recipients=*\n");
	router_reload(router, config);
	router_remember(router, SPAN_LIT("p3.test"));
	cr_expect_eq(fact_value.n, 0, "%s", buf_cstr(&fact_value));
}

/* What DNS denies is final for a domain that is not ours. */
Test(router, denials_of_strangers_are_final)
{
	has_relay = false;
	load_config("");
	router_reload(router, config);
	cr_expect_eq(ask("null.test")->result, ROUTE_NULL_MX);
	cr_expect(last->is_final);
	cr_expect_eq(ask("none.test")->result, ROUTE_PERMANENT);
	cr_expect(last->is_final);
	cr_expect(span_eq(last->reason, SPAN_LIT("NXDOMAIN for none.test")));
}

/* One destination: equal hosts, ports and TLS policy, however written. */
Test(router, equal_routes_have_equal_keys)
{
	expect_key("a.test", "mx.test:25 tls=may");
	expect_key("b.test", "mx.test:25 tls=may");
	expect_key("p1.test", "mx.test:2526 tls=may");
	expect_key("p2.test", "mx.test:2526 tls=may");
	expect_key("p3.test", "mx.test:2526 tls=must");
}

Test(router, literals_need_no_resolver)
{
	names.is_silent = true;
	cr_expect_eq(ask("p4.test")->result, ROUTE_OK);
	cr_expect(router_answers_soon(router, SPAN_LIT("p4.test")));
	cr_expect_not(router_answers_soon(router, SPAN_LIT("a.test")));
}

Test(router, answers_and_questions_are_shared)
{
	struct route *r[3] = { NULL };
	unsigned asked;

	/* three at once, one look-up */
	for (size_t i = 0; i < 3; i++)
		router_ask(router, SPAN_LIT("a.test"), on_route, &r[i]);
	run_until(3);
	cr_expect_eq(r[0], r[1]);
	cr_expect_eq(r[0], r[2]);
	asked = names.asked;
	cr_expect_eq(ask("a.test"), r[0]);
	cr_expect_eq(names.asked, asked);
	for (size_t i = 0; i < 3; i++)
		route_unref(&r[i]);
	/* and one for all domains of a primary= */
	cr_expect_eq(ask("p1.test")->result, ROUTE_OK);
	r[0] = route_ref(last);
	cr_expect_eq(ask("p2.test"), r[0]);
	route_unref(&r[0]);
}

Test(router, cancelled_questions_are_not_answered)
{
	struct route_query *q;
	struct route *known;

	q = router_ask(router, SPAN_LIT("a.test"), on_route, &last);
	route_cancel(&q);
	cr_expect_null(q);
	cr_expect_eq(ask("b.test")->result, ROUTE_OK);
	cr_expect_eq(answered, 1);
	/* one whose answer is there already, too */
	q = router_ask(router, SPAN_LIT("b.test"), on_route, &last);
	route_cancel(&q);
	route_cancel(&q); /* nothing under way is fine */
	(void)ask("p4.test");
	cr_expect_eq(answered, 2);
	known = router_cached(router, SPAN_LIT("b.test"));
	cr_expect_not_null(known);
	route_unref(&known);
}

/* Questions outlive a reload, and get the answer of the new settings. */
Test(router, reload_begins_again)
{
	struct route *r[2] = { NULL };

	cr_expect_eq(ask("p4.test")->result, ROUTE_OK);
	names.is_silent = true;
	router_ask(router, SPAN_LIT("a.test"), on_route, &r[0]);
	router_ask(router, SPAN_LIT("p4.test"), on_route, &r[1]);
	ev_run(loop, EVRUN_NOWAIT | EVRUN_ONCE);
	load_config("a.test recipients=* primary=[192.0.2.6]:26\n"
		    "p4.test recipients=* primary=[192.0.2.7]\n");
	router_reload(router, config);
	run_until(3);
	cr_expect(span_eq(r[0]->key, SPAN_LIT("192.0.2.6:26 tls=may")));
	if (!span_eq(r[1]->key, SPAN_LIT("192.0.2.7:25 tls=may")))
		cr_expect(span_eq(r[1]->key, SPAN_LIT("192.0.2.5:25 tls=may")),
			  "answered before the reload");
	expect_key("p4.test", "192.0.2.7:25 tls=may");
	route_unref(&r[0]);
	route_unref(&r[1]);
}

/* DNS dies: the last good answer goes on, soon, and says what it is. */
Test(router, stale_is_better_than_none)
{
	int64_t begun;

	cr_expect_eq(ask("a.test")->result, ROUTE_OK);
	cr_expect_not(last->is_stale);
	names.is_silent = true;
	router_forget(router, SPAN_LIT("a.test"));
	cr_expect_null(router_cached(router, SPAN_LIT("a.test")));
	cr_expect(router_answers_soon(router, SPAN_LIT("a.test")));
	begun = clock_mono_ms();
	cr_expect_eq(ask("a.test")->result, ROUTE_OK);
	cr_expect_lt(clock_mono_ms() - begun, 5000);
	cr_expect(last->is_stale);
	cr_expect_eq(last->host_count, 1);
	cr_expect_gt(last->expires_ms, clock_mono_ms());
}

/* Whatever is under way goes with the router. */
Test(router, free_while_asking)
{
	names.is_silent = true;
	for (int i = 0; i < 50; i++)
		router_ask(router, SPAN_LIT("a.test"), on_route, &last);
	router_ask(router, SPAN_LIT("p1.test"), on_route, &last);
	for (int i = 0; i < 20; i++)
		ev_run(loop, EVRUN_NOWAIT);
	router_free(&router);
	cr_expect_null(router);
	cr_expect_eq(answered, 0);
}
