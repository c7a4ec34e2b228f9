/* The mail of a destination. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "daemon/drain/drain_priv.h"
#include "tests/support/drain_world.h"

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
Test(dest_supply, domains_without_mail_are_left_some_at_a_time)
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
