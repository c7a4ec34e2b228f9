/*
 * Pages as they may be, into a folder: for a browser to look at, and to see
 * what making them costs.
 *
 *   bench_page FOLDER
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/web/page.h"
#include "daemon/web/style.h"

#define NOW INT64_C(1795866000000) /* a Saturday in November 2026 */

static struct arena arena;

static struct span text(const char *front, size_t n, const char *end)
{
	char out[200];

	snprintf(out, sizeof(out), "%s%zu%s", front, n, end);
	return arena_span(&arena, span_str(out));
}

/* ---- What it may be made of ---- */

static const char *const replies[] = {
	"(connect) Connection refused",
	"451 4.3.0 Temporary lookup failure: the directory is away",
	"(timeout) no greeting within 5 minutes",
	"421 4.7.0 mx.example.org Service unavailable, closing channel",
};

static void add_destinations(struct web_facts *f, size_t n)
{
	f->destinations =
		arena_alloc_array(&arena, n + 1, sizeof(*f->destinations));
	f->destination_count = f->all_destinations = n;
	for (size_t i = 0; i < n; i++) {
		struct web_destination *d = &f->destinations[i];
		bool down = i % 3 == 0;

		d->name = text("mx", i, ".hosting-customer.example:25 tls=may");
		d->domain = text("shop-", i, ".example");
		d->domain_count = 1 + i * 7 % 40;
		d->messages = 120000 / (i + 1) / (i % 5 + 1) + n - i;
		d->bytes = d->messages * 48123;
		d->oldest_ms = NOW - HOURS(7) - MINUTES(i % 700);
		d->held = i % 10 == 4 ? d->messages / 9 : 0;
		d->state = (struct status_destination){
			.state = down ? "down" : "up",
			.is_down = down,
			.since_ms = NOW - HOURS(3 + (int64_t)i),
			.next_probe_ms = NOW + SECONDS(7),
			.last_reply = span_str(replies[i / 3 % COUNT(replies)]),
			.connections = down ? 0 : (int)(i % 9) + 1,
		};
		f->totals.messages += d->messages;
		f->totals.bytes += d->bytes;
	}
	f->totals.oldest_ms = n > 0 ? NOW - HOURS(18) : 0;
}

static void add_outages(struct web_facts *f, size_t n)
{
	f->outages = arena_alloc_array(&arena, n + 1, sizeof(*f->outages));
	f->outage_count = n;
	for (size_t i = 0; i < n; i++) {
		struct outage *o = &f->outages[i];

		o->destination = i % 6 < f->destination_count
					 ? f->destinations[i % 6].name
					 : SPAN_LIT("gone.example:25 tls=must");
		o->began_ms = NOW - HOURS(4) - HOURS(9) * (int64_t)i;
		o->ended_ms =
			i % 6 % 3 == 0 && i < 6
				? 0
				: o->began_ms + MINUTES(20 + 37 * i % 300);
		o->messages = 4000 + i * 31;
		o->left = i < 6 ? 1700 : o->messages;
		o->refused = i % 4;
		o->worst_ms = HOURS(3);
		o->reply = span_str(replies[i % COUNT(replies)]);
	}
}

/* A wave that grows: outages fill it, and it empties. */
static uint64_t level_at(int64_t ms, uint64_t size)
{
	int64_t in_wave = ms % HOURS(31);
	double part = in_wave < HOURS(8) ? (double)in_wave / (double)HOURS(8)
					 : 1. - (double)(in_wave - HOURS(8)) /
							   (double)HOURS(4);

	if (part < 0.03)
		part = 0.03;
	return (uint64_t)(part * 0.7 * (double)size);
}

static void add_curve(struct web_facts *f, int64_t days)
{
	size_t most = (size_t)days * 24 + 24 * 60 + 2;
	uint64_t size = f->totals.space.size_bytes;

	f->curve = arena_alloc_array(&arena, most, sizeof(*f->curve));
	for (int64_t at = NOW - DAYS(days);
	     at<NOW; at += NOW - at> DAYS(1) ? HOURS(1) : MINUTES(1)) {
		if (at > NOW - HOURS(15) && at < NOW - HOURS(13))
			continue; /* it was off */
		f->curve[f->curve_count++] = (struct curve_sample){
			at, level_at(at - NOW + DAYS(400), size), 100
		};
	}
}

static void add_numbers(struct web_facts *f, uint64_t n)
{
	for (size_t i = 0; i < 12; i++)
		f->metrics.numbers[METRIC_RECIPIENTS_REJECTED][i * 2] =
			n * 1311 / (i * i + 1);
	f->metrics.numbers[METRIC_MESSAGES_REJECTED][6] = n * 17;
	f->metrics.numbers[METRIC_ACCEPTED][0] = n * 15123;
	f->metrics.numbers[METRIC_DELIVERED][0] = n * 14870;
	f->metrics.numbers[METRIC_RELAYED][0] = n * 90112;
	f->metrics.numbers[METRIC_REFUSED][0] = n * 12;
	f->metrics.numbers[METRIC_SESSIONS][0] = n * 41;
	f->metrics.numbers[METRIC_SESSION_LIMIT][0] = 10000;
	f->metrics.numbers[METRIC_CERTIFICATE][0] =
		(uint64_t)(NOW + DAYS(61)) / 1000;
}

/* ---- Which there are ---- */

static struct web_facts nothing(void)
{
	return (struct web_facts){
		.now_ms = NOW,
		.started_ms = NOW - DAYS(12) - HOURS(5),
		.is_loop_well = true,
		.hostname = SPAN_LIT("mx2.example.net"),
		.totals.space = { .used_bytes = UINT64_C(53) << 10,
				  .size_bytes = UINT64_C(64) << 30,
				  .disk_bytes = UINT64_C(211) << 30 },
	};
}

static struct web_facts empty(void)
{
	return nothing();
}

static struct web_facts three(void)
{
	struct web_facts f = nothing();

	f.totals.space.used_bytes = UINT64_C(9) << 30;
	add_destinations(&f, 3);
	add_outages(&f, 14);
	add_curve(&f, 25);
	add_numbers(&f, 1);
	return f;
}

static struct web_facts thousand(void)
{
	struct web_facts f = nothing();

	f.totals.space.used_bytes = UINT64_C(64) << 30;
	f.totals.space.pressure = SPOOL_FULL;
	add_destinations(&f, WEB_SHOWN);
	f.all_destinations = 100000;
	add_outages(&f, WEB_OUTAGES);
	add_curve(&f, 365);
	add_numbers(&f, 900);
	return f;
}

static struct web_facts hostile(void)
{
	static struct braked braked = { .since_ms = NOW - HOURS(1) };
	struct web_facts f = three();

	f.hostname = SPAN_LIT("mx2.<i>example</i>.net");
	f.destinations[0].name =
		SPAN_LIT("<script>document.title='x'</script>:25");
	f.destinations[0].state.last_reply = SPAN_LIT(
		"550 \"><img src=//evil.example/x onerror=alert(1)>&amp;"
		"\xe2\x80\xae"
		"desrever\x1b[31m \xff\xfe \xc3\xa4\xe6\x97\xa5"
		"\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d ]]> --> </style></title>");
	f.destinations[1].domain = SPAN_LIT("javascript:alert(1)//\r\n\t\0x");
	braked.replies[0] = (struct braked_reply){
		"550 5.7.1 <b>No</b> 'quotes\" & \xe2\x80\xa8 lines", 30
	};
	braked.reply_count = 1;
	f.destinations[2].state.braked = &braked;
	f.outages[0].reply = f.destinations[0].state.last_reply;
	f.outages[0].destination = f.destinations[0].name;
	return f;
}

static struct web_facts away(void)
{
	struct web_facts f = three();

	f.is_loop_well = false;
	return f;
}

static const struct {
	const char *name;
	struct web_facts (*make)(void);
} pages[] = {
	{ "empty", empty },	{ "three", three }, { "thousand", thousand },
	{ "hostile", hostile }, { "away", away },
};

static void put(const char *folder, const char *name, struct span content)
{
	char path[1000];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	if (f == NULL || fwrite(content.p, 1, content.n, f) != content.n ||
	    fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

static void put_pieces(const char *folder, const char *name,
		       const char *const *pieces)
{
	struct buf all = { 0 };

	for (; *pieces != NULL; pieces++)
		buf_adds(&all, *pieces);
	put(folder, name, buf_span(&all));
	buf_fini(&all);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: bench_page FOLDER\n");
		return 2;
	}
	put_pieces(argv[1], "style.css", style_css);
	put_pieces(argv[1], "icon.svg", style_icon);
	for (size_t i = 0; i < COUNT(pages); i++) {
		struct web_facts f = pages[i].make();
		int64_t begin_us = clock_mono_us();
		struct buf out = { 0 };
		char name[100];

		page_make(&out, &f);
		printf("%-9s %7zu bytes in %lld us\n", pages[i].name, out.n,
		       (long long)(clock_mono_us() - begin_us));
		snprintf(name, sizeof(name), "%s.html", pages[i].name);
		put(argv[1], name, buf_span(&out));
		buf_fini(&out);
		arena_reset(&arena);
	}
	return 0;
}
