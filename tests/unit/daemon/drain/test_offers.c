/* What hosts said to EHLO, as it is held against mail that comes. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/offers.h"
#include "tests/support/drain_world.h"

static const int64_t now_ms = 1764300000000;

enum { UTF8 = 1, TLS = 2 };

static enum command_lack lack(struct world *w, const char *list, uint64_t size,
			      unsigned wants, int64_t at_ms)
{
	const struct envelope env = { .from = SPAN_LIT("a@s.example"),
				      .bytes = size,
				      .smtputf8 = wants & UTF8,
				      .requiretls = wants & TLS };
	const struct recipient rcpt = {
		.path = wants & UTF8 ? SPAN_LIT("\xc3\xbc@d0.example")
				     : SPAN_LIT("u@d0.example")
	};

	return offers_lack(w->spool, span_str(list), &env, &rcpt, at_ms);
}

static bool is_there(struct world *w, const char *name)
{
	struct spool_target t;

	return spool_target_get(w->spool, span_str(name), &t) == MX_OK;
}

static void said(struct world *w, const char *name, const char *ehlo,
		 int64_t at_ms)
{
	struct spool_target t = { .is_up = true,
				  .since_ms = 1,
				  .checked_ms = at_ms,
				  .ehlo_ms = at_ms };

	snprintf(t.name, sizeof(t.name), "%s", name);
	snprintf(t.ehlo, sizeof(t.ehlo), "%s", ehlo);
	spool_target_put(w->spool, &t);
}

Test(offers, what_is_lacked_is_by_the_last_ehlo_of_every_host)
{
	static const struct {
		const char *list;
		uint64_t size;
		unsigned wants;
		enum command_lack expected;
	} cases[] = {
		{ "small\n", 100000, 0, LACKS_NOTHING },
		{ "small\n", 100001, 0, LACKS_SIZE },
		{ "small\n", 100001, UTF8 | TLS, LACKS_SIZE },
		{ "small\n", 1, UTF8, LACKS_SMTPUTF8 },
		{ "small\n", 1, TLS, LACKS_REQUIRETLS },
		{ "all\n", UINT64_MAX, UTF8 | TLS, LACKS_NOTHING },
		/* no limit, none that can be meant, and none that is one */
		{ "zero\n", UINT64_MAX, 0, LACKS_NOTHING },
		{ "tiny\n", UINT64_MAX, 0, LACKS_NOTHING },
		{ "huge\n", UINT64_MAX, 0, LACKS_NOTHING },
		{ "garbage\n", UINT64_MAX, 0, LACKS_NOTHING },
		{ "garbage\n", 1, UTF8, LACKS_SMTPUTF8 },
		/* it only knows HELO: that is known, too */
		{ "helo\n", UINT64_MAX, 0, LACKS_NOTHING },
		{ "helo\n", 1, TLS, LACKS_REQUIRETLS },
		/* all of the hosts */
		{ "small\nall\n", 100001, UTF8 | TLS, LACKS_NOTHING },
		{ "all\nsmall\n", 100001, 0, LACKS_NOTHING },
		{ "small\nmiddle\n", 150000, 0, LACKS_NOTHING },
		{ "small\nmiddle\n", 200001, 0, LACKS_SIZE },
		{ "small\nunheard\n", 100001, 0, LACKS_NOTHING },
		{ "unheard\nsmall\n", 1, UTF8, LACKS_NOTHING },
		{ "small\nold\n", 200001, 0, LACKS_NOTHING },
		{ "small\nsilent\n", 200001, 0, LACKS_NOTHING },
		/* another address of a host speaks for it; the last word counts */
		{ "unheard small\n", 100001, 0, LACKS_SIZE },
		{ "small middle\n", 150000, 0, LACKS_NOTHING },
		{ "middle small\n", 200001, 0, LACKS_SIZE },
		/* nothing is known */
		{ "", UINT64_MAX, UTF8 | TLS, LACKS_NOTHING },
		{ "unheard\n", UINT64_MAX, UTF8 | TLS, LACKS_NOTHING },
	};
	struct world w;

	world_begin(&w, "", NULL);
	said(&w, "small", "PIPELINING SIZE=100000 8BITMIME", now_ms - DAYS(2));
	said(&w, "middle", "SIZE=200000", now_ms - DAYS(1));
	said(&w, "all", "SIZE SMTPUTF8 REQUIRETLS", now_ms);
	said(&w, "zero", "SIZE=0", now_ms);
	said(&w, "tiny", "SIZE=1000", now_ms);
	said(&w, "huge", "SIZE=99999999999999999999999", now_ms);
	said(&w, "garbage", "SIZE=-1 SIZE= =5 smtputf8 XSIZE=70000", now_ms);
	said(&w, "helo", "", now_ms);
	said(&w, "old", "SIZE=70000", now_ms - DAYS(8));
	said(&w, "silent", "", 0);
	WAIT_FOR(&w, is_there(&w, "silent"));
	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(lack(&w, cases[i].list, cases[i].size,
				  cases[i].wants, now_ms),
			     cases[i].expected, "%zu: %s", i, cases[i].list);
	world_end(&w);
}

Test(offers, are_believed_for_a_week)
{
	struct world w;

	world_begin(&w, "", NULL);
	said(&w, "mx", "SIZE=100000", now_ms);
	WAIT_FOR(&w, is_there(&w, "mx"));
	cr_expect_eq(lack(&w, "mx\n", 100001, 0, now_ms + DAYS(7)), LACKS_SIZE);
	cr_expect_eq(lack(&w, "mx\n", 100001, 0, now_ms + DAYS(7) + 1),
		     LACKS_NOTHING);
	/* the clock went back: it may be as old as can be */
	cr_expect_eq(lack(&w, "mx\n", 100001, 0, now_ms - MINUTES(1)),
		     LACKS_SIZE);
	cr_expect_eq(lack(&w, "mx\n", 100001, 0, now_ms - DAYS(1)),
		     LACKS_NOTHING);
	world_end(&w);
}

/* ---- The whole way: a connection, a restart, no mail ---- */

static enum command_lack large(struct world *w, const char *domain)
{
	const struct envelope env = { .from = SPAN_LIT("a@s.example"),
				      .bytes = 100001 };
	const struct recipient rcpt = { .path = SPAN_LIT("u@d0.example") };

	return drain_lacks(w->drain, span_str(domain), &env, &rcpt);
}

static bool is_remembered(struct world *w, const char *domain)
{
	struct buf key = { 0 }, value = { 0 };
	bool is;

	buf_addf(&key, "hosts:%s", domain);
	is = spool_fact_get(w->spool, buf_span(&key), &value) == MX_OK;
	buf_fini(&key);
	buf_fini(&value);
	return is;
}

Test(offers, outlive_the_mail_and_a_restart)
{
	struct world w;
	struct domain *dom;

	world_begin(&w, "", NULL);
	w.peer->opt.ehlo = "SIZE 100000\nPIPELINING";
	cr_expect_eq(large(&w, "d0.example"), LACKS_NOTHING);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	WAIT_FOR(&w, is_remembered(&w, "d0.example"));
	WAIT_FOR(&w, large(&w, "d0.example") == LACKS_SIZE);
	cr_expect_eq(large(&w, "away.example"), LACKS_NOTHING);
	drain_free(&w.drain);
	world_start_drain(&w);
	dom = domain_find(w.drain, SPAN_LIT("d0.example"));
	cr_assert_null(dom);
	cr_expect_eq(large(&w, "d0.example"), LACKS_SIZE);
	world_end(&w);
}

/* A primary that was mended is believed with its next EHLO. */
Test(offers, the_next_connection_renews_them)
{
	struct world w;

	world_begin(&w, "", NULL);
	w.peer->opt.ehlo = "SIZE 100000";
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, large(&w, "d0.example") == LACKS_SIZE);
	WAIT_FOR(&w, world_queued(&w) == 0);
	w.peer->opt.ehlo = "SIZE 200000";
	peer_say(w.peer, PEER_CLOSE);
	WAIT_FOR(&w, w.peer->open == 0);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, large(&w, "d0.example") == LACKS_NOTHING);
	WAIT_FOR(&w, world_queued(&w) == 0);
	world_end(&w);
}

Test(offers, which_hosts_a_domain_had_is_forgotten)
{
	const struct span key = SPAN_LIT("hosts:d0.example");

	cr_expect_not(offers_is_over(key, SPAN_LIT("1764300000 \nmx[::1]:25\n"),
				     now_ms + DAYS(7)));
	cr_expect(offers_is_over(key, SPAN_LIT("1764300000 \nmx[::1]:25\n"),
				 now_ms + DAYS(7) + SECONDS(1)));
	cr_expect(offers_is_over(key, SPAN_LIT("what"), now_ms));
	cr_expect_not(offers_is_over(SPAN_LIT("brake:d0.example"),
				     SPAN_LIT("what"), now_ms));
}
