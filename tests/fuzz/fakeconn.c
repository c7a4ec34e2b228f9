#include "tests/fuzz/fakeconn.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "tests/fuzz/fuzz.h"

struct conn {
	const struct conn_events *events;
	void *arg;
	struct buf in, kept;
	size_t used;	/* of in */
	unsigned depth; /* callbacks we are in */
	int64_t deadline_ms;
	bool is_waiting, is_paused, is_over, is_freed, is_tls, is_shaking;
	bool is_blocked;
};

static struct conn *live;
static size_t count;
void (*fake_on_output)(struct span bytes, bool is_tls);

static struct conn *begin(const struct conn_events *ev, void *arg)
{
	struct conn *c = mx_alloc(sizeof(*c));

	FUZZ_CHECK(live == NULL);
	c->events = ev;
	c->arg = arg;
	live = c;
	count++;
	return c;
}

static void release(struct conn *c)
{
	buf_fini(&c->in);
	buf_fini(&c->kept);
	free(c);
}

/* A callback runs between these two; false: it is gone. */
static void enter(struct conn *c)
{
	FUZZ_CHECK(!c->is_freed && !c->is_over);
	c->depth++;
}

static bool leave(struct conn *c)
{
	c->depth--;
	if (!c->is_freed || c->depth > 0)
		return !c->is_freed;
	release(c);
	return false;
}

static void offer(struct conn *c)
{
	if (c->is_over || c->in.n == c->used || c->is_paused || c->is_shaking)
		return;
	enter(c);
	c->events->on_input(c, c->arg);
	leave(c);
}

static void flush(struct conn *c)
{
	if (c->is_blocked || c->kept.n == 0 || c->is_waiting)
		return;
	fake_on_output(buf_span(&c->kept), c->is_tls);
	buf_reset(&c->kept);
}

/* ---- The far side ---- */

struct conn *fake_live(void)
{
	return live;
}

size_t fake_count(void)
{
	return count;
}

void fake_reset(void)
{
	FUZZ_CHECK(live == NULL);
	count = 0;
}

bool fake_is_waiting(void)
{
	return live != NULL && live->is_waiting;
}

bool fake_has_deadline(void)
{
	return live != NULL && live->deadline_ms > 0;
}

void fake_ready(void)
{
	struct conn *c = live;

	FUZZ_CHECK(c->is_waiting);
	c->is_waiting = false;
	c->is_tls |= c->is_shaking;
	c->is_shaking = false;
	enter(c);
	c->events->on_ready(c, c->arg);
	if (leave(c))
		flush(c);
}

void fake_arrive(struct span bytes)
{
	struct conn *c = live;

	if (c == NULL || c->is_over || c->is_waiting)
		return;
	buf_add(&c->in, bytes);
	offer(c);
}

void fake_end(enum conn_end why)
{
	struct conn *c = live;

	if (c == NULL || c->is_over)
		return;
	enter(c);
	c->is_over = true;
	c->events->on_end(c, why, c->arg);
	leave(c);
}

void fake_block(bool is_blocked)
{
	struct conn *c = live;
	bool had = c->kept.n > 0;

	c->is_blocked = is_blocked;
	flush(c);
	if (!had || c->kept.n > 0 || c->is_over ||
	    c->events->on_drained == NULL)
		return;
	enter(c);
	c->events->on_drained(c, c->arg);
	leave(c);
}

/* ---- conn.h ---- */

struct conn *conn_new(struct ev_loop *loop, int fd,
		      const struct conn_events *ev, void *arg)
{
	(void)loop;
	if (fd >= 0)
		close(fd);
	return begin(ev, arg);
}

struct conn *conn_new_spread(struct ev_loop *loop, int fd,
			     const struct conn_events *ev, void *arg)
{
	return conn_new(loop, fd, ev, arg);
}

struct conn *conn_connect(struct ev_loop *loop, const struct net_addr *to,
			  const struct conn_events *ev, void *arg)
{
	struct conn *c = begin(ev, arg);

	(void)loop;
	(void)to;
	c->is_waiting = true;
	return c;
}

void conn_free(struct conn **cp)
{
	struct conn *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	FUZZ_CHECK(c == live && !c->is_freed);
	live = NULL;
	c->is_freed = true;
	if (c->depth == 0)
		release(c);
}

void conn_close_after_output(struct conn **cp, int64_t grace_ms)
{
	(void)grace_ms;
	flush(*cp);
	conn_free(cp);
}

size_t conn_lingering(void)
{
	return 0;
}

struct span conn_input(struct conn *c)
{
	return span_skip(buf_span(&c->in), c->used);
}

void conn_consume(struct conn *c, size_t n)
{
	FUZZ_CHECK(n <= c->in.n - c->used);
	c->used += n;
}

size_t conn_discard_input(struct conn *c)
{
	size_t n = c->in.n - c->used;

	c->used = c->in.n;
	return n;
}

void conn_read_most(struct conn *c, size_t n)
{
	(void)c;
	(void)n;
}

void conn_pause(struct conn *c)
{
	c->is_paused = true;
}

void conn_resume(struct conn *c)
{
	c->is_paused = false;
}

void conn_write(struct conn *c, struct span s)
{
	FUZZ_CHECK(!c->is_freed);
	if (!c->is_waiting)
		buf_add(&c->kept, s);
	flush(c);
}

size_t conn_output_pending(const struct conn *c)
{
	return c->kept.n;
}

void conn_flush(struct conn *c)
{
	flush(c);
}

void conn_deadline(struct conn *c, int64_t ms)
{
	c->deadline_ms = ms;
}

void conn_deadline_idle(struct conn *c, int64_t ms)
{
	c->deadline_ms = ms;
}

void conn_tls_invite(struct conn *c)
{
	(void)c;
}

static void shake(struct conn *c)
{
	FUZZ_CHECK(!c->is_tls && !c->is_waiting);
	flush(c);
	c->is_waiting = c->is_shaking = true;
}

void conn_starttls_server(struct conn *c, struct tls_server *tls)
{
	(void)tls;
	shake(c);
}

void conn_starttls_client(struct conn *c, struct tls_client *tls)
{
	(void)tls;
	shake(c);
}

/* Nobody waits for it here. */
void conn_ack(struct conn *c)
{
	(void)c;
}

void conn_charge(struct conn *c, const struct net_addr *peer)
{
	(void)c;
	(void)peer;
}

const struct tls_facts *conn_tls(const struct conn *c)
{
	static const struct tls_facts facts = {
		.version = "TLSv1.3",
		.cipher = "TLS_AES_256_GCM_SHA384",
		.bits = 256,
		.verified = true,
		.peer_name = "",
		.peer_names = "",
	};

	return c->is_tls ? &facts : NULL;
}

bool conn_tls_resumes(const struct conn *c)
{
	(void)c;
	return false;
}

void conn_tls_forget(struct conn *c)
{
	(void)c;
}

bool conn_is_starved(const struct conn *c)
{
	(void)c;
	return false;
}

const char *conn_error(const struct conn *c)
{
	(void)c;
	return "it ended";
}
