/*
 * One connection against a scripted server, and one content for everyone.
 * Included by one test program each.
 */
#ifndef MX_TESTS_DELIVERY_WORLD_H
#define MX_TESTS_DELIVERY_WORLD_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/delivery/delivery.h"
#include "tests/support/peer.h"

static struct buf content;
static size_t content_most; /* memory watch: the most asked for at once */
static bool is_content_taken; /* others have it, when its end is asked for */

static enum mx_err read_content(void *arg, const struct delivery_job *job,
				uint64_t offset, size_t most, struct buf *out)
{
	struct span s = span_skip(buf_span(&content), (size_t)offset);

	(void)arg;
	(void)job;
	if (s.n > most)
		s.n = most;
	if (out->n + s.n > content_most)
		content_most = out->n + s.n;
	buf_add(out, s);
	if (is_content_taken && offset + s.n == content.n)
		return MX_EBUSY;
	return MX_OK;
}

/* ---- The world ---- */

struct world {
	struct ev_loop *loop;
	struct peer *peer;
	struct peer_options popt;
	struct route route;
	struct route_host host;
	struct net_addr addr;
	struct delivery *delivery;
	struct smtp_ehlo ehlo;
	int to_give, given;
	bool is_ready, is_done, is_ended;
	bool is_silent; /* the peer: nobody accepts */
	int done, done_wanted;
	struct delivery_end end;
	char end_reply[300];
	enum outcome outcomes[64][200];
	char replies[64][200];
	bool in_doubt[64], was_head[64];
	size_t rcpts; /* per job */
	struct envelope envelope;
	const char *path; /* instead of u%zu@example.org */
	unsigned without; /* as told, and as found out */
	bool is_proven;
};

static struct unit *make_unit(struct world *w)
{
	struct unit *u = mx_alloc(sizeof(*u));
	char path[100];

	u->envelope = w->envelope;
	u->envelope.id = 7;
	if (u->envelope.bytes == 0)
		u->envelope.bytes = content.n;
	if (u->envelope.from.p == NULL)
		u->envelope.from = SPAN_LIT("from@example.net");
	u->domain = SPAN_LIT("example.org");
	u->rcpt_count = w->rcpts;
	u->rcpts = arena_alloc_array(&u->arena, w->rcpts, sizeof(*u->rcpts));
	for (size_t i = 0; i < w->rcpts; i++) {
		snprintf(path, sizeof(path), "u%zu@example.org", i);
		u->rcpts[i].number = (uint32_t)i;
		u->rcpts[i].path = arena_span(
			&u->arena, span_str(w->path != NULL ? w->path : path));
		u->rcpts[i].domain = u->domain;
	}
	return u;
}

static void on_done(struct delivery *d, struct delivery_job *job, void *arg);

static const struct delivery_listener listener = { .on_done = on_done };

static void give_more(struct world *w, struct delivery *d)
{
	const struct delivery_source source = { read_content, NULL };

	while (w->given < w->to_give && delivery_room(d) > 0) {
		struct unit *u = make_unit(w);

		w->given++;
		delivery_give(d, delivery_job_new(&u, source, &listener,
						  (void *)(intptr_t)w->given));
	}
}

static void on_ready(struct delivery *d, const struct smtp_ehlo *ehlo,
		     int64_t latency_ms, void *arg)
{
	struct world *w = arg;

	cr_assert(!w->is_ready);
	cr_assert_geq(latency_ms, 0);
	w->is_ready = true;
	w->ehlo = *ehlo;
	give_more(w, d);
	w->without = delivery_without(d);
	if (w->to_give == 0)
		delivery_quit(d);
}

static void on_done(struct delivery *d, struct delivery_job *job, void *arg)
{
	struct world *w = arg;
	int at;

	w->done++;
	if (delivery_without(d) == 0)
		cr_assert_eq((intptr_t)job->arg, w->done, "in order");
	at = (int)(intptr_t)job->arg - 1;
	for (size_t i = 0; i < job->unit->rcpt_count && i < 200; i++)
		w->outcomes[at][i] = job->set[i].outcome;
	snprintf(w->replies[at], sizeof(w->replies[at]), "%.*s",
		 SPAN_ARG(job->set[0].reply));
	w->in_doubt[at] = job->in_doubt;
	w->was_head[at] = job->was_head;
	delivery_job_free(&job);
	if (w->done == w->to_give && !w->is_ended)
		delivery_quit(d);
}

static void on_room(struct delivery *d, void *arg)
{
	give_more(arg, d);
}

static void on_end(struct delivery *d, const struct delivery_end *end,
		   void *arg)
{
	struct world *w = arg;
	struct buf line = { 0 };

	w->end = *end;
	smtp_reply_print(&line, &end->reply);
	snprintf(w->end_reply, sizeof(w->end_reply), "%.*s",
		 SPAN_ARG(buf_span(&line)));
	buf_fini(&line);
	w->delivery = NULL;
	w->is_ended = w->is_done = true;
	w->without = delivery_without(d);
	w->is_proven = delivery_is_proven(d);
}

static const struct delivery_events events = {
	.on_ready = on_ready,
	.on_room = on_room,
	.on_end = on_end,
};

static void begin(struct world *w, const char *ehlo, peer_reply *reply)
{
	memset(w, 0, sizeof(*w));
	w->loop = ev_loop_new(0);
	w->popt.ehlo = ehlo;
	w->popt.reply = reply;
	w->popt.arg = w;
	w->peer = peer_new(w->loop, &w->popt);
	w->addr = w->peer->addr;
	w->host.tls.level = TLS_LEVEL_NONE;
	w->rcpts = 1;
	buf_reset(&content);
	buf_adds(&content, "Subject: x\r\n\r\n.dot\r\nlast\r\n");
}

static void run(struct world *w, int jobs)
{
	struct delivery_options opt = {
		.loop = w->loop,
		.helo = SPAN_LIT("mx2.example.net"),
		.local_name = SPAN_LIT("mx2.example.net"),
		.host = &w->host,
		.route = &w->route,
		.target = &w->addr,
		.connect_timeout_ms = 2000,
		.reply_timeout_ms = w->is_silent ? MINUTES(5) : 300,
		.greeting_timeout_ms = w->is_silent ? 200 : 0,
		.without = w->without,
	};

	w->route.refs = 100; /* never freed here */
	w->to_give = jobs;
	w->delivery = delivery_new(&opt, &events, w);
	cr_assert(peer_run(w->loop, &w->is_done, 5000), "no end");
	cr_assert_eq(w->done, w->given);
}

static void finish(struct world *w)
{
	bool never = false;

	peer_run(w->loop, &never, 20); /* lingering sockets */
	peer_free(&w->peer);
	ev_loop_destroy(w->loop);
}

#endif
