/* Is there what an order is about?  It may take a look at everything. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "daemon/control/control_priv.h"
#include "tests/support/folder.h"

static struct folder folder;
static struct control control;
static int taken;

static void begin(void)
{
	struct config_errors errors = { 0 };
	struct buf text = { 0 }, why = { 0 };

	folder_make(&folder);
	for (int i = 0; i < 3000; i++)
		buf_addf(&text, "d%d.example recipients=*\n", i);
	folder_write(&folder, "domains", buf_cstr(&text));
	folder_write(&folder, "mx20.conf",
		     "hostname = \"mx2.example.net\"; domains = \"domains\";");
	control.opt.config =
		config_load(folder_path(&folder, "mx20.conf"), &errors);
	cr_assert_not_null(control.opt.config);
	control.opt.loop = ev_loop_new(EVFLAG_AUTO);
	cr_assert_eq(spool_open(&control.opt.spool, control.opt.loop,
				&(struct spool_options){
					.path = folder_path(&folder, "spool"),
					.size_bytes = 1 << 26,
					.reserve_bytes = 1 << 20 },
				&why),
		     MX_OK, "%s", buf_cstr(&why));
	LIST_INIT(&control.requests);
	config_errors_fini(&errors);
	buf_fini(&text);
	buf_fini(&why);
}

static void end(void)
{
	spool_close(&control.opt.spool);
	config_unref(&control.opt.config);
	ev_loop_destroy(control.opt.loop);
	folder_remove(&folder);
}

static void take(struct request *r)
{
	taken++;
	request_drop(r);
}

static struct request *ask(const char *domain)
{
	struct request *r = mx_alloc(sizeof(*r));
	json_t *object = json_pack("{s:s}", "domain", domain);

	r->control = &control;
	LIST_INSERT_HEAD(&control.requests, r, link);
	cr_assert_null(select_take(r, object));
	json_decref(object);
	select_check(r, take);
	return r;
}

Test(select, what_is_there_is_taken_at_once, .init = begin, .fini = end)
{
	ask("d2999.example");
	cr_expect_eq(taken, 1);
}

/* A pattern that nothing matches is found out some at a time. */
Test(select, what_is_not_there_takes_some_turns, .init = begin, .fini = end)
{
	int turns = 0;

	ask("*.typo");
	for (; !LIST_EMPTY(&control.requests) && turns < 10; turns++)
		ev_run(control.opt.loop, EVRUN_ONCE);
	cr_expect_eq(taken, 0);
	cr_expect_geq(turns, 3);
	cr_expect_lt(turns, 10, "and it is answered");
}

Test(select, a_search_ends_with_the_server, .init = begin, .fini = end)
{
	struct request *r = ask("*.typo");

	cr_assert_not_null(r->search);
	cr_expect(select_stop(r));
	cr_expect_null(r->search);
	request_drop(r);
}
