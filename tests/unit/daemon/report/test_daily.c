/* Digests become mail of the spool: one a day, whatever is restarted. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/report/daily.h"
#include "tests/support/drain_world.h"

static struct world w;
static bool settled;
#define AWAY SPAN_LIT("away.example")

static void on_settled(enum mx_err err, void *arg)
{
	(void)arg;
	cr_assert_eq(err, MX_OK);
	settled = true;
}

/* A message that came on the shelf so long ago. */
static uint64_t shelve(int64_t ago_ms)
{
	int64_t now_ms = clock_wall_ms();
	struct settlement s = {
		.outcome = OUTCOME_SHELVED,
		.reply = SPAN_LIT("550 5.7.1 not wanted"),
		.until_ms = now_ms - ago_ms + w.config->bounce.shelf_ms,
	};
	uint64_t id;

	world_send_one(&w, "u@away.example");
	id = spool_last_id(w.spool);
	settled = false;
	spool_settle(w.spool, id, AWAY, &s, 1, now_ms, 0, NULL, on_settled,
		     NULL);
	WAIT_FOR(&w, settled);
	return id;
}

static void begin(void)
{
	world_begin(&w, "", NULL);
	world_send_one(&w, "first@away.example");
	WAIT_FOR(&w, world_state(&w, "away.example") == DRAIN_DOWN);
}

static void end(void)
{
	world_end(&w);
}

TestSuite(daily, .init = begin, .fini = end, .timeout = 60);

/* It looks once, and what it made is on disk. */
static void look(void)
{
	struct daily *d = daily_new(w.loop, w.spool, w.config);
	bool never = false;

	peer_run(w.loop, &never, 1500);
	daily_free(&d);
	peer_run(w.loop, &never, 50);
}

struct found {
	uint64_t id;
	unsigned n;
	int64_t bytes;
};

static bool find_digest(const struct unit *u, void *arg)
{
	struct found *f = arg;

	if (!u->envelope.is_dsn)
		return true;
	cr_expect_eq(u->envelope.from.n, 0);
	cr_expect_eq(u->rcpt_count, 1);
	cr_expect(
		span_eq(u->rcpts[0].path, SPAN_LIT("postmaster@away.example")));
	cr_expect_eq(u->state, UNIT_READY);
	f->id = u->envelope.id;
	f->n++;
	return true;
}

static struct found find(void)
{
	struct found f = { 0 };

	cr_assert_eq(spool_list(w.spool, AWAY, 0, find_digest, &f), MX_OK);
	return f;
}

static void on_removed(enum mx_err err, uint64_t units, void *arg)
{
	(void)arg;
	cr_assert_eq(err, MX_OK);
	cr_assert_eq(units, 1);
	settled = true;
}

static void remove_unit(uint64_t id)
{
	settled = false;
	spool_remove(w.spool, (struct spool_selection){ .id = id }, on_removed,
		     NULL);
	WAIT_FOR(&w, settled);
}

static bool has_fact(struct span value)
{
	struct buf b = { 0 };
	bool same = spool_fact_get(w.spool, SPAN_LIT("digest:away.example"),
				   &b) == MX_OK &&
		    span_eq(buf_span(&b), value);

	buf_fini(&b);
	return same;
}

Test(daily, has_one_a_day_and_none_without_news)
{
	struct buf text = { 0 }, value = { 0 };
	struct found f;

	look();
	cr_expect_eq(find().n, 0, "what waits is no news");
	shelve(DAYS(2));
	shelve(DAYS(3));
	look();
	f = find();
	cr_assert_eq(f.n, 1);
	cr_assert_eq(spool_content(w.spool, f.id, 0, 65536, &text), MX_OK);
	cr_expect_not_null(
		strstr(buf_cstr(&text), "Subject: 2 messages refused for"));
	cr_assert_eq(spool_fact_get(w.spool, SPAN_LIT("digest:away.example"),
				    &value),
		     MX_OK);
	look();
	cr_expect_eq(find().n, 1, "it waits: no second");
	remove_unit(f.id);
	look();
	cr_expect_eq(find().n, 0, "nor on the same day");
	/* a day later, of what came since: as if the fact were older */
	buf_reset(&value);
	buf_addf(&value, "%lld 7\n",
		 (long long)(clock_wall_ms() - DAYS(2) - HOURS(12)));
	spool_fact_put(w.spool, SPAN_LIT("digest:away.example"),
		       buf_span(&value));
	WAIT_FOR(&w, has_fact(buf_span(&value)));
	look();
	f = find();
	cr_assert_eq(f.n, 1);
	buf_reset(&text);
	cr_assert_eq(spool_content(w.spool, f.id, 0, 65536, &text), MX_OK);
	cr_expect_not_null(
		strstr(buf_cstr(&text), "Subject: 1 message refused for"));
	buf_fini(&text);
	buf_fini(&value);
}

/* The shelf of a domain is looked through once a day, not at each look. */
Test(daily, without_news_it_is_not_looked_for_again)
{
	struct buf value = { 0 };

	shelve(DAYS(2));
	buf_addf(&value, "%lld 7\n",
		 (long long)(clock_wall_ms() - DAYS(1) - HOURS(12)));
	spool_fact_put(w.spool, SPAN_LIT("digest:away.example"),
		       buf_span(&value));
	WAIT_FOR(&w, has_fact(buf_span(&value)));
	look();
	cr_expect_eq(find().n, 0);
	WAIT_FOR(&w, !has_fact(buf_span(&value)));
	buf_fini(&value);
}

Test(daily, is_off_where_the_settings_say_so)
{
	shelve(DAYS(2));
	w.config->bounce.digest = false;
	look();
	cr_expect_eq(find().n, 0);
	w.config->bounce.digest = true;
	look();
	cr_expect_eq(find().n, 1);
}

/* Stopped while it looks, or before what it made is on disk. */
Test(daily, may_be_stopped_at_any_time)
{
	bool never = false;

	shelve(DAYS(2));
	for (int ms = 990; ms < 1030; ms += 4) {
		struct daily *d = daily_new(w.loop, w.spool, w.config);

		peer_run(w.loop, &never, ms);
		daily_free(&d);
		cr_assert_null(d);
		if (ms == 990)
			peer_run(w.loop, &never, 1);
		if (find().n == 1)
			break;
	}
	look();
	cr_expect_eq(find().n, 1);
}

Test(daily, forgets_in_a_year)
{
	const struct span key = SPAN_LIT("digest:a.example");
	const int64_t t = 1790000000000;

	cr_expect(daily_is_over(key, SPAN_LIT("x"), t));
	cr_expect_not(daily_is_over(key, SPAN_LIT("1790000000000 7\n"), t));
	cr_expect(daily_is_over(key, SPAN_LIT("1790000000000 7\n"),
				t + DAYS(367)));
	cr_expect_not(daily_is_over(SPAN_LIT("outage:1"), SPAN_LIT("x"), t));
}
