#include <criterion/criterion.h>

#include "config/reload.h"
#include "tests/support/folder.h"

static struct folder folder;
static struct ev_loop *loop;
static struct reload *reload;

struct seen {
	unsigned calls, good;
	size_t errors, domains;
	bool followed, freeing, asking;
};

static void on_reload(struct config *config, const struct config_errors *errors,
		      void *arg)
{
	struct seen *s = arg;

	s->calls++;
	s->good += config != NULL;
	s->errors = errors->count;
	s->followed = reload_is_running(reload);
	if (config != NULL)
		s->domains = config->domain_count;
	config_unref(&config);
	if (s->freeing)
		reload_free(&reload);
	if (s->asking) {
		s->asking = false;
		folder_write(&folder, "domains", "");
		reload_start(reload);
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
}

static void teardown(void)
{
	reload_free(&reload);
	ev_loop_destroy(loop);
	folder_remove(&folder);
}

TestSuite(reload, .init = setup, .fini = teardown);

static void begin(struct seen *s)
{
	reload = reload_new(loop, folder_path(&folder, "mx20.conf"), on_reload,
			    s);
}

Test(reload, a_new_snapshot_arrives_on_the_loop)
{
	struct seen s = { 0 };

	begin(&s);
	reload_start(reload);
	cr_expect(reload_is_running(reload));
	cr_expect_eq(s.calls, 0, "never before return");
	run_until_calls(&s, 1);
	cr_expect_eq(s.good, 1);
	cr_expect_eq(s.domains, 1);
	cr_expect_not(s.followed);
	cr_expect_not(reload_is_running(reload));
}

Test(reload, faults_arrive_as_well)
{
	struct seen s = { 0 };

	folder_write(&folder, "domains", "a.example\nb.example x=y\n");
	begin(&s);
	reload_start(reload);
	run_until_calls(&s, 1);
	cr_expect_eq(s.good, 0);
	cr_expect_eq(s.errors, 3);
}

/* What was asked for during a load may have changed files read already. */
Test(reload, requests_while_one_is_under_way_become_one_more)
{
	struct seen s = { 0 };

	begin(&s);
	reload_start(reload);
	reload_start(reload);
	reload_start(reload);
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
	reload_start(reload);
	run_until_calls(&s, 2);
	cr_expect_eq(s.domains, 0, "the file was changed in between");
}

Test(reload, the_callback_may_free)
{
	struct seen s = { .freeing = true };

	begin(&s);
	reload_start(reload);
	run_until_calls(&s, 1);
	cr_expect_null(reload);
}

Test(reload, freeing_waits_for_a_load_under_way)
{
	struct seen s = { 0 };

	begin(&s);
	reload_start(reload);
	reload_free(&reload);
	cr_expect_null(reload);
	cr_expect_eq(s.calls, 0);
}
