#include "daemon/history/tally_keeper.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"

enum { MAGIC = 0x74616c79 };

struct tally {
	unsigned magic;
	struct tally_options opt;
	struct metrics last;	/* as they were looked at */
	struct metrics counted; /* of the quarter */
	struct tally_slowest slowest;
	int64_t quarter; /* its number */
	bool is_dirty;
};

/* ---- Names ---- */

static bool is_kept(const struct metric *m)
{
	return m->kind == METRIC_COUNTER &&
	       (m->labels == NULL ||
		strncmp(m->labels[0], "reason=\"", 8) == 0);
}

/* "recipients_rejected.quota" of mx20_recipients_rejected_total and
 * reason="quota". */
static void add_name(struct buf *out, const struct metric *m, size_t i)
{
	struct span name = span_skip(span_str(m->name), strlen("mx20_"));

	buf_add(out, span_of(name.p, name.n - strlen("_total")));
	if (m->labels != NULL) {
		struct span reason = span_skip(span_str(m->labels[i]), 8);

		buf_addc(out, '.');
		buf_add(out, span_of(reason.p, reason.n - 1));
	}
}

/* ---- Rows ---- */

static void add_row(const struct tally *t, struct buf *out)
{
	struct buf name = { 0 };

	for (size_t id = 0; id < METRIC_COUNT; id++) {
		const struct metric *m = metric_get((enum metric_id)id);

		for (size_t i = 0; is_kept(m) && i < m->count; i++) {
			if (t->counted.numbers[id][i] == 0)
				continue;
			buf_reset(&name);
			add_name(&name, m, i);
			tally_put(out, buf_span(&name),
				  t->counted.numbers[id][i]);
		}
	}
	tally_put_slowest(out, &t->slowest);
	buf_fini(&name);
}

static void write_row(struct tally *t)
{
	struct buf key = { 0 }, value = { 0 };

	if (!t->is_dirty)
		return;
	t->is_dirty = false;
	tally_key(&key, t->quarter * TALLY_QUARTER_MS);
	add_row(t, &value);
	t->opt.put(buf_span(&key), buf_span(&value), t->opt.arg);
	buf_fini(&key);
	buf_fini(&value);
}

static void take_count(struct tally *t, struct span name, uint64_t n)
{
	struct buf known = { 0 };

	for (size_t id = 0; id < METRIC_COUNT; id++) {
		const struct metric *m = metric_get((enum metric_id)id);

		for (size_t i = 0; is_kept(m) && i < m->count; i++) {
			buf_reset(&known);
			add_name(&known, m, i);
			if (span_eq(buf_span(&known), name))
				t->counted.numbers[id][i] += n;
		}
	}
	buf_fini(&known);
}

/* It was begun before a restart, or before a clock was set back. */
static void read_row(struct tally *t)
{
	struct buf key = { 0 }, value = { 0 };
	struct tally_slowest slowest = { .wait_s = -1 };
	struct span rest, name;
	uint64_t n;

	tally_key(&key, t->quarter * TALLY_QUARTER_MS);
	if (t->opt.get(buf_span(&key), &value, t->opt.arg) == MX_OK)
		for (rest = buf_span(&value);
		     tally_next(&rest, &name, &n, &slowest);)
			take_count(t, name, n);
	if (slowest.wait_s > t->slowest.wait_s)
		t->slowest = slowest;
	buf_fini(&key);
	buf_fini(&value);
}

static void begin_quarter(struct tally *t, int64_t quarter)
{
	write_row(t);
	t->quarter = quarter;
	memset(&t->counted, 0, sizeof(t->counted));
	t->slowest.wait_s = -1;
	read_row(t);
}

/* ---- What happens ---- */

void tally_delivered(struct tally *t, const struct tally_slowest *what)
{
	MX_ASSERT(t->magic == MAGIC);
	if (what->wait_s <= t->slowest.wait_s)
		return;
	t->slowest = *what;
	t->is_dirty = true;
}

/* Counters go on at 0 behind their end. */
static void take_growth(struct tally *t, const struct metrics *now)
{
	for (size_t id = 0; id < METRIC_COUNT; id++) {
		const struct metric *m = metric_get((enum metric_id)id);

		for (size_t i = 0; is_kept(m) && i < m->count; i++) {
			uint64_t grown =
				now->numbers[id][i] - t->last.numbers[id][i];

			t->counted.numbers[id][i] += grown;
			t->is_dirty |= grown > 0;
		}
	}
	t->last = *now;
}

void tally_look(struct tally *t, const struct metrics *now, int64_t wall_ms)
{
	int64_t quarter = wall_ms / TALLY_QUARTER_MS;

	MX_ASSERT(t->magic == MAGIC);
	take_growth(t, now);
	if (quarter == t->quarter)
		write_row(t);
	else
		begin_quarter(t, quarter);
}

struct tally *tally_new(const struct tally_options *opt,
			const struct metrics *now, int64_t wall_ms)
{
	struct tally *t = mx_alloc(sizeof(*t));

	t->magic = MAGIC;
	t->opt = *opt;
	t->last = *now;
	begin_quarter(t, wall_ms / TALLY_QUARTER_MS);
	return t;
}

void tally_free(struct tally **tp)
{
	struct tally *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	t->magic = 0;
	free(t);
}
