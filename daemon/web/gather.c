#include "daemon/web/gather.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/hash.h"
#include "daemon/web/api.h"
#include "daemon/web/exposition.h"
#include "daemon/web/page.h"
#include "daemon/web/past.h"
#include "daemon/web/tally.h"

enum {
	MAGIC = 0x67617468,
	SWEEP_MS = 5000,
	ANSWER_MS = 1000,  /* the loop has so long */
	PAUSE_US = 200000, /* between two questions to it */
};

struct gather {
	unsigned magic;
	struct gather_options opt;
	pthread_t thread;
	int64_t started_ms; /* wall */
	char hostname[256]; /* as last heard */
	struct spool_totals totals;
};

/* One round: what is wanted, and what it is made of. */
struct round {
	struct gather *g;
	struct tally tally;
	struct question q;
	struct web_facts facts;
	struct answered *answers; /* hash by domain, in q.arena */
};

/* ---- Documents ---- */

static void make_text(struct buf *out, struct round *r)
{
	exposition_make(out, &r->facts, EXPOSITION_TEXT);
}

static void make_open(struct buf *out, struct round *r)
{
	exposition_make(out, &r->facts, EXPOSITION_OPENMETRICS);
}

static const struct status_destination *state_of(struct span domain, void *arg);

static void make_status(struct buf *out, struct round *r)
{
	api_status(out, &(struct api_status){
				.view = r->g->opt.view,
				.overview = r->q.overview,
				.hostname = r->facts.hostname,
				.rows = r->tally.rows,
				.most = WEB_DOMAINS,
				.state = state_of,
				.arg = r,
			});
}

static void make_outages(struct buf *out, struct round *r)
{
	api_outages(out, r->g->opt.view);
}

static void make_page(struct buf *out, struct round *r)
{
	past_load(&r->tally.arena, r->g->opt.view, &r->facts);
	page_make(out, &r->facts);
}

/* clang-format off */
static const struct maker {
	void (*make)(struct buf *out, struct round *r);
	const char *content_type;
	size_t destinations, others, domains; /* whose state is asked for */
} makers[DOC_COUNT] = {
	[DOC_METRICS_TEXT] = { make_text,
		"text/plain; version=0.0.4; charset=utf-8",
		WEB_LABELLED, WEB_LABELLED, 0 },
	[DOC_METRICS_OPEN] = { make_open,
		"application/openmetrics-text; version=1.0.0; charset=utf-8",
		WEB_LABELLED, WEB_LABELLED, 0 },
	[DOC_STATUS] = { make_status, "application/json", 0, 0, WEB_DOMAINS },
	[DOC_OUTAGES] = { make_outages, "application/json", 0, 0, 0 },
	[DOC_PAGE] = { make_page, "text/html; charset=utf-8",
		WEB_SHOWN, WEB_LABELLED, 0 },
};
/* clang-format on */

/* The most that any wanted document needs. */
static struct maker needs_of(unsigned wanted)
{
	struct maker most = { 0 };

	for (size_t i = 0; i < DOC_COUNT; i++) {
		const struct maker *m = &makers[i];

		if ((wanted & 1U << i) == 0)
			continue;
		if (m->destinations > most.destinations)
			most.destinations = m->destinations;
		if (m->others > most.others)
			most.others = m->others;
		if (m->domains > most.domains)
			most.domains = m->domains;
	}
	return most;
}

/* ---- States, by domain ---- */

struct answered {
	struct span domain;
	const struct status_destination *state;
	UT_hash_handle hh;
};

static void index_answers(struct round *r)
{
	for (size_t i = 0; i < r->q.count; i++) {
		struct answered *a = arena_alloc(&r->q.arena, sizeof(*a));
		struct answered *known;

		a->domain = r->q.names[i];
		a->state = &r->q.states[i];
		HASH_FIND(hh, r->answers, a->domain.p, a->domain.n, known);
		if (known == NULL)
			HASH_ADD_KEYPTR(hh, r->answers, a->domain.p,
					a->domain.n, a);
	}
}

static const struct status_destination *state_of(struct span domain, void *arg)
{
	struct round *r = arg;
	struct answered *a;

	HASH_FIND(hh, r->answers, domain.p, domain.n, a);
	return a != NULL ? a->state : NULL;
}

/* ---- A round ---- */

static bool add_row(const struct spool_domain *row, void *arg)
{
	struct round *r = arg;

	tally_add(&r->tally, row);
	return !desk_is_closed(r->g->opt.desk);
}

/* A domain of each destination, and the first rows. */
static void ask_for(struct round *r, const struct maker *needs)
{
	struct web_facts *f = &r->facts;
	size_t most = f->destination_count + r->tally.name_count;
	struct span *names =
		arena_alloc_array(&r->tally.arena, most + 1, sizeof(*names));

	for (size_t i = 0; i < f->destination_count; i++)
		names[i] = f->destinations[i].domain;
	if (r->tally.name_count > 0)
		memcpy(names + f->destination_count, r->tally.names,
		       r->tally.name_count * sizeof(*names));
	r->q.names = names;
	r->q.count = most;
	r->q.most_others = needs->others;
}

static bool is_there(const struct web_facts *f, struct span name)
{
	for (size_t i = 0; i < f->destination_count; i++)
		if (span_eq(f->destinations[i].name, name))
			return true;
	return false;
}

/* Destinations without mail fill up the list. */
static void add_others(struct round *r, size_t most)
{
	struct web_facts *f = &r->facts;
	struct web_destination *all;

	if (f->destination_count >= most)
		return;
	all = arena_alloc_array(&r->q.arena,
				f->destination_count + r->q.other_count + 1,
				sizeof(*all));
	memcpy(all, f->destinations, f->destination_count * sizeof(*all));
	for (size_t i = 0; i < r->q.other_count && f->destination_count < most;
	     i++) {
		if (is_there(f, r->q.others[i].name))
			continue;
		all[f->destination_count++] = (struct web_destination){
			.name = r->q.others[i].name,
			.state = r->q.others[i],
		};
		f->destinations = all;
	}
}

static void without_answer(struct round *r)
{
	static const struct status_destination none = { .state = "unknown",
							.connections = -1 };
	struct web_facts *f = &r->facts;

	f->now_ms = clock_wall_ms();
	f->totals = r->g->totals;
	f->hostname = span_str(r->g->hostname);
	metrics_read(&f->metrics);
	for (size_t i = 0; i < f->destination_count; i++)
		f->destinations[i].state = none;
	tally_settle(&r->tally, f->destinations, &f->destination_count);
}

static void with_answer(struct round *r, const struct maker *needs)
{
	struct web_facts *f = &r->facts;
	struct gather *g = r->g;

	f->is_loop_well = true;
	f->now_ms = r->q.now_ms;
	f->totals = g->totals = r->q.totals;
	f->hostname = r->q.hostname;
	if (f->hostname.n < sizeof(g->hostname))
		memcpy(g->hostname, f->hostname.p, f->hostname.n + 1);
	f->metrics = r->q.metrics;
	for (size_t i = 0; i < f->destination_count; i++)
		f->destinations[i].state = r->q.states[i];
	tally_settle(&r->tally, f->destinations, &f->destination_count);
	index_answers(r);
	add_others(r, needs->others);
}

static void find_out(struct round *r, unsigned wanted)
{
	struct maker needs = needs_of(wanted);
	struct web_facts *f = &r->facts;

	f->started_ms = r->g->started_ms;
	r->tally.most_names = needs.domains;
	(void)spool_domains(r->g->opt.view, SPAN_LIT(""), add_row, r);
	f->all_destinations = r->tally.count;
	f->destinations =
		tally_top(&r->tally, needs.destinations, &f->destination_count);
	ask_for(r, &needs);
	if (ask_loop(r->g->opt.ask, &r->q, ANSWER_MS))
		with_answer(r, &needs);
	else
		without_answer(r);
}

static void make_all(struct round *r, unsigned wanted, int64_t begin_ms)
{
	for (unsigned i = 0; i < DOC_COUNT; i++) {
		struct buf out = { 0 };

		if ((wanted & 1U << i) == 0)
			continue;
		makers[i].make(&out, r);
		desk_put(r->g->opt.desk, i, &out, makers[i].content_type,
			 clock_mono_ms() - begin_ms);
	}
}

static void make_round(struct gather *g, unsigned wanted)
{
	struct round *r = mx_alloc(sizeof(*r));
	int64_t begin_ms = clock_mono_ms();

	r->g = g;
	find_out(r, wanted);
	if (!desk_is_closed(g->opt.desk))
		make_all(r, wanted, begin_ms);
	HASH_CLEAR(hh, r->answers);
	question_fini(&r->q);
	tally_fini(&r->tally);
	free(r);
	desk_wake(g->opt.desk);
}

static void *run(void *arg)
{
	struct gather *g = arg;

	while (!desk_is_closed(g->opt.desk)) {
		unsigned wanted = desk_wait(g->opt.desk, SWEEP_MS);

		serve_sweep(g->opt.serve);
		if (wanted == 0)
			continue;
		make_round(g, wanted);
		usleep(PAUSE_US);
	}
	return NULL;
}

/* ---- Life ---- */

struct gather *gather_new(const struct gather_options *opt)
{
	struct gather *g = mx_alloc(sizeof(*g));

	g->magic = MAGIC;
	g->opt = *opt;
	g->started_ms = clock_wall_ms();
	if (pthread_create(&g->thread, NULL, run, g) == 0)
		return g;
	spool_view_free(&g->opt.view);
	free(g);
	return NULL;
}

void gather_free(struct gather **gp)
{
	struct gather *g = *gp;

	*gp = NULL;
	if (g == NULL)
		return;
	MX_ASSERT(g->magic == MAGIC);
	pthread_join(g->thread, NULL);
	spool_view_free(&g->opt.view);
	g->magic = 0;
	free(g);
}
