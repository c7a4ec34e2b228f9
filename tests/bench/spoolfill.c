/*
 * spoolfill: mail for many domains into a spool that no daemon has open, fast:
 * thousands of commits wait at any time, so that each flush is for all of them.
 *
 *   spoolfill FOLDER DOMAINS MESSAGES    for u@d0.test, u@d1.test ...
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/spool/spool.h"

enum { AT_ONCE = 4096, CONTENT_BYTES = 600, SPREAD_MS = 7200000 };

static struct {
	struct ev_loop *loop;
	struct spool *spool;
	ev_prepare turn;
	uint64_t domains, messages, begun, done;
	int64_t now_ms;
} fill;

static void must(enum mx_err err, const char *what)
{
	if (err == MX_OK)
		return;
	fprintf(stderr, "spoolfill: %s: %s\n", what, mx_strerror(err));
	exit(1);
}

static void on_commit(enum mx_err err, uint64_t id, void *arg)
{
	(void)id;
	(void)arg;
	must(err, "commit");
	if (++fill.done == fill.messages)
		ev_break(fill.loop, EVBREAK_ONE);
}

/* They came within the last two hours, one after the other. */
static int64_t arrival_of(uint64_t n)
{
	double part = (double)n / (double)fill.messages;

	return fill.now_ms - (int64_t)((1. - part) * SPREAD_MS);
}

static void add_one(uint64_t n)
{
	static char content[CONTENT_BYTES];
	char to[64], from[64];
	struct spool_draft *d;
	struct envelope env = { .arrived_ms = arrival_of(n),
				.client_addr = SPAN_LIT("192.0.2.1"),
				.helo = SPAN_LIT("client.test"),
				.proto = PROTO_ESMTP };
	struct spool_rcpt rcpt = { .expires_ms = fill.now_ms + DAYS(7),
				   .warn_ms = fill.now_ms + DAYS(2) };

	snprintf(to, sizeof(to), "u%" PRIu64 "@d%" PRIu64 ".test", n % 7,
		 n % fill.domains);
	snprintf(from, sizeof(from), "sender%" PRIu64 "@sender.test", n % 1000);
	env.from = span_str(from);
	rcpt.path = rcpt.domain = span_str(to);
	(void)span_cut(&rcpt.domain, '@');
	must(spool_draft_new(fill.spool, env.arrived_ms, 0, &d), "draft");
	if (content[0] == '\0')
		snprintf(content, sizeof(content), "Subject: x\r\n\r\n%*s\r\n",
			 CONTENT_BYTES - 20, "x");
	spool_draft_write(d, span_str(content));
	spool_commit(&d, &env, &rcpt, 1, on_commit, NULL);
}

static void on_turn(struct ev_loop *loop, ev_prepare *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	while (fill.begun < fill.messages && fill.begun - fill.done < AT_ONCE)
		add_one(fill.begun++);
}

int main(int argc, char **argv)
{
	struct spool_options o = { .size_bytes = UINT64_C(1) << 36,
				   .reserve_bytes = 1 << 20 };
	struct buf why = { 0 };

	if (argc != 4) {
		fprintf(stderr, "usage: spoolfill FOLDER DOMAINS MESSAGES\n");
		return 2;
	}
	o.path = argv[1];
	fill.domains = strtoull(argv[2], NULL, 10);
	fill.messages = strtoull(argv[3], NULL, 10);
	fill.now_ms = clock_wall_ms();
	fill.loop = ev_default_loop(0);
	if (spool_open(&fill.spool, fill.loop, &o, &why) != MX_OK) {
		fprintf(stderr, "spoolfill: %s\n", buf_cstr(&why));
		return 1;
	}
	ev_prepare_init(&fill.turn, on_turn);
	ev_prepare_start(fill.loop, &fill.turn);
	if (fill.domains > 0 && fill.messages > 0)
		ev_run(fill.loop, 0);
	ev_prepare_stop(fill.loop, &fill.turn);
	spool_close(&fill.spool);
	return 0;
}
