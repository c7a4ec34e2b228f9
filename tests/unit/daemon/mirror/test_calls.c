#include <criterion/criterion.h>
#include <pthread.h>

#include "daemon/mirror/calls.h"

static struct ev_loop *loop;
static struct calls *calls;
static int arg, freed;

static void setup(void)
{
	loop = ev_loop_new(0);
	calls = calls_new(loop, &arg);
}

TestSuite(calls, .init = setup, .timeout = 60);

struct twice {
	struct call call;
	uint64_t number;
};

static void run_twice(struct call *c)
{
	cr_expect_eq(c->arg, &arg);
	call_done(c, MX_OK, ((struct twice *)c)->number * 2);
}

static void count_free(struct call *c)
{
	(void)c;
	freed++;
}

struct asked {
	enum mx_err err;
	uint64_t count;
};

static void *ask(void *out)
{
	struct twice *t = call_new(run_twice, count_free, sizeof(*t));
	struct asked *a = out;

	t->number = 21;
	a->err = calls_wait(calls, &t->call);
	a->count = t->call.count;
	call_release(&t->call);
	return NULL;
}

Test(calls, are_made_on_the_loop_and_answered)
{
	struct asked a = { MX_EIO, 0 };
	pthread_t thread;

	pthread_create(&thread, NULL, ask, &a);
	ev_run(loop, EVRUN_ONCE);
	pthread_join(thread, NULL);
	cr_expect_eq(a.err, MX_OK);
	cr_expect_eq(a.count, 42);
	cr_expect_eq(freed, 1);
	calls_close(calls);
	calls_free(&calls);
}

/* Whoever waits when we stop hears so, and what he asked is not done. */
Test(calls, closed_ends_the_wait)
{
	struct asked a = { MX_OK, 0 };
	pthread_t thread;

	pthread_create(&thread, NULL, ask, &a);
	calls_close(calls);
	pthread_join(thread, NULL);
	cr_expect_eq(a.err, MX_ESTOP);
	cr_expect_eq(freed, 1);
	calls_free(&calls);
}

static struct call *kept;

static void run_later(struct call *c)
{
	kept = c;
}

/* An answer that comes when nobody waits any more finds what it is about. */
Test(calls, answered_behind_the_end)
{
	struct call *c = call_new(run_later, count_free, sizeof(*c));

	calls_start(calls, c);
	cr_expect_not(call_is_over(c));
	ev_run(loop, EVRUN_ONCE);
	cr_assert_eq(kept, c);
	calls_close(calls);
	cr_expect(call_is_over(c));
	cr_expect_eq(call_result(c), MX_ESTOP);
	call_release(c);
	cr_expect_eq(freed, 0);
	call_done(kept, MX_OK, 0);
	cr_expect_eq(freed, 1);
	calls_free(&calls);
}
