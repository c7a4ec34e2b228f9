/*
 * An intake on loopback with a store that does what the test says.  Included
 * by one test program each.
 */
#ifndef MX_TESTS_INTAKE_WORLD_H
#define MX_TESTS_INTAKE_WORLD_H

#include <criterion/criterion.h>
#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/net/listen.h"
#include "daemon/intake/intake_priv.h"

/* What most clients say. */
#define HELLO "EHLO client.test\r\n"
#define FROM "MAIL FROM:<a@b.test>\r\n"
#define TO "RCPT TO:<user@example.com>\r\n"

/* ---- The spool ---- */

enum { FAKE_CHUNK = 64 * 1024, FAKE_KEPT = 16, FAKE_ROOM = 1 << 30 };

struct spool_draft {
	uint64_t id;
	struct buf content;
};

/* What was committed. */
struct kept {
	struct envelope env;
	char from[300], helo[300], client[64], tls[100], envid[128];
	struct buf content;
	char rcpts[4096]; /* "path domain notify orcpt\n" each */
	size_t rcpt_count;
	int64_t lifetime_ms, warn_ms; /* of the first recipient */
	enum spool_claim claim;
};

static struct {
	uint64_t next_id;
	size_t drafts;	/* alive */
	uint64_t taken; /* of the room */
	enum mx_err room, begin, write, commit, share;
	bool tight;
	enum spool_claim claim;
	bool busy, slow; /* slow: commits wait for fake_committed */
	TAILQ_HEAD(, spool_waiter) waiters;
	size_t waiter_count;
	struct kept kept[FAKE_KEPT];
	size_t kept_count;
	struct {
		spool_commit_cb *cb;
		void *arg;
		uint64_t id;
	} pending[64];
	size_t pending_count;
	uint64_t expected;
} fake;

static enum mx_err fake_room(struct spool *sp, uint64_t expect)
{
	(void)sp;
	fake.expected = expect;
	return fake.room;
}

static uint64_t fake_left(const struct spool *sp)
{
	(void)sp;
	return fake.taken < FAKE_ROOM ? FAKE_ROOM - fake.taken : 0;
}

static bool fake_is_tight(const struct spool *sp, uint64_t bytes)
{
	(void)sp;
	(void)bytes;
	return fake.tight;
}

static enum mx_err fake_domain_room(struct spool *sp, struct span domain,
			      uint64_t bytes, enum spool_claim claim)
{
	(void)sp;
	fake.expected = bytes;
	fake.claim = claim;
	return span_eq(domain, SPAN_LIT("example.com")) ? fake.share : MX_OK;
}

/* Mail waits here for a line that went. */
static bool fake_is_left(struct span domain, void *arg)
{
	cr_expect_eq(arg, (void *)&fake);
	return span_eq(domain, SPAN_LIT("left.test"));
}

static enum mx_err fake_draft_new(struct spool *sp, int64_t now, uint64_t expect,
			    struct spool_draft **out)
{
	(void)sp;
	cr_expect_gt(now, 1500000000000);
	fake.expected = expect;
	if (fake.begin != MX_OK)
		return fake.begin;
	*out = mx_alloc(sizeof(**out));
	(*out)->id = ++fake.next_id;
	fake.drafts++;
	return MX_OK;
}

static uint64_t fake_draft_id(const struct spool_draft *d)
{
	return d->id;
}

static char *fake_draft_buffer(struct spool_draft *d, size_t *room)
{
	/* as little as promised, now and then */
	*room = d->content.n % 3 == 0 ? 64 : FAKE_CHUNK;
	return buf_reserve(&d->content, *room);
}

static void fake_draft_used(struct spool_draft *d, size_t n)
{
	d->content.n += n;
}

static void fake_draft_write(struct spool_draft *d, struct span s)
{
	buf_add(&d->content, s);
}

static enum mx_err fake_draft_prefix(struct spool_draft *d, struct span lines)
{
	struct buf whole = { 0 };

	buf_add(&whole, lines);
	buf_add(&whole, buf_span(&d->content));
	buf_fini(&d->content);
	d->content = whole;
	return MX_OK;
}

static enum mx_err fake_draft_error(const struct spool_draft *d)
{
	(void)d;
	return fake.write;
}

static void fake_draft_discard(struct spool_draft **d)
{
	cr_assert_not_null(*d);
	buf_fini(&(*d)->content);
	free(*d);
	*d = NULL;
	fake.drafts--;
}

static void keep_text(char *to, size_t size, struct span s)
{
	cr_assert_lt(s.n, size);
	memcpy(to, s.p, s.n);
	to[s.n] = '\0';
}

static void keep(const struct spool_draft *d, const struct envelope *env,
		 const struct spool_rcpt *r, size_t count)
{
	struct kept *k = &fake.kept[fake.kept_count++ % FAKE_KEPT];

	buf_fini(&k->content);
	memset(k, 0, sizeof(*k));
	k->env = *env;
	keep_text(k->from, sizeof(k->from), env->from);
	keep_text(k->helo, sizeof(k->helo), env->helo);
	keep_text(k->client, sizeof(k->client), env->client_addr);
	keep_text(k->tls, sizeof(k->tls), env->tls);
	keep_text(k->envid, sizeof(k->envid), env->envid);
	buf_add(&k->content, buf_span(&d->content));
	k->rcpt_count = count;
	k->claim = r->claim;
	k->lifetime_ms = r->expires_ms - env->arrived_ms;
	k->warn_ms = r->warn_ms > 0 ? r->warn_ms - env->arrived_ms : 0;
	for (size_t i = 0, n = 0; i < count && n < 3000; i++)
		n += (size_t)snprintf(k->rcpts + n, 1000, "%.*s %.*s %u %.*s\n",
				      SPAN_ARG(r[i].path),
				      SPAN_ARG(r[i].domain), r[i].notify,
				      SPAN_ARG(r[i].orcpt));
}

static void fake_commit(struct spool_draft **d, const struct envelope *env,
		  const struct spool_rcpt *rcpts, size_t count,
		  spool_commit_cb *cb, void *arg)
{
	if (fake.commit == MX_OK)
		keep(*d, env, rcpts, count);
	cr_assert_lt(fake.pending_count, COUNT(fake.pending));
	fake.pending[fake.pending_count].cb = cb;
	fake.pending[fake.pending_count].arg = arg;
	fake.pending[fake.pending_count++].id = (*d)->id;
	fake_draft_discard(d);
}

static bool fake_is_busy(const struct spool *sp)
{
	(void)sp;
	return fake.busy;
}

static void fake_wait(struct spool *sp, struct spool_waiter *w)
{
	(void)sp;
	cr_assert(!w->is_waiting);
	w->is_waiting = true;
	TAILQ_INSERT_TAIL(&fake.waiters, w, link);
	fake.waiter_count++;
}

static void fake_wait_cancel(struct spool *sp, struct spool_waiter *w)
{
	(void)sp;
	cr_assert(w->is_waiting);
	w->is_waiting = false;
	TAILQ_REMOVE(&fake.waiters, w, link);
	fake.waiter_count--;
}

static const struct store fake_store = {
	.room = fake_room,
	.left = fake_left,
	.is_tight = fake_is_tight,
	.domain_room = fake_domain_room,
	.is_busy = fake_is_busy,
	.wait = fake_wait,
	.wait_cancel = fake_wait_cancel,
	.draft_new = fake_draft_new,
	.draft_id = fake_draft_id,
	.draft_buffer = fake_draft_buffer,
	.draft_used = fake_draft_used,
	.draft_write = fake_draft_write,
	.draft_prefix = fake_draft_prefix,
	.draft_error = fake_draft_error,
	.draft_discard = fake_draft_discard,
	.commit = fake_commit,
};

/* The disk is done with what was asked for. */
static void fake_committed(void)
{
	size_t n = fake.pending_count;

	fake.pending_count = 0;
	for (size_t i = 0; i < n; i++)
		fake.pending[i].cb(fake.commit, fake.pending[i].id,
				   fake.pending[i].arg);
}

/* The content of the last message without our Received field. */
__attribute__((unused)) static const char *fake_content(void)
{
	struct kept *k = &fake.kept[(fake.kept_count - 1) % FAKE_KEPT];
	const char *p = buf_cstr(&k->content);

	cr_assert_eq(strncmp(p, "Received: from ", 15), 0, "%s", p);
	do
		p = strstr(p, "\r\n") + 2;
	while (*p == ' ' || *p == '\t');
	return p;
}

/* There is room again: each waiter is called once, in order. */
__attribute__((unused)) static void fake_has_room(void)
{
	fake.busy = false;
	for (size_t n = fake.waiter_count; n > 0 && fake.waiter_count > 0;
	     n--) {
		struct spool_waiter *w = TAILQ_FIRST(&fake.waiters);

		fake_wait_cancel(NULL, w);
		w->cb(w);
	}
}

/* ---- The rest ---- */

static struct {
	char dir[64];
	struct ev_loop *loop;
	struct config *config;
	struct policy *policy;
	struct intake *intake;
	in_port_t port;
	struct intake_hooks hooks;
} world;

static void put_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", world.dir, name);
	f = fopen(path, "w");
	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
}

static struct config *world_config(const char *conf, const char *domains)
{
	struct config_errors errors = { 0 };
	struct config *c;
	char path[128], text[2000];

	snprintf(path, sizeof(path), "%s/mx20.conf", world.dir);
	snprintf(text, sizeof(text),
		 "hostname = \"mx2.example.net\";\ndomains = \"domains\";\n"
		 "spool = { path = \"%s/spool\"; };\n%s\n",
		 world.dir, conf);
	put_file("mx20.conf", text);
	put_file("domains", domains);
	put_file("users", "user\nother\nü\n");
	c = config_load(path, &errors);
	cr_assert_not_null(c, "%.*s", SPAN_ARG(buf_span(&errors.text)));
	config_errors_fini(&errors);
	return c;
}

static void world_listen(const struct config_listen *l)
{
	struct net_addr at, any;
	struct buf why = { 0 };
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd;

	cr_assert_eq(net_addr_parse(SPAN_LIT("127.0.0.1"), &any), MX_OK);
	cr_assert_eq(listen_open(&any, &fd, &why), MX_OK, "%s", buf_cstr(&why));
	buf_fini(&why);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	net_addr_from_sockaddr(&at, (struct sockaddr *)&ss);
	world.port = at.port;
	intake_listen(world.intake, fd, l);
}

static void world_open(const char *conf)
{
	const struct config_listen l = { .address = { "127.0.0.1", 9 } };

	log_set_level(LOG_LEVEL_ERROR);
	strcpy(world.dir, "/tmp/mx20-intake-XXXXXX");
	cr_assert_not_null(mkdtemp(world.dir));
	TAILQ_INIT(&fake.waiters);
	world.loop = ev_loop_new(EVFLAG_AUTO);
	world.config =
		world_config(conf, "example.com recipients=users\n"
				   "example.org recipients=* lifetime=3d\n"
				   "*.example.org recipients=users\n");
	world.policy = policy_new(
		&(struct policy_options){
			.loop = world.loop,
			.is_left = fake_is_left,
			.arg = &fake,
		},
		world.config);
	world.intake = intake_new(&(struct intake_options){
		.loop = world.loop,
		.store = &fake_store,
		.policy = world.policy,
		.config = world.config,
		.hooks = &world.hooks,
	});
	world_listen(&l);
}

/* Let everything happen that can. */
static void settle(void)
{
	for (int i = 0; i < 12 || (world.intake != NULL &&
				   !TAILQ_EMPTY(&world.intake->turns));
	     i++) {
		ev_run(world.loop, EVRUN_NOWAIT);
		if (!fake.slow && fake.pending_count > 0)
			fake_committed();
	}
}

static void world_close(void)
{
	char rm[128];

	settle();
	intake_free(&world.intake);
	fake_committed();
	cr_expect_eq(fake.drafts, 0);
	policy_free(&world.policy);
	config_unref(&world.config);
	settle(); /* what lingers */
	ev_loop_destroy(world.loop);
	snprintf(rm, sizeof(rm), "rm -rf %s", world.dir);
	cr_expect_eq(system(rm), 0);
}

/* ---- A client ---- */

/*
 * A session with a client at the other end of a socket pair: what one side
 * writes the other has at once, which loopback does not promise.
 */
static int client_begin(const struct net_addr *peer, bool is_proxy)
{
	int fd[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd),
		     0);
	session_new(world.intake, fd[0], peer, is_proxy, false, false);
	return fd[1];
}

/* Through the door: a TCP connection, not yet accepted. */
__attribute__((unused)) static int client_knock(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(world.port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert(fd >= 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void on_late(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)w;
	(void)revents;
	ev_break(loop, EVBREAK_ALL);
}

/* Run the loop until there is something to read for the client, or the end. */
__attribute__((unused)) static void client_await(int fd)
{
	int64_t ends = clock_mono_ms() + 10000;
	ev_timer late;
	char c;

	while (recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       errno == EAGAIN) {
		cr_assert(clock_mono_ms() < ends, "waited in vain");
		ev_timer_init(&late, on_late, .01, 0.);
		ev_timer_start(world.loop, &late);
		ev_run(world.loop, EVRUN_ONCE);
		ev_timer_stop(world.loop, &late);
	}
}

static void client_send(int fd, struct span s)
{
	while (s.n > 0) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			s = span_skip(s, (size_t)n);
			continue;
		}
		if (errno != EAGAIN)
			return; /* closed on us: the test will see */
		settle();
	}
	settle();
}

/* Everything the server has said by now; "<closed>" at the end of it. */
static const char *client_read(int fd)
{
	static char text[256 * 1024];
	size_t n = 0;
	ssize_t got;

	settle();
	while ((got = recv(fd, text + n, sizeof(text) - 16 - n, MSG_DONTWAIT)) >
	       0) {
		n += (size_t)got;
		settle();
	}
	strcpy(text + n, got == 0 ? "<closed>" : "");
	return text;
}

/* The codes of it: "250 354", with "." when it closed. */
static const char *codes(const char *text)
{
	static char out[16 * 1024];
	size_t n = 0;

	for (const char *p = text; *p != '\0';) {
		const char *end = strstr(p, "\r\n");

		cr_assert_lt(n, sizeof(out) - 8);
		if (strcmp(p, "<closed>") == 0) {
			out[n++] = '.';
			out[n++] = ' ';
			break;
		}
		cr_assert_not_null(end, "half a line: %s", p);
		if (p[3] != '-') {
			memcpy(out + n, p, 3);
			n += 3;
			out[n++] = ' ';
		}
		p = end + 2;
	}
	out[n > 0 ? n - 1 : 0] = '\0';
	return out;
}

static int client_open(void)
{
	struct net_addr peer;
	int fd;

	cr_assert_eq(net_addr_parse(SPAN_LIT("192.0.2.7"), &peer), MX_OK);
	cr_assert_eq(policy_connect(world.policy, world.config, &peer, 0),
		     V_GO);
	fd = client_begin(&peer, false);
	cr_assert_str_eq(codes(client_read(fd)), "220");
	return fd;
}

/* Say it, hear the codes. */
__attribute__((unused)) static const char *say(int fd, const char *lines)
{
	client_send(fd, span_str(lines));
	return codes(client_read(fd));
}

/* Say it, hear the words. */
__attribute__((unused)) static const char *ask(int fd, const char *lines)
{
	client_send(fd, span_str(lines));
	return client_read(fd);
}

/* A dialogue sent in pieces of `step` bytes, 0: line by line. */
__attribute__((unused)) static const char *dialogue(const char *lines,
						    size_t step)
{
	static char out[16 * 1024];
	int fd = client_open();
	struct span all = span_str(lines);

	out[0] = '\0';
	while (all.n > 0) {
		size_t n = step > 0 ? step : span_find(all, '\n') + 1;
		const char *c;

		n = n < all.n ? n : all.n;
		client_send(fd, span_of(all.p, n));
		all = span_skip(all, n);
		c = codes(client_read(fd));
		if (*c != '\0' && out[0] != '\0')
			strcat(out, " ");
		strcat(out, c);
	}
	close(fd);
	settle();
	return out;
}

#endif
