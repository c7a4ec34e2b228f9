/* The whole of it on one loop: a spool, a router with primary=, the drain,
 * and a scripted server. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/metrics.h"
#include "common/base/clock.h"
#include "daemon/drain/aside.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/unlisted.h"
#include "tests/support/drain_world.h"

/* ---- */

Test(drain, mail_goes_when_it_comes)
{
	struct world w;

	world_begin(&w, "", NULL);
	cr_expect(drain_flows(w.drain, SPAN_LIT("d0.example")), "who knows?");
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_assert_eq(w.peer->message_count, 1);
	cr_assert_eq(world_state(&w, "d0.example"), DRAIN_UP);
	cr_expect(drain_flows(w.drain, SPAN_LIT("d0.example")));
	/* three domains, one destination, one connection */
	world_send_one(&w, "u@d1.example");
	world_send_one(&w, "u@d2.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_assert_eq(w.peer->connections, 1);
	world_end(&w);
}

Test(drain, mail_waits_for_the_primary)
{
	struct world w;
	struct status_destination st;

	world_begin(&w, "", NULL);
	peer_stop(w.peer);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_state(&w, "d0.example") == DRAIN_DOWN);
	cr_assert(drain_status(w.drain, SPAN_LIT("d0.example"), &st));
	cr_assert_eq(st.target_count, 1);
	cr_assert_gt(st.since_ms, 0);
	cr_assert_gt(st.next_probe_ms, 0);
	cr_expect_not(drain_flows(w.drain, SPAN_LIT("d0.example")));
	cr_assert(drain_is_target(w.drain, SPAN_LIT("d0.example"),
				  &w.peer->addr));
	peer_start(w.peer);
	drain_heard_from(w.drain, &w.peer->addr);
	WAIT_FOR(&w, world_queued(&w) == 0);
	world_end(&w);
}

/* Nothing can be sent before a restart: the next probe is not waited for. */
Test(drain, rests_when_the_disk_has_failed)
{
	struct world w;
	unsigned before;
	bool is_over = false;

	world_begin(&w, "", NULL);
	peer_stop(w.peer);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_state(&w, "d0.example") == DRAIN_DOWN);
	w.drain->is_broken = true;
	before = ev_iteration(w.loop);
	peer_run(w.loop, &is_over, 1500); /* the probe was due after 1 s */
	cr_expect_lt(ev_iteration(w.loop) - before, 1000);
	world_end(&w);
}

static int refusals;

static const char *busy_once(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	if (strncmp(line, "RCPT", 4) == 0 && refusals-- > 0)
		return "450 4.2.1 busy";
	return NULL;
}

static uint64_t counted(enum metric_id id)
{
	struct metrics m;

	metrics_read(&m);
	return m.numbers[id][0];
}

Test(drain, a_transient_failure_waits_its_retry)
{
	struct world w;
	int64_t began = clock_mono_ms();

	refusals = 1;
	world_begin(&w, "drain = { retry = [ \"1s\" ]; };", busy_once);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_assert_geq(clock_mono_ms() - began, 1000);
	cr_assert_eq(peer_saw(w.peer, "MAIL"), 2);
	cr_assert_eq(counted(METRIC_DEFERRED), 1);
	cr_assert_eq(counted(METRIC_DELIVERED), 1);
	cr_assert_eq(counted(METRIC_REFUSED), 0);
	world_end(&w);
}

static const char *unknown_u1(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strstr(line, "RCPT TO:<u1@") != NULL ? "550 5.1.1 unknown"
						    : NULL;
}

static bool is_held(struct world *w, const char *domain)
{
	struct spool_domain row = world_row(w, domain);

	return row.held == 1 && row.ready + row.deferred == 0;
}

Test(drain, one_recipient_fails_the_other_goes)
{
	static const char *const paths[] = { "u1@d0.example", "u2@d0.example",
					     "u3@d1.example" };
	struct world w;

	world_begin(&w, "bounce = { mode = \"hold\"; };", unknown_u1);
	world_send(&w, paths, COUNT(paths));
	WAIT_FOR(&w, is_held(&w, "d0.example"));
	WAIT_FOR(&w, w.peer->message_count == 2);
	cr_assert_eq(world_queued(&w), 1);
	WAIT_FOR(&w, counted(METRIC_DELIVERED) == 2);
	cr_assert_eq(counted(METRIC_REFUSED), 1);
	cr_assert_eq(counted(METRIC_REPORTS_SENT), 0);
	world_end(&w);
}

static const char *hang_at_dot(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strcmp(line, ".") == 0 && refusals-- > 0 ? PEER_HANG : NULL;
}

/* A stop in the middle loses nothing and leaves nothing behind. */
Test(drain, stopped_in_the_middle_and_started_again)
{
	struct world w;

	refusals = 1;
	world_begin(&w, "", hang_at_dot);
	for (int i = 0; i < 10; i++)
		world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, w.peer->message_count == 1);
	cr_assert_gt(drain_busy(w.drain), 0);
	drain_stop(w.drain);
	drain_free(&w.drain);
	world_start_drain(&w);
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_assert_geq(w.peer->message_count, 10);
	world_end(&w);
}

/* Nobody is sent what is being sent: as many messages as there are. */
Test(drain, each_message_once)
{
	struct world w;

	world_begin(&w, "", NULL);
	peer_stop(w.peer);
	for (int i = 0; i < 120; i++)
		world_send_one(&w, i % 2 ? "u@d0.example" : "u@d1.example");
	peer_start(w.peer);
	drain_flush(w.drain, SPAN_LIT("d0.example"));
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_assert_eq(w.peer->message_count, 120);
	WAIT_FOR(&w, drain_busy(w.drain) == 0);
	world_end(&w);
}

/* ---- An outage of a primary that greets ---- */

static const char own_retry[] =
	"drain = { retry = [ \"1h\" ]; probe_busy = \"1s\"; };";
static bool is_away;

static const char *leave_at_mail(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return is_away && strncmp(line, "MAIL", 4) == 0
		       ? "421 4.3.2 not taking mail"
		       : NULL;
}

static const char *close_at_dot(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return is_away && strcmp(line, ".") == 0 ? PEER_CLOSE : NULL;
}

/* What was tried in an outage goes when others go, whatever its own retry. */
Test(drain, an_outage_spoken_as_421_ends_for_all)
{
	struct world w;

	is_away = true;
	world_begin(&w, own_retry, leave_at_mail);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_row(&w, "d0.example").deferred == 1);
	is_away = false;
	world_send_one(&w, "u@d1.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	world_end(&w);
}

Test(drain, an_outage_spoken_by_closing_ends_for_all)
{
	struct world w;

	is_away = true;
	world_begin(&w, own_retry, close_at_dot);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_row(&w, "d0.example").deferred == 1);
	is_away = false;
	world_send_one(&w, "u@d1.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	world_end(&w);
}

/* Where there is no other it is the probe, at the pace of probes. */
Test(drain, the_only_message_finds_out_that_an_outage_is_over)
{
	struct world w;
	int64_t before;
	size_t seen;

	is_away = true;
	world_begin(&w, own_retry, leave_at_mail);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_row(&w, "d0.example").deferred == 1);
	before = clock_mono_ms();
	seen = peer_saw(w.peer, "MAIL");
	WAIT_FOR(&w, peer_saw(w.peer, "MAIL") >= seen + 2);
	cr_expect_geq(clock_mono_ms() - before, 1000, "one each second");
	is_away = false;
	WAIT_FOR(&w, world_queued(&w) == 0);
	world_end(&w);
}

/* A message that ends connections waits alone, whatever else goes. */
static const char *close_for_bad(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strstr(line, "MAIL FROM:<bad@") != NULL ? PEER_CLOSE : NULL;
}

Test(drain, a_message_that_ends_connections_waits_its_own_retry)
{
	struct world w;

	world_begin(&w, own_retry, close_for_bad);
	w.sender = "bad@sender.example";
	world_send_one(&w, "u@d0.example");
	w.sender = "a@sender.example";
	for (int i = 0; i < 5; i++) {
		world_send_one(&w, "u@d1.example");
		WAIT_FOR(&w, w.peer->message_count == (size_t)i + 1);
	}
	WAIT_FOR(&w, world_row(&w, "d0.example").deferred == 1);
	cr_expect_leq(peer_saw(w.peer, "MAIL FROM:<bad@"), 4);
	world_send_one(&w, "u@d1.example");
	WAIT_FOR(&w, world_queued(&w) == 1);
	cr_expect_leq(peer_saw(w.peer, "MAIL FROM:<bad@"), 4);
	world_end(&w);
}

/* ---- A line that goes, and comes back before the disk knows ---- */

Test(drain, a_line_that_comes_back_frees_its_mail_however_slow_the_disk)
{
	struct world w;
	struct config *other;
	struct domain *dom;

	world_begin(&w, "", NULL);
	peer_stop(w.peer);
	world_send_one(&w, "u@d0.example");
	other = world_shorter_list(&w);
	dom = domain_need(w.drain, SPAN_LIT("d0.example"));
	w.drain->config = other;
	cr_assert_not(unlisted_may_go(dom), "it is asked to be held");
	dom->marked_ms -= MINUTES(1); /* and the disk takes its time */
	w.drain->config = w.config;
	cr_assert(unlisted_may_go(dom));
	cr_expect_eq(dom->mark, MARK_LISTED);
	WAIT_FOR(&w, !world_row(&w, "d0.example").is_held);
	peer_start(w.peer);
	drain_flush(w.drain, SPAN_LIT("d0.example"));
	WAIT_FOR(&w, world_queued(&w) == 0);
	config_unref(&other);
	world_end(&w);
}

/* ---- Mail of many domains that was removed ---- */

static size_t waiting_domains(struct dest *dst)
{
	struct domain *dom;
	size_t n = 0;

	TAILQ_FOREACH (dom, &dst->ring, ring)
		n++;
	return n;
}

static void on_removed(enum mx_err err, uint64_t units, void *arg)
{
	size_t *left = arg;

	(void)units;
	cr_assert_eq(err, MX_OK);
	(*left)--;
}

/* A turn of the loop has an end, however many there were. */
Test(drain, domains_without_mail_are_left_some_at_a_time)
{
	static char names[DOMAINS][32];
	static const char *paths[DOMAINS];
	struct world w;
	struct dest *dst;
	size_t left = DOMAINS, before;

	world_begin(&w, "", NULL);
	peer_stop(w.peer);
	for (size_t i = 0; i < DOMAINS; i++) {
		snprintf(names[i], sizeof(names[i]), "u@d%zu.example", i);
		paths[i] = names[i];
	}
	world_send(&w, paths, DOMAINS);
	WAIT_FOR(&w, world_state(&w, "d0.example") == DRAIN_DOWN);
	dst = domain_find(w.drain, SPAN_LIT("d0.example"))->dest;
	WAIT_FOR(&w, waiting_domains(dst) == DOMAINS);
	for (size_t i = 0; i < DOMAINS; i++)
		spool_remove(w.spool,
			     (struct spool_selection){
				     .domain = span_str(names[i] + 2) },
			     on_removed, &left);
	WAIT_FOR(&w, left == 0);
	WAIT_FOR(&w, world_queued(&w) == 0);
	for (before = waiting_domains(dst); before > 0;
	     before = waiting_domains(dst)) {
		machine_trigger(&dst->machine, clock_mono_ms());
		dest_run(dst);
		cr_assert_geq(waiting_domains(dst) + 64, before);
		cr_assert_lt(waiting_domains(dst), before);
	}
	cr_expect_eq(dst->trying, 0, "nobody is asked for what was removed");
	world_end(&w);
}

/* ---- Suspects that are there no longer ---- */

Test(drain, suspects_are_looked_at_some_at_a_time)
{
	enum { OUTCASTS = 100 };
	struct world w;
	struct dest *dst;
	unsigned turns = 0;

	world_begin(&w, "", NULL);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, drain_busy(w.drain) == 0 && world_queued(&w) == 0);
	dst = domain_find(w.drain, SPAN_LIT("d0.example"))->dest;
	for (uint64_t i = 0; i < OUTCASTS; i++) {
		struct outcast *s = calloc(1, sizeof(*s));

		s->domain = LIST_FIRST(&dst->domains);
		s->key = (struct attempt_key){ 1000 + i, s->domain };
		s->suspect.losses = 2;
		HASH_ADD_BYHASHVALUE(hh, w.drain->outcasts, key, sizeof(s->key),
				     attempt_hash(&s->key), s);
	}
	while (HASH_COUNT(w.drain->outcasts) > 0 && turns++ < OUTCASTS) {
		unsigned before = HASH_COUNT(w.drain->outcasts);

		aside_look(dst);
		cr_assert_geq(HASH_COUNT(w.drain->outcasts) + 16, before);
		cr_assert(dst->is_dirty || HASH_COUNT(w.drain->outcasts) == 0,
			  "it goes on");
	}
	cr_expect_eq(turns, OUTCASTS / 16 + 1);
	world_end(&w);
}
