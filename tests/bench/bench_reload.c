/*
 * bench_reload: the configuration at the size of an ISP.
 *
 *   bench_reload shared|each [DOMAINS [RECIPIENTS]]
 *
 * shared: every domain names one recipient file.  each: every domain has its
 * own.  Loads once as at start, looks recipients up, then reloads on the
 * thread while a loop with a 1 ms timer looks up, allocates and frees as
 * sessions do, and swaps and releases the old snapshot.  Prints how long each
 * took, memory, and the longest time the loop did not come round: in all, and
 * without the time it waited for a processor that others had.  "idle" is the
 * same loop with nothing beside it: the noise of the machine.
 */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "config/config.h"
#include "config/reload.h"

enum { LOOKUPS = 2000000, PER_TICK = 50, IDLE_S = 3, AFTER_S = 2 };

struct bench {
	bool shared;
	size_t domains, recipients;
	char dir[64], conf[96];
	struct config *config;
	struct ev_loop *loop;
	struct reload *reload;
	/* the loop */
	ev_timer tick, end;
	int schedstat;
	double last_s, last_wait_s;
	struct stall {
		double all_s, own_s;
	} worst;
	size_t ticks, wrong;
	uint64_t random;
};

static double clock_s(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double now_s(void)
{
	return clock_s(CLOCK_MONOTONIC);
}

/* xorshift: the same look-ups in every run */
static uint64_t next_random(struct bench *b)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return b->random;
}

/* "VmRSS" and the like, in MB. */
static size_t memory_mb(const char *key)
{
	FILE *in = fopen("/proc/self/status", "re");
	char line[128];
	size_t kb = 0;

	while (fgets(line, sizeof(line), in) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			kb = strtoul(line + strlen(key) + 1, NULL, 10);
	fclose(in);
	return kb / 1024;
}

/* ---- The files ---- */

static FILE *create(const struct bench *b, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", b->dir, name);
	FILE *out = fopen(path, "we");
	if (out == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(1);
	}
	return out;
}

static void write_users(FILE *out, size_t first, size_t count)
{
	for (size_t i = first; i < first + count; i++)
		fprintf(out, "user.%zu\n", i);
	fclose(out);
}

static void make_files(struct bench *b)
{
	size_t per_domain = b->recipients / b->domains;
	char recipients[80];
	FILE *out;

	snprintf(b->dir, sizeof(b->dir), "/tmp/mx20-bench-XXXXXX");
	MX_ASSERT(mkdtemp(b->dir) != NULL);
	snprintf(recipients, sizeof(recipients), "%s/recipients", b->dir);
	MX_ASSERT(mkdir(recipients, 0755) == 0);
	out = create(b, "mx20.conf");
	fputs("hostname = \"mx2.example.net\"; domains = \"domains\";\n", out);
	fclose(out);
	snprintf(b->conf, sizeof(b->conf), "%s/mx20.conf", b->dir);
	out = create(b, "domains");
	for (size_t i = 0; i < b->domains; i++)
		fprintf(out, "customer%zu.example%s\n", i,
			b->shared ? " recipients=all" : "");
	fprintf(out, "*.wild.example recipients=*\n");
	fclose(out);
	if (b->shared)
		write_users(create(b, "all"), 0, b->recipients);
	for (size_t i = 0; !b->shared && i < b->domains; i++) {
		snprintf(recipients, sizeof(recipients),
			 "recipients/customer%zu.example", i);
		write_users(create(b, recipients), i * per_domain, per_domain);
	}
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* ---- Look-ups ---- */

/* One RCPT: an even draw is a recipient, an odd one is none. */
static bool lookup(struct bench *b)
{
	size_t user = next_random(b) % b->recipients;
	size_t per_domain = b->recipients / b->domains;
	bool known = (next_random(b) & 1) != 0;
	char domain[48], local[32];

	snprintf(domain, sizeof(domain), "customer%zu.example",
		 (user / per_domain) % b->domains);
	snprintf(local, sizeof(local), "%s.%zu", known ? "user" : "spam", user);
	const struct config_domain *row =
		domains_find(b->config->domains, span_str(domain));
	return row != NULL &&
	       domains_has_recipient(b->config->domains, row, span_str(domain),
				     span_str(local)) == known;
}

static double lookups_s(struct bench *b, bool only_text)
{
	/* processor time: others may want the machine, too */
	double begun = clock_s(CLOCK_THREAD_CPUTIME_ID);
	char domain[48], local[32];
	size_t bytes = 0;

	for (size_t i = 0; i < LOOKUPS; i++) {
		if (!only_text) {
			b->wrong += !lookup(b);
			continue;
		}
		size_t user = next_random(b) % b->recipients;
		bool known = (next_random(b) & 1) != 0;
		bytes += (size_t)snprintf(domain, sizeof(domain),
					  "customer%zu.example", user);
		bytes += (size_t)snprintf(local, sizeof(local), "%s.%zu",
					  known ? "user" : "spam", user);
	}
	MX_ASSERT(!only_text || bytes > 0);
	return clock_s(CLOCK_THREAD_CPUTIME_ID) - begun;
}

/* ---- The loop ---- */

/* How long this thread was runnable and did not run, so far. */
static double waited_s(const struct bench *b)
{
	char text[96] = "";
	unsigned long long wait_ns = 0;

	if (pread(b->schedstat, text, sizeof(text) - 1, 0) > 0)
		wait_ns = strtoull(strchr(text, ' '), NULL, 10);
	return (double)wait_ns / 1e9;
}

static void measure(struct bench *b)
{
	double now = now_s(), wait = waited_s(b);
	double all = now - b->last_s - 0.001;
	double own = all - (wait - b->last_wait_s);

	if (b->ticks++ > 0) {
		b->worst.all_s = all > b->worst.all_s ? all : b->worst.all_s;
		b->worst.own_s = own > b->worst.own_s ? own : b->worst.own_s;
	}
	b->last_s = now;
	b->last_wait_s = wait;
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct bench *b = w->data;
	char *session;

	(void)loop, (void)revents;
	measure(b);
	for (int i = 0; i < PER_TICK; i++)
		b->wrong += !lookup(b);
	/* above malloc's threshold: the address space changes, too */
	session = malloc(512 << 10);
	MX_ASSERT(session != NULL);
	memset(session, 1, 512 << 10);
	free(session);
}

static void on_end(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)w, (void)revents;
	ev_break(loop, EVBREAK_ALL);
}

/* Run the loop until it is broken off, then say how late it ever was. */
static void run(struct bench *b, double seconds, const char *what)
{
	b->ticks = 0;
	b->worst = (struct stall){ 0 };
	if (seconds > 0) {
		ev_timer_init(&b->end, on_end, seconds, 0);
		ev_timer_start(b->loop, &b->end);
	}
	ev_run(b->loop, 0);
	printf("longest stall, %s: %.1f ms, own %.1f ms\n", what,
	       b->worst.all_s * 1000, b->worst.own_s * 1000);
}

static struct config *current(void *arg)
{
	struct bench *b = arg;

	return b->config;
}

static void on_reload(const struct reload_result *result, void *arg)
{
	struct bench *b = arg;

	if (result->config == NULL) {
		fprintf(stderr, "%.*s",
			SPAN_ARG(buf_span(&result->errors->text)));
		exit(1);
	}
	config_unref(&b->config);
	b->config = result->config;
	ev_break(b->loop, EVBREAK_ALL);
}

/* ---- */

static void first_load(struct bench *b)
{
	struct config_errors errors = { 0 };
	size_t before = memory_mb("VmRSS");
	double begun = now_s();

	b->config = config_load(b->conf, &errors);
	if (b->config == NULL) {
		fprintf(stderr, "%s", buf_cstr(&errors.text));
		exit(1);
	}
	printf("load: %.2f s, %zu domains, %zu recipients, memory %zu MB\n",
	       now_s() - begun, b->config->domain_count,
	       b->config->recipient_count, memory_mb("VmRSS") - before);
}

static void reload_beside_the_loop(struct bench *b)
{
	double begun;

	b->schedstat = open("/proc/thread-self/schedstat", O_RDONLY);
	b->loop = ev_loop_new(0);
	b->reload = reload_new(
		b->loop, b->conf,
		&(struct reload_hooks){ current, NULL, on_reload, b });
	ev_timer_init(&b->tick, on_tick, 0.001, 0.001);
	b->tick.data = b;
	ev_timer_start(b->loop, &b->tick);
	run(b, IDLE_S, "idle");
	reload_start(b->reload, 0);
	begun = now_s();
	run(b, 0, "reload");
	printf("reload: %.2f s, memory at its peak %zu MB\n", now_s() - begun,
	       memory_mb("VmHWM"));
	run(b, AFTER_S, "release");
	printf("memory then %zu MB\n", memory_mb("VmRSS"));
	ev_timer_stop(b->loop, &b->tick);
	reload_free(&b->reload);
	ev_loop_destroy(b->loop);
	close(b->schedstat);
}

int main(int argc, char **argv)
{
	struct bench b = { .domains = 1000000,
			   .recipients = 10000000,
			   .random = 88172645463325252 };
	double text_s;

	if (argc < 2 ||
	    (strcmp(argv[1], "shared") != 0 && strcmp(argv[1], "each") != 0)) {
		fprintf(stderr, "usage: bench_reload shared|each "
				"[DOMAINS [RECIPIENTS]]\n");
		return 2;
	}
	b.shared = strcmp(argv[1], "shared") == 0;
	if (argc > 2)
		b.domains = strtoul(argv[2], NULL, 10);
	b.recipients = argc > 3 ? strtoul(argv[3], NULL, 10) : b.domains * 10;
	MX_ASSERT(b.domains > 0 && b.recipients >= b.domains);
	make_files(&b);
	first_load(&b);
	text_s = lookups_s(&b, true);
	printf("look-up of a domain and a recipient: %.0f ns\n",
	       (lookups_s(&b, false) - text_s) * 1e9 / LOOKUPS);
	reload_beside_the_loop(&b);
	printf("wrong answers: %zu\n", b.wrong);
	config_unref(&b.config);
	nftw(b.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return b.wrong == 0 ? 0 : 1;
}
