#include "daemon/history/plotter.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"

enum { MAGIC = 0x706c6f74, WRITE_MINUTES = 5 };

struct plotter {
	unsigned magic;
	struct plotter_options opt;
	int64_t hour;	  /* of the value; 0: there is none yet */
	struct buf value; /* of the hour that goes on */
	struct curve_sample last;
	bool has_last;
	bool is_dirty;	     /* there is more than was written, */
	bool has_news;	     /* and it is not the same again */
	int64_t written_min; /* minute since 1970 */
};

static int64_t minute_of(int64_t wall_ms)
{
	return wall_ms / MINUTES(1);
}

static void put(struct plotter *p, int64_t hour, struct span value)
{
	struct buf key = { 0 };

	curve_key(&key, hour);
	p->opt.put(buf_span(&key), value, p->opt.arg);
	buf_fini(&key);
}

static void write_hour(struct plotter *p)
{
	if (p->is_dirty)
		put(p, p->hour, buf_span(&p->value));
	p->is_dirty = p->has_news = false;
	p->written_min = minute_of(p->last.at_ms);
}

/* ---- What is old ---- */

static void condense(struct plotter *p, int64_t hour, struct span value)
{
	struct buf fullest = { 0 };

	if (curve_condense(&fullest, hour, value))
		put(p, hour, buf_span(&fullest));
	buf_fini(&fullest);
}

static void forget(struct plotter *p, int64_t hour, struct span value)
{
	(void)value;
	put(p, hour, SPAN_LIT(""));
}

/* If there is such a row. */
static void age(struct plotter *p, int64_t hour,
		void (*how)(struct plotter *p, int64_t hour, struct span value))
{
	struct buf key = { 0 }, value = { 0 };

	if (hour <= 0)
		return;
	curve_key(&key, hour);
	if (p->opt.get(buf_span(&key), &value, p->opt.arg) == MX_OK)
		how(p, hour, buf_span(&value));
	buf_fini(&key);
	buf_fini(&value);
}

static void next_hour(struct plotter *p, int64_t hour)
{
	if (p->hour != 0)
		write_hour(p);
	buf_reset(&p->value);
	p->hour = hour;
	age(p, hour - CURVE_FINE_HOURS, condense);
	age(p, hour - CURVE_KEPT_HOURS, forget);
}

void plotter_load(struct plotter *p, struct span key, struct span value,
		  int64_t now_ms)
{
	int64_t now = curve_hour(now_ms), hour;

	if (!curve_key_get(key, &hour))
		return;
	if (hour <= now - CURVE_KEPT_HOURS || hour > now + CURVE_FINE_HOURS) {
		forget(p, hour, value); /* too old; or a clock was wrong */
	} else if (hour <= now - CURVE_FINE_HOURS) {
		condense(p, hour, value);
	} else if (hour == now) {
		p->hour = hour;
		buf_add(&p->value, value);
		while (curve_next(&value, hour, &p->last))
			p->has_last = true;
	}
}

/* ---- Now ---- */

static bool is_same(const struct curve_sample *a, const struct curve_sample *b)
{
	return a->used_bytes == b->used_bytes && a->messages == b->messages;
}

void plotter_add(struct plotter *p, const struct curve_sample *s)
{
	int64_t minute = minute_of(s->at_ms), hour = curve_hour(s->at_ms);

	MX_ASSERT(p->magic == MAGIC);
	/* a clock that was set back: wait for it */
	if (p->has_last && minute <= minute_of(p->last.at_ms) &&
	    hour >= p->hour - CURVE_FINE_HOURS)
		return;
	if (hour != p->hour)
		next_hour(p, hour);
	curve_put(&p->value, s);
	p->is_dirty = true;
	if (!p->has_last || !is_same(s, &p->last))
		p->has_news = true;
	p->last = *s;
	p->has_last = true;
	if (p->has_news && minute - p->written_min >= WRITE_MINUTES)
		write_hour(p);
}

struct plotter *plotter_new(const struct plotter_options *opt)
{
	struct plotter *p = mx_alloc(sizeof(*p));

	p->magic = MAGIC;
	p->opt = *opt;
	return p;
}

void plotter_free(struct plotter **pp)
{
	struct plotter *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	MX_ASSERT(p->magic == MAGIC);
	if (p->hour != 0)
		write_hour(p);
	buf_fini(&p->value);
	p->magic = 0;
	free(p);
}
