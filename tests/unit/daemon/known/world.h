/* What is known, in a real spool, and a primary that says what it is told. */
#ifndef TEST_KNOWN_WORLD_H
#define TEST_KNOWN_WORLD_H

#include "common/base/assert.h"
#include "daemon/known/verify.h"
#include "tests/support/folder.h"
#include "tests/unit/common/spool/fixture.h"

#define ORG SPAN_LIT("example.org")
#define HERE SPAN_LIT("mx.example.org:25")

enum { ASKED_MAX = 4200 };

struct asked {
	char mailbox[100];
	known_said_cb *cb;
	void *arg;
	bool is_cancelled;
};

static struct fixture f;
static struct folder folder;
static struct config *config;
static struct known *known;
static struct asked asked[ASKED_MAX];
static size_t asked_count;
static struct span destination = { "mx.example.org:25", 17 };

static void *on_ask(struct span domain, struct span mailbox, known_said_cb *cb,
		    void *cb_arg, void *arg)
{
	struct asked *a = &asked[asked_count];

	(void)domain;
	(void)arg;
	cr_assert_lt(asked_count++, ASKED_MAX);
	*a = (struct asked){ .cb = cb, .arg = cb_arg };
	snprintf(a->mailbox, sizeof(a->mailbox), "%.*s", SPAN_ARG(mailbox));
	return a;
}

static void on_cancel(void *question, void *arg)
{
	(void)arg;
	((struct asked *)question)->is_cancelled = true;
}

static void on_destination(struct span domain, struct buf *out, void *arg)
{
	(void)domain;
	(void)arg;
	buf_add(out, destination);
}

static inline void world_start(void)
{
	known = known_new(f.loop, f.sp, config);
	known_connect(known, &(struct known_hooks){ .ask = on_ask,
						    .cancel = on_cancel,
						    .destination =
							    on_destination });
}

static inline void world_begin(void)
{
	struct config_errors errors = { 0 };

	fixture_open(&f);
	folder_make(&folder);
	folder_write(&folder, "mx20.conf",
		     "hostname = \"mx2.example.net\"; domains = \"domains\";"
		     "policy = { verify_timeout = \"100ms\"; };");
	folder_write(&folder, "domains",
		     "example.org recipients=verify\n"
		     "example.net recipients=*\n");
	config = config_load(folder_path(&folder, "mx20.conf"), &errors);
	cr_assert_not_null(config, "%s", buf_cstr(&errors.text));
	config_errors_fini(&errors);
	world_start();
}

/* As the daemon does, so that what was written behind is there. */
static inline void world_stop(void)
{
	known_stop(known);
	spool_close(&f.sp);
	known_free(&known);
}

static inline void world_restart(void)
{
	world_stop();
	fixture_reopen(&f);
	world_start();
}

static inline void world_end(void)
{
	world_stop();
	ev_loop_destroy(f.loop);
	fixture_remove(&f);
	config_unref(&config);
	folder_remove(&folder);
}

/* The primary's answer to the nth question (from 0). */
static inline void say(size_t n, enum known_said said, const char *reply)
{
	cr_assert_lt(n, asked_count);
	asked[n].cb(said, span_str(reply), asked[n].arg);
}

/* It is known to refuse whom it does not know. */
static inline void be_selective(void)
{
	known_learn(known, ORG, SPAN_LIT("first"), destination, true, false,
		    SPAN_LIT("250 ok"), clock_wall_ms());
	cr_assert_eq(asked_count, 1);
	say(0, SAID_NO, "550 5.1.1 who?");
	asked_count = 0;
}

static inline void learn(const char *user, bool is_yes, int64_t at)
{
	known_learn(known, ORG, span_str(user), destination, is_yes, false,
		    span_str(is_yes ? "250 ok" : "550 5.1.1 no"), at);
}

/* 'y', 'n' or '?' */
static inline char look(const char *user, int64_t at)
{
	struct known_fact fact;

	known_look(known, ORG, span_str(user), '+', at, &fact);
	return fact.is == FACT_YES ? 'y' : fact.is == FACT_NO ? 'n' : '?';
}

#endif
