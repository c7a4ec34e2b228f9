/* Units that connections died with. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "daemon/drain/aside.h"
#include "daemon/drain/drain_priv.h"
#include "tests/support/drain_world.h"

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
static void ends_for_all(peer_reply *outage)
{
	struct world w;

	is_away = true;
	world_begin(&w, own_retry, outage);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_row(&w, "d0.example").deferred == 1);
	is_away = false;
	world_send_one(&w, "u@d1.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	world_end(&w);
}

Test(aside, an_outage_spoken_as_421_ends_for_all)
{
	ends_for_all(leave_at_mail);
}

Test(aside, an_outage_spoken_by_closing_ends_for_all)
{
	ends_for_all(close_at_dot);
}

/* Where there is no other it is the probe, at the pace of probes. */
Test(aside, the_only_message_finds_out_that_an_outage_is_over)
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

Test(aside, a_message_that_ends_connections_waits_its_own_retry)
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

static void add_outcasts(struct world *w, struct domain *dom, uint64_t count)
{
	static uint64_t id = 1000; /* units that are there no longer */

	for (uint64_t i = 0; i < count; i++) {
		struct outcast *s = calloc(1, sizeof(*s));

		s->domain = dom;
		s->key = (struct attempt_key){ id++, dom };
		s->suspect.losses = 2;
		HASH_ADD_BYHASHVALUE(hh, w->drain->outcasts, key,
				     sizeof(s->key), attempt_hash(&s->key), s);
	}
}

Test(aside, a_domain_that_goes_takes_its_own_along)
{
	struct domain *dom[2];
	struct world w;

	world_begin(&w, "", NULL);
	world_send_one(&w, "u@d0.example");
	world_send_one(&w, "u@d1.example");
	WAIT_FOR(&w, drain_busy(w.drain) == 0 && world_queued(&w) == 0);
	dom[0] = domain_find(w.drain, SPAN_LIT("d0.example"));
	dom[1] = domain_find(w.drain, SPAN_LIT("d1.example"));
	add_outcasts(&w, dom[0], 3);
	add_outcasts(&w, dom[1], 2);
	aside_forget_domain(dom[0]);
	cr_expect_eq(HASH_COUNT(w.drain->outcasts), 2);
	cr_expect_eq(w.drain->outcasts->domain, dom[1]);
	aside_forget(w.drain);
	cr_expect_eq(HASH_COUNT(w.drain->outcasts), 0);
	world_end(&w);
}

/* Suspects that are there no longer. */
Test(aside, suspects_are_looked_at_some_at_a_time)
{
	enum { OUTCASTS = 100 };
	struct world w;
	struct dest *dst;
	unsigned turns = 0;

	world_begin(&w, "", NULL);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, drain_busy(w.drain) == 0 && world_queued(&w) == 0);
	dst = domain_find(w.drain, SPAN_LIT("d0.example"))->dest;
	add_outcasts(&w, LIST_FIRST(&dst->domains), OUTCASTS);
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
