/* Which MX hosts remain, in which order, and what it comes to: RFC 5321
 * section 5.1, RFC 7505. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "daemon/route/choose.h"

enum { RECORDS_MOST = 40 };

/* A set of records as a text: "10 a.test,20 b.test". */
struct records {
	unsigned char wire[RECORDS_MOST][300];
	struct span rdata[RECORDS_MOST];
	size_t count;
};

static void add_record(struct records *r, unsigned preference, struct span name)
{
	unsigned char *p = r->wire[r->count];
	size_t n = 0;

	p[n++] = (unsigned char)(preference >> 8);
	p[n++] = (unsigned char)preference;
	while (name.n > 0) {
		struct span label = span_cut(&name, '.');

		p[n++] = (unsigned char)label.n;
		memcpy(p + n, label.p, label.n);
		n += label.n;
	}
	p[n++] = 0;
	r->rdata[r->count++] = span_of(p, n);
}

static void read_records(struct records *r, const char *text)
{
	struct span all = span_str(text);

	r->count = 0;
	while (all.n > 0) {
		struct span name = span_cut(&all, ','), digits;
		uint64_t preference = 0;

		digits = span_cut(&name, ' ');
		cr_assert(span_u64(digits, &preference));
		add_record(r, (unsigned)preference,
			   span_eq(name, SPAN_LIT(".")) ? SPAN_LIT("") : name);
	}
}

static struct net_addr addr(const char *text)
{
	struct net_addr a;

	cr_assert_eq(net_endpoint_parse(span_str(text), ':', 25, &a), MX_OK,
		     "%s", text);
	return a;
}

/* This host is me.test, also known as other.test and 192.0.2.77, and listens
 * on 127.0.0.1:25.  Its own address is 192.0.2.99. */
struct fixture {
	struct records records;
	struct arena arena;
	struct self self;
	struct span names[2];
	struct net_addr aliases[1], listen[1], host[2];
	struct net_cidr allowed[2];
	struct choice choice;
};

static void setup(struct fixture *f, enum route_source source)
{
	*f = (struct fixture){ 0 };
	f->names[0] = SPAN_LIT("me.test");
	f->names[1] = SPAN_LIT("other.test");
	f->aliases[0] = addr("192.0.2.77");
	f->listen[0] = addr("127.0.0.1:25");
	f->host[0] = addr("127.0.0.1");
	f->host[1] = addr("192.0.2.99");
	f->self = (struct self){ .names = f->names,
				 .name_count = 2,
				 .aliases = f->aliases,
				 .alias_count = 1,
				 .listen = f->listen,
				 .host = f->host,
				 .host_count = 2,
				 .listen_count = 1 };
	f->choice = (struct choice){ .arena = &f->arena,
				     .self = &f->self,
				     .source = source };
}

static void allow(struct fixture *f, const char *one, const char *other)
{
	const char *texts[] = { one, other };

	f->self.allowed = f->allowed;
	for (size_t i = 0; i < COUNT(texts) && texts[i] != NULL; i++)
		cr_assert_eq(net_cidr_parse(span_str(texts[i]),
					    &f->allowed[i]),
			     MX_OK);
	f->self.allowed_count = other != NULL ? 2 : 1;
}

static bool read_mx(struct fixture *f, const char *records)
{
	struct dns_answer mx = { .status = DNS_OK };

	read_records(&f->records, records);
	mx.rdata = f->records.rdata;
	mx.count = f->records.count;
	return choice_read_mx(&f->choice, &mx, 25);
}

/* Addresses by family, as the resolver would have given them. */
static void give(struct fixture *f, const char *host, const char *addrs)
{
	struct span all = span_str(addrs);

	for (size_t i = 0; i < f->choice.count; i++) {
		struct candidate *h = &f->choice.hosts[i];

		if (!span_eq(h->name, span_str(host)))
			continue;
		h->v4.status = h->v6.status = DNS_NODATA;
		for (struct span rest = all; rest.n > 0;) {
			struct span one = span_cut(&rest, ' ');
			struct net_addr a;
			struct choice_addrs *to;

			cr_assert_eq(net_addr_parse(one, &a), MX_OK);
			to = a.family == AF_INET ? &h->v4 : &h->v6;
			to->status = DNS_OK;
			to->addrs[to->count++] = a;
		}
	}
}

static void give_status(struct fixture *f, const char *host, enum dns_status v4,
			enum dns_status v6)
{
	give(f, host, "");
	for (size_t i = 0; i < f->choice.count; i++) {
		if (!span_eq(f->choice.hosts[i].name, span_str(host)))
			continue;
		f->choice.hosts[i].v4.status = v4;
		f->choice.hosts[i].v6.status = v6;
	}
}

/* "a.test b.test": who is used, in the order of trial. */
static void expect_order(struct fixture *f, const char *want)
{
	struct buf got = { 0 };

	for (size_t i = 0; i < f->choice.count; i++) {
		const struct candidate *h = f->choice.order[i];

		if (h->fate == ROUTE_USED)
			buf_addf(&got, "%s%.*s", got.n > 0 ? " " : "",
				 SPAN_ARG(h->name));
	}
	cr_expect_str_eq(buf_cstr(&got), want);
	buf_fini(&got);
}

static void expect_fate(struct fixture *f, const char *host,
			enum route_fate want)
{
	for (size_t i = 0; i < f->choice.count; i++) {
		const struct candidate *h = &f->choice.hosts[i];

		if (span_eq(h->name, span_str(host))) {
			cr_expect_eq(h->fate, want, "%s: %s", host,
				     route_fate_name(h->fate));
			return;
		}
	}
	cr_expect(false, "%s is not in the set", host);
}

static enum route_result result(struct fixture *f, const char *reason)
{
	struct buf text = { 0 };
	enum route_result r =
		choice_result(&f->choice, SPAN_LIT("d.test"), &text);

	if (reason != NULL)
		cr_expect_str_eq(buf_cstr(&text), reason);
	buf_fini(&text);
	return r;
}

static void teardown(struct fixture *f)
{
	arena_reset(&f->arena);
}

Test(choose, preference_decides)
{
	struct fixture f;

	setup(&f, ROUTE_FROM_MX);
	cr_assert(read_mx(&f, "30 c.test,10 A.Test,20 b.test,65535 z.test"));
	give(&f, "a.test", "192.0.2.1");
	give(&f, "b.test", "192.0.2.2");
	give(&f, "c.test", "192.0.2.3");
	give(&f, "z.test", "192.0.2.4");
	choice_settle(&f.choice, 1);
	expect_order(&f, "a.test b.test c.test z.test");
	cr_expect_eq(result(&f, ""), ROUTE_OK);
	teardown(&f);
}

/* RFC 5321 section 5.1: each equal comes first now and then, and never leaves
 * its rank. */
Test(choose, equals_are_shuffled_within_their_rank)
{
	unsigned first[3] = { 0 };

	for (uint64_t seed = 0; seed < 300; seed++) {
		struct fixture f;

		setup(&f, ROUTE_FROM_MX);
		cr_assert(read_mx(&f, "5 best.test,10 a.test,10 b.test,"
				      "10 c.test,20 last.test"));
		give(&f, "best.test", "192.0.2.1");
		give(&f, "a.test", "192.0.2.1");
		give(&f, "b.test", "192.0.2.1");
		give(&f, "c.test", "192.0.2.1");
		give(&f, "last.test", "192.0.2.1");
		choice_settle(&f.choice, seed);
		cr_assert(span_eq(f.choice.order[0]->name,
				  SPAN_LIT("best.test")));
		cr_assert(span_eq(f.choice.order[4]->name,
				  SPAN_LIT("last.test")));
		first[f.choice.order[1]->name.p[0] - 'a']++;
		teardown(&f);
	}
	for (size_t i = 0; i < COUNT(first); i++)
		cr_expect(first[i] > 60 && first[i] < 140, "%u", first[i]);
}

Test(choose, a_name_counts_once_with_its_best_preference)
{
	struct fixture f;

	setup(&f, ROUTE_FROM_MX);
	cr_assert(read_mx(&f, "20 a.test,10 b.test,10 A.TEST,30 a.test"));
	cr_assert_eq(f.choice.count, 2);
	cr_expect_eq(f.choice.hosts[0].preference, 10);
	cr_expect_eq(f.choice.hosts[1].preference, 10);
	teardown(&f);
}

Test(choose, null_mx_stands_alone)
{
	struct fixture f;

	setup(&f, ROUTE_FROM_MX);
	cr_expect_not(read_mx(&f, "0 ."));
	teardown(&f);
	setup(&f, ROUTE_FROM_MX);
	cr_expect(read_mx(&f, "0 .,10 a.test"));
	give(&f, "a.test", "192.0.2.1");
	choice_settle(&f.choice, 1);
	expect_order(&f, "a.test");
	teardown(&f);
}

Test(choose, this_host_by_name_ends_the_list)
{
	struct fixture f;

	setup(&f, ROUTE_FROM_MX);
	cr_assert(read_mx(&f, "10 a.test,20 me.test,20 b.test,30 c.test"));
	give(&f, "a.test", "192.0.2.1");
	choice_settle(&f.choice, 1);
	expect_order(&f, "a.test");
	expect_fate(&f, "me.test", ROUTE_IS_SELF);
	expect_fate(&f, "b.test", ROUTE_IS_WORSE); /* equal: as good as we */
	expect_fate(&f, "c.test", ROUTE_IS_WORSE);
	teardown(&f);
}

Test(choose, aliases_are_this_host_too)
{
	struct fixture f;

	setup(&f, ROUTE_FROM_MX);
	cr_assert(read_mx(&f, "10 a.test,15 OTHER.test,20 b.test"));
	give(&f, "a.test", "192.0.2.1");
	choice_settle(&f.choice, 1);
	expect_order(&f, "a.test");
	teardown(&f);

	setup(&f, ROUTE_FROM_MX);
	cr_assert(read_mx(&f, "10 a.test,15 nat.test,20 b.test"));
	give(&f, "a.test", "192.0.2.1");
	give(&f, "nat.test", "192.0.2.5 192.0.2.77");
	give(&f, "b.test", "192.0.2.6");
	choice_settle(&f.choice, 1);
	expect_order(&f, "a.test");
	expect_fate(&f, "nat.test", ROUTE_IS_SELF);
	teardown(&f);
}

/* An address is ours with the port we listen on, and only with that. */
Test(choose, this_host_by_address_and_port)
{
	struct fixture f;

	setup(&f, ROUTE_FROM_MX);
	cr_assert(read_mx(&f, "10 a.test,20 b.test"));
	give(&f, "a.test", "127.0.0.1");
	give(&f, "b.test", "192.0.2.6");
	choice_settle(&f.choice, 1);
	expect_order(&f, "");
	cr_expect_eq(result(&f, "no mail exchanger of d.test is better than "
				"this host"),
		     ROUTE_SELF);
	teardown(&f);

	setup(&f, ROUTE_FROM_MX);
	f.listen[0].port = 2525;
	allow(&f, "127.0.0.0/8", NULL);
	cr_assert(read_mx(&f, "10 a.test,20 b.test"));
	give(&f, "a.test", "127.0.0.1");
	give(&f, "b.test", "192.0.2.6");
	choice_settle(&f.choice, 1);
	expect_order(&f, "a.test b.test");
	teardown(&f);
}

/* An alias may lead to our own name. */
Test(choose, this_host_behind_a_cname)
{
	struct fixture f;

	setup(&f, ROUTE_FROM_MX);
	cr_assert(read_mx(&f, "10 alias.test,20 b.test"));
	give(&f, "alias.test", "198.51.100.1");
	give(&f, "b.test", "192.0.2.6");
	f.choice.hosts[0].v4.canon = SPAN_LIT("me.test");
	choice_settle(&f.choice, 1);
	expect_order(&f, "");
	teardown(&f);
}

Test(choose, what_is_no_host_name_is_skipped)
{
	struct fixture f;

	setup(&f, ROUTE_FROM_MX);
	cr_assert(read_mx(&f, "5 192.0.2.9,10 a.test,7 b a d.test"));
	give(&f, "a.test", "192.0.2.1");
	choice_settle(&f.choice, 1);
	expect_order(&f, "a.test");
	expect_fate(&f, "192.0.2.9", ROUTE_NOT_A_NAME);
	expect_fate(&f, "b?a?d.test", ROUTE_NOT_A_NAME);
	teardown(&f);
}

/* One dead MX drops that MX; one that cannot be seen now waits alone. */
Test(choose, look_ups_fail_per_host)
{
	static const struct {
		enum dns_status v4, v6;
		enum route_fate fate;
	} cases[] = {
		{ DNS_NXDOMAIN, DNS_NXDOMAIN, ROUTE_NO_ADDRESS },
		{ DNS_NODATA, DNS_NODATA, ROUTE_NO_ADDRESS },
		{ DNS_NODATA, DNS_SERVFAIL, ROUTE_UNKNOWN_NOW },
		{ DNS_SERVFAIL, DNS_NODATA, ROUTE_UNKNOWN_NOW },
		{ DNS_TIMEOUT, DNS_TIMEOUT, ROUTE_UNKNOWN_NOW },
		/* the name is there after all, or may be */
		{ DNS_NXDOMAIN, DNS_NODATA, ROUTE_NO_ADDRESS },
		{ DNS_NXDOMAIN, DNS_SERVFAIL, ROUTE_UNKNOWN_NOW },
		{ DNS_TIMEOUT, DNS_NXDOMAIN, ROUTE_UNKNOWN_NOW },
		{ DNS_NXDOMAIN, DNS_BOGUS, ROUTE_UNKNOWN_NOW },
		{ DNS_BOGUS, DNS_NODATA, ROUTE_UNKNOWN_NOW },
		{ DNS_NODATA, DNS_BOGUS, ROUTE_UNKNOWN_NOW },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fixture f;
		enum route_result alone;

		setup(&f, ROUTE_FROM_MX);
		cr_assert(read_mx(&f, "10 dead.test,20 b.test"));
		give_status(&f, "dead.test", cases[i].v4, cases[i].v6);
		give(&f, "b.test", "192.0.2.2");
		choice_settle(&f.choice, 1);
		expect_order(&f, "b.test");
		expect_fate(&f, "dead.test", cases[i].fate);
		teardown(&f);

		/* alone, the kind of failure is the route's */
		setup(&f, ROUTE_FROM_MX);
		cr_assert(read_mx(&f, "10 dead.test"));
		give_status(&f, "dead.test", cases[i].v4, cases[i].v6);
		choice_settle(&f.choice, 1);
		alone = cases[i].fate == ROUTE_UNKNOWN_NOW ? ROUTE_TRANSIENT
							   : ROUTE_PERMANENT;
		cr_expect_eq(result(&f, NULL), alone, "case %zu", i);
		teardown(&f);
	}
}

/* What we are not better than is no way out, dead or not. */
Test(choose, dead_primaries_before_this_host_hold_the_mail)
{
	struct fixture f;

	setup(&f, ROUTE_FROM_MX);
	cr_assert(read_mx(&f, "10 dead.test,20 me.test,30 b.test"));
	give_status(&f, "dead.test", DNS_NXDOMAIN, DNS_NXDOMAIN);
	choice_settle(&f.choice, 1);
	cr_expect_eq(result(&f, NULL), ROUTE_SELF);
	teardown(&f);

	setup(&f, ROUTE_FROM_MX);
	cr_assert(read_mx(&f, "10 away.test,20 me.test"));
	give_status(&f, "away.test", DNS_SERVFAIL, DNS_SERVFAIL);
	choice_settle(&f.choice, 1);
	cr_expect_eq(result(&f, "away.test: not used now: SERVFAIL for its "
				"addresses"),
		     ROUTE_TRANSIENT);
	teardown(&f);
}

/* Half of the answer is enough to go by, a forged half is not. */
Test(choose, one_family_may_fail)
{
	static const enum dns_status halves[] = { DNS_SERVFAIL, DNS_TIMEOUT,
						  DNS_NXDOMAIN };
	struct fixture f;

	for (size_t i = 0; i < COUNT(halves); i++) {
		setup(&f, ROUTE_FROM_MX);
		cr_assert(read_mx(&f, "10 a.test"));
		give(&f, "a.test", "192.0.2.1");
		f.choice.hosts[0].v4.secure = true;
		f.choice.hosts[0].v6.status = halves[i];
		choice_settle(&f.choice, 1);
		expect_order(&f, "a.test");
		cr_expect_eq(f.choice.note_count, 1);
		/* DANE goes by the addresses that are used */
		cr_expect_eq(f.choice.hosts[0].addr_dnssec, ROUTE_SECURE);
		teardown(&f);
	}

	setup(&f, ROUTE_FROM_MX);
	cr_assert(read_mx(&f, "10 a.test"));
	give(&f, "a.test", "192.0.2.1");
	f.choice.hosts[0].v6.status = DNS_BOGUS;
	choice_settle(&f.choice, 1);
	expect_order(&f, "");
	cr_expect_eq(f.choice.hosts[0].addr_dnssec, ROUTE_BOGUS);
	teardown(&f);
}

/* IPv6 and IPv4 are both among the first two attempts. */
Test(choose, families_take_turns)
{
	static const struct {
		bool has_ipv6;
		const char *addrs, *want;
	} cases[] = {
		{ true, "192.0.2.1 192.0.2.2 192.0.2.3 2001:db8::1",
		  "[2001:db8::1]:25 192.0.2.1:25 192.0.2.2:25 192.0.2.3:25 " },
		{ false, "2001:db8::1 2001:db8::2 192.0.2.1",
		  "192.0.2.1:25 [2001:db8::1]:25 [2001:db8::2]:25 " },
		{ true, "192.0.2.9 192.0.2.1", "192.0.2.9:25 192.0.2.1:25 " },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf got = { 0 };
		struct fixture f;

		setup(&f, ROUTE_FROM_MX);
		f.self.has_ipv6 = cases[i].has_ipv6;
		cr_assert(read_mx(&f, "10 a.test"));
		give(&f, "a.test", cases[i].addrs);
		choice_settle(&f.choice, 1);
		for (size_t k = 0; k < f.choice.hosts[0].addr_count; k++) {
			net_endpoint_add(&got, &f.choice.hosts[0].addrs[k]);
			buf_addc(&got, ' ');
		}
		cr_expect_str_eq(buf_cstr(&got), cases[i].want);
		buf_fini(&got);
		teardown(&f);
	}
}

Test(choose, what_others_can_make_large_is_bounded)
{
	struct fixture f;
	struct buf text = { 0 };
	size_t used = 0;

	for (int i = 0; i < RECORDS_MOST; i++)
		buf_addf(&text, "%s10 m%d.test", i > 0 ? "," : "", i);
	setup(&f, ROUTE_FROM_MX);
	cr_assert(read_mx(&f, buf_cstr(&text)));
	for (size_t i = 0; i < f.choice.count; i++)
		used += f.choice.hosts[i].fate == ROUTE_USED;
	cr_expect_eq(used, CHOOSE_HOSTS_MAX);
	for (size_t i = 0; i < CHOOSE_ADDRS_MAX; i++) {
		f.choice.hosts[0].v4.addrs[f.choice.hosts[0].v4.count++] =
			addr("192.0.2.1");
		f.choice.hosts[0].v6.addrs[f.choice.hosts[0].v6.count++] =
			addr("[2001:db8::1]");
	}
	choice_settle(&f.choice, 1);
	cr_expect_eq(f.choice.hosts[0].addr_count, CHOOSE_ADDRS_MAX);
	buf_fini(&text);
	teardown(&f);
}

/* We may be the last address of a large pool, and only some are kept. */
Test(choose, this_host_by_an_address_that_is_not_kept)
{
	unsigned char ip[40][4] = { { 0 } };
	struct span rdata[COUNT(ip)];
	struct dns_answer pool = { .status = DNS_OK,
				   .rdata = rdata,
				   .count = COUNT(ip) };
	struct fixture f;

	for (size_t i = 0; i < COUNT(ip); i++) {
		ip[i][0] = 198, ip[i][1] = 51, ip[i][2] = 100;
		ip[i][3] = (unsigned char)i;
		rdata[i] = span_of(ip[i], sizeof(ip[i]));
	}
	memcpy(ip[COUNT(ip) - 1], (unsigned char[]){ 192, 0, 2, 77 }, 4);
	setup(&f, ROUTE_FROM_MX);
	cr_assert(read_mx(&f, "10 best.test,20 pool.test,30 worse.test"));
	give(&f, "best.test", "192.0.2.1");
	give(&f, "worse.test", "192.0.2.3");
	choice_read_addrs(&f.choice, &f.choice.hosts[1], DNS_A, &pool);
	choice_settle(&f.choice, 1);
	cr_expect_eq(f.choice.hosts[0].fate, ROUTE_USED);
	cr_expect_eq(f.choice.hosts[1].fate, ROUTE_IS_SELF);
	cr_expect_eq(f.choice.hosts[2].fate, ROUTE_IS_WORSE);
	teardown(&f);
}

/* A second server on this machine is a legitimate primary; the port we listen
 * on ourselves is not. */
Test(choose, hosts_the_operator_named)
{
	const struct config_hop hops[] = {
		{ .host = SPAN_LIT("me.test"), .port = 2526 },
		{ .addr = { .family = AF_INET, .ip = { 192, 0, 2, 77 } },
		  .port = 25 },
		{ .addr = { .family = AF_INET, .ip = { 127, 0, 0, 1 } },
		  .port = 25 },
		{ .host = SPAN_LIT("late.test"), .port = 25 },
	};
	struct fixture f;

	setup(&f, ROUTE_FROM_PRIMARY);
	choice_read_hops(&f.choice, hops, COUNT(hops));
	give(&f, "me.test", "127.0.0.1");
	give(&f, "late.test", "192.0.2.1");
	choice_settle(&f.choice, 1);
	cr_expect_eq(f.choice.hosts[0].fate, ROUTE_USED);
	cr_expect_eq(f.choice.hosts[1].fate, ROUTE_USED);
	cr_expect_eq(f.choice.hosts[2].fate, ROUTE_IS_SELF);
	cr_expect_eq(f.choice.hosts[3].fate, ROUTE_IS_WORSE);
	teardown(&f);

	/* a slip of the operator's bounces nothing */
	setup(&f, ROUTE_FROM_PRIMARY);
	choice_read_hops(&f.choice, &hops[3], 1);
	give_status(&f, "late.test", DNS_NXDOMAIN, DNS_NXDOMAIN);
	choice_settle(&f.choice, 1);
	cr_expect_eq(result(&f, "primary= of d.test has no address"),
		     ROUTE_TRANSIENT);
	teardown(&f);
}

Test(choose, without_mx_the_domain_itself)
{
	struct fixture f;

	setup(&f, ROUTE_FROM_MX);
	choice_read_domain(&f.choice, SPAN_LIT("d.test"), 25);
	give(&f, "d.test", "192.0.2.1");
	choice_settle(&f.choice, 1);
	expect_order(&f, "d.test");
	teardown(&f);

	setup(&f, ROUTE_FROM_MX);
	choice_read_domain(&f.choice, SPAN_LIT("d.test"), 25);
	give(&f, "d.test", "");
	choice_settle(&f.choice, 1);
	cr_expect_eq(result(&f, "d.test has neither MX nor address"),
		     ROUTE_PERMANENT);
	teardown(&f);

	setup(&f, ROUTE_FROM_MX);
	choice_read_domain(&f.choice, SPAN_LIT("d.test"), 25);
	give_status(&f, "d.test", DNS_NXDOMAIN, DNS_NXDOMAIN);
	choice_settle(&f.choice, 1);
	cr_expect_eq(result(&f, "NXDOMAIN for d.test"), ROUTE_PERMANENT);
	teardown(&f);
}

Test(choose, malformed_records_do_not_count)
{
	static const unsigned char cut[] = { 0, 10, 3, 'a', 'b' };
	static const unsigned char tail[] = { 0, 10, 1, 'a', 0, 0 };
	static const unsigned char pointer[] = { 0, 10, 0xc0, 0 };
	const struct span rdata[] = {
		{ (const char *)cut, sizeof(cut) },
		{ (const char *)tail, sizeof(tail) },
		{ (const char *)pointer, sizeof(pointer) },
		{ (const char *)cut, 1 },
	};
	struct dns_answer mx = { .status = DNS_OK,
				 .rdata = rdata,
				 .count = COUNT(rdata) };
	struct fixture f;

	setup(&f, ROUTE_FROM_MX);
	cr_expect(choice_read_mx(&f.choice, &mx, 25));
	cr_expect_eq(f.choice.count, 0);
	choice_settle(&f.choice, 1);
	cr_expect_eq(result(&f, NULL), ROUTE_PERMANENT);
	teardown(&f);
}

/* ---- Addresses that strangers may not lead us to ---- */

/* What becomes of a host whose only address it is. */
static enum route_fate fate_at(struct fixture *f, const char *address)
{
	enum route_fate fate;

	cr_assert(read_mx(f, "10 a.test"));
	give(f, "a.test", address);
	choice_settle(&f->choice, 1);
	fate = f->choice.hosts[0].fate;
	return fate;
}

Test(choose, addresses_that_are_not_public_are_shunned)
{
	static const struct {
		const char *address;
		enum route_fate fate;
	} cases[] = {
		{ "0.0.0.0", ROUTE_NOT_PUBLIC },
		{ "10.0.0.5", ROUTE_NOT_PUBLIC },
		{ "100.63.255.255", ROUTE_USED },
		{ "100.64.0.1", ROUTE_NOT_PUBLIC },
		{ "100.127.255.255", ROUTE_NOT_PUBLIC },
		{ "100.128.0.1", ROUTE_USED },
		{ "127.0.0.2", ROUTE_NOT_PUBLIC },
		{ "169.254.169.254", ROUTE_NOT_PUBLIC },
		{ "172.15.255.255", ROUTE_USED },
		{ "172.16.0.1", ROUTE_NOT_PUBLIC },
		{ "172.31.255.255", ROUTE_NOT_PUBLIC },
		{ "172.32.0.1", ROUTE_USED },
		{ "192.0.0.192", ROUTE_NOT_PUBLIC },
		{ "192.168.1.1", ROUTE_NOT_PUBLIC },
		{ "192.0.2.99", ROUTE_NOT_PUBLIC }, /* ours, another port */
		{ "192.0.2.98", ROUTE_USED },
		{ "198.51.100.1", ROUTE_USED },
		{ "224.0.0.1", ROUTE_NOT_PUBLIC },
		{ "239.255.255.255", ROUTE_NOT_PUBLIC },
		{ "255.255.255.255", ROUTE_NOT_PUBLIC },
		{ "::", ROUTE_NOT_PUBLIC },
		{ "::1", ROUTE_NOT_PUBLIC },
		{ "::127.0.0.1", ROUTE_NOT_PUBLIC },
		{ "::ffff:127.0.0.2", ROUTE_NOT_PUBLIC },
		{ "::ffff:10.0.0.5", ROUTE_NOT_PUBLIC },
		{ "::ffff:198.51.100.1", ROUTE_USED },
		{ "64:ff9b::10.0.0.5", ROUTE_NOT_PUBLIC },
		{ "64:ff9b::198.51.100.1", ROUTE_USED },
		{ "64:ff9b:1::1", ROUTE_NOT_PUBLIC },
		{ "2002:7f00:1::1", ROUTE_NOT_PUBLIC },
		{ "2002:c633:6401::1", ROUTE_USED },
		{ "2001:db8::1", ROUTE_USED },
		{ "fc00::1", ROUTE_NOT_PUBLIC },
		{ "fdff::1", ROUTE_NOT_PUBLIC },
		{ "fe80::1", ROUTE_NOT_PUBLIC },
		{ "fec0::1", ROUTE_NOT_PUBLIC },
		{ "ff02::1", ROUTE_NOT_PUBLIC },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fixture f;

		setup(&f, ROUTE_FROM_MX);
		cr_expect_eq(fate_at(&f, cases[i].address), cases[i].fate,
			     "%s", cases[i].address);
		teardown(&f);
	}
}

Test(choose, listed_private_networks_are_used)
{
	static const char *const used[] = {
		"127.0.0.2", "10.0.0.5", "::ffff:10.0.0.5", "64:ff9b::a00:5",
	};
	struct fixture f;

	for (size_t i = 0; i < COUNT(used); i++) {
		setup(&f, ROUTE_FROM_MX);
		allow(&f, "127.0.0.0/8", "10.0.0.0/16");
		cr_expect_eq(fate_at(&f, used[i]), ROUTE_USED, "%s", used[i]);
		teardown(&f);
	}
	setup(&f, ROUTE_FROM_MX);
	allow(&f, "127.0.0.0/8", "10.0.0.0/16");
	cr_expect_eq(fate_at(&f, "10.1.0.5"), ROUTE_NOT_PUBLIC);
	teardown(&f);
}

Test(choose, unspecified_addresses_are_never_used)
{
	static const char *const never[] = { "0.0.0.0", "0.1.2.3", "::",
					     "::ffff:0.0.0.0" };
	struct config_hop hop = { .host = SPAN_LIT("a.test"), .port = 25 };
	struct fixture f;

	for (size_t i = 0; i < COUNT(never); i++) {
		setup(&f, ROUTE_FROM_MX);
		allow(&f, "0.0.0.0/0", "::/0");
		cr_expect_eq(fate_at(&f, never[i]), ROUTE_NOT_PUBLIC, "%s",
			     never[i]);
		teardown(&f);
	}
	setup(&f, ROUTE_FROM_PRIMARY);
	choice_read_hops(&f.choice, &hop, 1);
	give(&f, "a.test", "0.0.0.0");
	choice_settle(&f.choice, 1);
	cr_expect_eq(result(&f, "a.test: not used: an unspecified address"),
		     ROUTE_TRANSIENT);
	teardown(&f);
}

/* The others of a host, and other hosts, go on; each has its note. */
Test(choose, a_shunned_address_leaves_the_others)
{
	struct fixture f;

	setup(&f, ROUTE_FROM_MX);
	cr_assert(read_mx(&f, "10 a.test,20 b.test"));
	give(&f, "a.test", "10.0.0.5");
	give(&f, "b.test", "127.0.0.1 198.51.100.1");
	f.listen[0].port = 2525;
	choice_settle(&f.choice, 1);
	expect_order(&f, "b.test");
	cr_assert_eq(f.choice.hosts[1].addr_count, 1);
	cr_expect_eq(f.choice.note_count, 2);
	cr_expect(span_eq(f.choice.notes[0].text,
			  SPAN_LIT("10.0.0.5 not used: a private address, and "
				   "dns.private does not list it")),
		  "%.*s", SPAN_ARG(f.choice.notes[0].text));
	teardown(&f);
}

/* Not this host's finding of itself, and not an address without a reason. */
Test(choose, nothing_but_shunned_addresses_is_a_denial)
{
	struct fixture f;

	setup(&f, ROUTE_FROM_MX);
	cr_assert(read_mx(&f, "10 a.test,20 me.test"));
	give(&f, "a.test", "10.0.0.5");
	choice_settle(&f.choice, 1);
	cr_expect_eq(result(&f, "a.test: not used: a private address, and "
				"dns.private does not list it"),
		     ROUTE_PERMANENT);
	teardown(&f);
}

/* What the operator wrote down, or what his names lead to. */
Test(choose, hosts_of_the_operator_are_never_shunned)
{
	struct config_hop hop = { .host = SPAN_LIT("a.test"), .port = 25 };
	struct fixture f;

	setup(&f, ROUTE_FROM_PRIMARY);
	choice_read_hops(&f.choice, &hop, 1);
	give(&f, "a.test", "127.0.0.2 10.0.0.5 192.0.2.99");
	choice_settle(&f.choice, 1);
	expect_order(&f, "a.test");
	cr_expect_eq(f.choice.hosts[0].addr_count, 3);
	teardown(&f);
}
