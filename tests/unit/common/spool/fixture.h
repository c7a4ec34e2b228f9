/* A real spool in a directory of its own, and the loop turned by hand. */
#ifndef TEST_SPOOL_FIXTURE_H
#define TEST_SPOOL_FIXTURE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/spool/spool.h"
#include "tests/support/spool_audit.h"

#define NOW ((int64_t)1790000000000)

struct fixture {
	struct ev_loop *loop;
	struct spool *sp;
	char dir[64];
	uint64_t size, reserve;
	bool is_mirrored; /* mirror_start is the first that follows */
	/* what came back */
	unsigned committed, done, counted;
	enum mx_err err;
	uint64_t id, units;
	unsigned announced;
	char domain[256];
};

static inline void fixture_reopen(struct fixture *f)
{
	struct spool_options opt = {f->dir, f->size, f->reserve,
				    f->is_mirrored};
	struct buf why = {0};
	enum mx_err err = spool_open(&f->sp, f->loop, &opt, &why);

	cr_assert_eq(err, MX_OK, "%s", buf_cstr(&why));
	buf_fini(&why);
}

static inline void fixture_open(struct fixture *f)
{
	*f = (struct fixture){.size = 1 << 28};
	mkdir("build", 0777);
	snprintf(f->dir, sizeof(f->dir), "build/spool-XXXXXX");
	cr_assert_not_null(mkdtemp(f->dir));
	f->loop = ev_loop_new(0);
	fixture_reopen(f);
}

static inline void fixture_remove_files(struct fixture *f)
{
	static const char *const names[] = {"data.mdb", "lock.mdb"};
	char path[128];

	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
		unlink(path);
	}
}

static inline void fixture_remove(struct fixture *f)
{
	fixture_remove_files(f);
	rmdir(f->dir);
}

/* Does everything in it agree with everything else? */
static inline void fixture_audit(struct fixture *f)
{
	struct buf why = {0};

	cr_expect(spool_audit(f->sp, &why), "%s", buf_cstr(&why));
	buf_fini(&why);
}

static inline void fixture_close(struct fixture *f)
{
	spool_close(&f->sp);
	ev_loop_destroy(f->loop);
	fixture_remove(f);
}

/* Looks that must succeed: how many were found. */
static inline size_t ready_in(struct spool *sp, struct span domain,
			      uint64_t after, uint64_t *ids, size_t max)
{
	size_t n;

	cr_assert_eq(spool_ready(sp, domain, after, ids, max, &n), MX_OK);
	return n;
}

static inline size_t newest_in(struct spool *sp, struct span domain,
			       uint64_t before, uint64_t *ids, size_t max)
{
	size_t n;

	cr_assert_eq(spool_ready_newest(sp, domain, before, ids, max, &n),
		     MX_OK);
	return n;
}

static inline size_t expired_by(struct spool *sp, int64_t now_ms,
				const struct spool_expiry *after,
				struct spool_expiry *out, size_t max)
{
	size_t n;

	cr_assert_eq(spool_expired(sp, now_ms, after, out, max, &n), MX_OK);
	return n;
}

static inline void on_commit(enum mx_err err, uint64_t id, void *arg)
{
	struct fixture *f = arg;

	f->committed++;
	f->err = err;
	f->id = id;
}

static inline void on_settled(enum mx_err err, void *arg)
{
	struct fixture *f = arg;

	f->done++;
	f->err = err;
}

static inline void on_counted(enum mx_err err, uint64_t units, void *arg)
{
	struct fixture *f = arg;

	f->counted++;
	f->err = err;
	f->units = units;
}

static inline void on_ready(struct span domain, void *arg)
{
	struct fixture *f = arg;

	f->announced++;
	snprintf(f->domain, sizeof(f->domain), "%.*s", SPAN_ARG(domain));
}

static inline void turn_until(struct fixture *f, const unsigned *counter,
			      unsigned value)
{
	while (*counter < value)
		ev_run(f->loop, EVRUN_ONCE);
}

/* For a request that ends with on_counted: what it counted. */
static inline uint64_t wait_count(struct fixture *f)
{
	turn_until(f, &f->counted, 1);
	f->counted = 0;
	cr_assert_eq(f->err, MX_OK);
	return f->units;
}

/* A byte of message number n at this place: no two alike in a row. */
static inline char content_at(uint64_t n, uint64_t offset)
{
	return (char)('a' + (n * 7 + offset * 3 + offset / 4093) % 26);
}

/* So many bytes of message n, of which the first ones come last: as prefix. */
static inline struct spool_draft *draft_behind(struct fixture *f, uint64_t n,
					       size_t prefix, size_t bytes)
{
	struct spool_draft *d = NULL;
	struct buf lines = {0};
	char piece[1500];

	cr_assert_eq(spool_draft_new(f->sp, NOW, 0, &d), MX_OK);
	for (size_t at = prefix; at < bytes;) {
		size_t k = 0;

		for (; k < sizeof(piece) && at < bytes; k++)
			piece[k] = content_at(n, at++);
		spool_draft_write(d, span_of(piece, k));
	}
	for (size_t at = 0; at < prefix; at++)
		buf_addc(&lines, content_at(n, at));
	if (prefix > 0)
		cr_assert_eq(spool_draft_prefix(d, buf_span(&lines)), MX_OK);
	buf_fini(&lines);
	return d;
}

static inline struct spool_draft *draft_with(struct fixture *f, uint64_t n,
					     size_t bytes)
{
	return draft_behind(f, n, 0, bytes);
}

static inline struct envelope an_envelope(void)
{
	return (struct envelope){
		.arrived_ms = NOW,
		.from = SPAN_LIT("a@sender.example"),
		.client_addr = SPAN_LIT("192.0.2.7"),
		.helo = SPAN_LIT("client.example"),
		.envid = SPAN_LIT("QQ314159"),
		.proto = PROTO_ESMTP,
		.body = SMTP_BODY_8BITMIME,
		.ret = SMTP_RET_HDRS,
		.smtputf8 = true,
	};
}

static inline struct spool_rcpt a_rcpt(const char *path, const char *domain)
{
	return (struct spool_rcpt){
		.path = span_str(path),
		.domain = span_str(domain),
		.notify = SMTP_NOTIFY_FAILURE,
		.expires_ms = NOW + 10000,
	};
}

/* Commit one message and wait; its id. */
static inline uint64_t put_message(struct fixture *f, uint64_t n, size_t bytes,
				   const struct spool_rcpt *rcpts, size_t count)
{
	struct spool_draft *d = draft_with(f, n, bytes);
	struct envelope env = an_envelope();
	unsigned want = f->committed + 1;

	spool_commit(&d, &env, rcpts, count, on_commit, f);
	cr_assert_null(d);
	turn_until(f, &f->committed, want);
	cr_assert_eq(f->err, MX_OK);
	return f->id;
}

static inline uint64_t put_simple(struct fixture *f, const char *domain)
{
	struct spool_rcpt r = a_rcpt("user@x", domain);

	return put_message(f, 1, 300, &r, 1);
}

static inline void check_content(struct fixture *f, uint64_t id, uint64_t n,
				 size_t bytes, size_t step)
{
	struct buf b = {0};
	uint64_t at = 0;

	for (;;) {
		size_t before = b.n;

		cr_assert_eq(spool_content(f->sp, id, at, step, &b), MX_OK);
		if (b.n == before)
			break;
		at += b.n - before;
	}
	cr_assert_eq(b.n, bytes);
	for (size_t i = 0; i < bytes; i++)
		if (b.p[i] != content_at(n, i))
			cr_assert_fail("byte %zu differs", i);
	buf_fini(&b);
}

static inline void settle_one_rcpt(struct fixture *f, uint64_t id,
				   const char *domain, enum outcome outcome,
				   int64_t due_ms)
{
	struct settlement s = {.number = 0,
			       .outcome = outcome,
			       .reply = SPAN_LIT("450 4.2.1 wait"),
			       .host = SPAN_LIT("mx1")};
	unsigned want = f->done + 1;

	spool_settle(f->sp, id, span_str(domain), &s, 1, NOW + 5, due_ms, NULL,
		     on_settled, f);
	turn_until(f, &f->done, want);
}

static inline void check_domain(struct fixture *f, const char *domain,
				uint64_t ready, uint64_t deferred,
				uint64_t held)
{
	struct spool_domain d;
	enum mx_err err = spool_domain_get(f->sp, span_str(domain), &d);

	cr_assert(err == MX_OK ||
		  (err == MX_ENOENT && ready + deferred + held == 0));
	cr_expect_eq(d.ready, ready, "ready %lu", (unsigned long)d.ready);
	cr_expect_eq(d.deferred, deferred);
	cr_expect_eq(d.held, held);
	cr_expect_eq(d.units, ready + deferred + held);
}

#endif
