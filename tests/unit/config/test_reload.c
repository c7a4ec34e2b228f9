#include <criterion/criterion.h>

#include "config/reload.h"
#include "tests/support/folder.h"

static struct folder folder;
static struct ev_loop *loop;
static struct reload *reload;

struct seen {
	unsigned calls, good;
	size_t errors, domains, gone, refusals;
	unsigned number;
	bool is_real, is_forced;
	bool followed, freeing, asking, taking;
};

static struct config *in_force;

static struct config *current(void *arg)
{
	(void)arg;
	return in_force;
}

static void one_message(struct change *ch, void *arg)
{
	(void)arg;
	change_mail(ch, span_str("a.example"), 1);
}

static void on_reload(const struct reload_result *result, void *arg)
{
	struct config *config = result->config;
	struct seen *s = arg;

	s->calls++;
	s->good += config != NULL;
	s->errors = result->errors->count;
	s->followed = !result->is_last;
	s->number = result->number;
	s->is_real = result->is_real;
	s->is_forced = result->is_forced;
	s->gone = config != NULL ? result->change->gone.count : 0;
	s->refusals = config != NULL ? result->change->refusals.count : 0;
	if (config != NULL)
		s->domains = config->domain_count;
	if (config != NULL && s->taking) {
		config_unref(&in_force);
		in_force = config_ref(config);
	}
	config_unref(&config);
	if (s->freeing)
		reload_free(&reload);
	if (s->asking) {
		s->asking = false;
		folder_write(&folder, "domains", "");
		reload_start(reload, 0);
	}
	ev_break(loop, EVBREAK_ALL);
}

static void too_long(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)l, (void)w, (void)revents;
	cr_assert_fail("no callback within 10 s");
}

static void run_until_calls(const struct seen *s, unsigned calls)
{
	ev_timer guard;

	ev_timer_init(&guard, too_long, 10, 0);
	ev_timer_start(loop, &guard);
	while (s->calls < calls)
		ev_run(loop, 0);
	ev_timer_stop(loop, &guard);
}

static void setup(void)
{
	folder_make(&folder);
	folder_write(&folder, "mx20.conf",
		     "hostname = \"a.example\"; domains = \"domains\";\n");
	folder_write(&folder, "domains", "a.example recipients=*\n");
	loop = ev_loop_new(0);
	in_force = config_load(folder_path(&folder, "mx20.conf"),
			       &(struct config_errors){ 0 });
}

static void teardown(void)
{
	reload_free(&reload);
	config_unref(&in_force);
	ev_loop_destroy(loop);
	folder_remove(&folder);
}

TestSuite(reload, .init = setup, .fini = teardown);

static void begin(struct seen *s)
{
	reload = reload_new(
		loop, folder_path(&folder, "mx20.conf"),
		&(struct reload_hooks){ current, one_message, on_reload, s });
}

Test(reload, a_new_snapshot_arrives_on_the_loop)
{
	struct seen s = { 0 };

	begin(&s);
	reload_start(reload, 0);
	cr_expect_eq(s.calls, 0, "never before return");
	run_until_calls(&s, 1);
	cr_expect_eq(s.good, 1);
	cr_expect_eq(s.domains, 1);
	cr_expect_not(s.followed);
}

Test(reload, faults_arrive_as_well)
{
	struct seen s = { 0 };

	folder_write(&folder, "domains", "a.example\nb.example x=y\n");
	begin(&s);
	reload_start(reload, 0);
	run_until_calls(&s, 1);
	cr_expect_eq(s.good, 0);
	cr_expect_eq(s.errors, 3);
}

/* What was asked for during a load may have changed files read already. */
Test(reload, requests_while_one_is_under_way_become_one_more)
{
	struct seen s = { 0 };

	begin(&s);
	reload_start(reload, 0);
	reload_start(reload, 0);
	reload_start(reload, 0);
	run_until_calls(&s, 1);
	cr_expect(s.followed);
	run_until_calls(&s, 2);
	cr_expect_not(s.followed);
	cr_expect_eq(s.good, 2);
}

Test(reload, the_callback_may_ask_again)
{
	struct seen s = { .asking = true };

	begin(&s);
	reload_start(reload, 0);
	run_until_calls(&s, 2);
	cr_expect_eq(s.domains, 0, "the file was changed in between");
}

Test(reload, the_callback_may_free)
{
	struct seen s = { .freeing = true };

	begin(&s);
	reload_start(reload, 0);
	run_until_calls(&s, 1);
	cr_expect_null(reload);
}

Test(reload, freeing_waits_for_a_load_under_way)
{
	struct seen s = { 0 };

	begin(&s);
	reload_start(reload, 0);
	reload_free(&reload);
	cr_expect_null(reload);
	cr_expect_eq(s.calls, 0);
}

/* What was taken meanwhile counts as the one before. */
Test(reload, the_next_is_compared_with_what_the_last_one_left)
{
	struct seen s = { .taking = true };

	begin(&s);
	folder_write(&folder, "domains", "b.example recipients=*\n");
	cr_expect_eq(reload_start(reload, 0), 1);
	cr_expect_eq(reload_start(reload, 0), 2);
	run_until_calls(&s, 1);
	cr_expect_eq(s.number, 1);
	cr_expect_eq(s.gone, 1);
	cr_expect_eq(s.refusals, 2, "half of the domains, and with mail");
	run_until_calls(&s, 2);
	cr_expect_eq(s.number, 2);
	cr_expect_eq(s.gone, 0);
	cr_expect_eq(s.refusals, 0);
}

Test(reload, one_load_for_many_who_want_different_things)
{
	struct seen s = { 0 };

	begin(&s);
	cr_expect_eq(reload_start(reload, RELOAD_DRY | RELOAD_FORCED), 1);
	cr_expect_eq(reload_start(reload, RELOAD_DRY), 2);
	cr_expect_eq(reload_start(reload, 0), 2);
	cr_expect_eq(reload_start(reload, RELOAD_FORCED), 2);
	run_until_calls(&s, 1);
	cr_expect_not(s.is_real);
	cr_expect_not(s.is_forced, "nothing is to be taken");
	run_until_calls(&s, 2);
	cr_expect(s.is_real);
	cr_expect(s.is_forced);
}
