#include "daemon/known/downtime.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/hash.h"

enum { KEY_MAX = 32, VALUE_MAX = 72 };

/* Longer than anything is known. */
#define KEPT_MS DAYS(400)

/* Written behind: what is here is newer than what can be read. */
struct outages {
	UT_hash_handle hh;
	uint64_t destination;
	int64_t past_ms, since_ms; /* since 0: it is up */
};

struct downtime {
	struct spool *spool;
	struct outages *known; /* hash by destination */
};

struct downtime *downtime_new(struct spool *sp)
{
	struct downtime *d = mx_alloc(sizeof(*d));

	d->spool = sp;
	return d;
}

void downtime_free(struct downtime **dp)
{
	struct downtime *d = *dp;
	struct outages *o, *tmp;

	if (d == NULL)
		return;
	*dp = NULL;
	HASH_ITER (hh, d->known, o, tmp) {
		HASH_DEL(d->known, o);
		free(o);
	}
	free(d);
}

/* ---- As a fact: what was, down since (0: up), when that was noted ---- */

static struct span fact_key(char text[static KEY_MAX], uint64_t destination)
{
	int n = snprintf(text, KEY_MAX, "down:%016" PRIx64, destination);

	return span_of(text, (size_t)n);
}

static void store(struct downtime *d, const struct outages *o, int64_t now_ms)
{
	char key[KEY_MAX], value[VALUE_MAX];
	int n = snprintf(value, sizeof(value),
			 "%" PRId64 " %" PRId64 " %" PRId64, o->past_ms,
			 o->since_ms, now_ms);

	spool_fact_put(d->spool, fact_key(key, o->destination),
		       span_of(value, (size_t)n));
}

static bool cut_time(struct span *rest, int64_t *ms)
{
	uint64_t v;

	if (!span_u64(span_cut(rest, ' '), &v) || v > INT64_MAX / 4)
		return false;
	*ms = (int64_t)v;
	return true;
}

static bool parse(struct span value, struct outages *o, int64_t *noted_ms)
{
	return cut_time(&value, &o->past_ms) && cut_time(&value, &o->since_ms) &&
	       cut_time(&value, noted_ms) && value.n == 0;
}

bool downtime_is_over(struct span key, struct span value, int64_t now_ms)
{
	struct outages o = { 0 };
	int64_t noted_ms;

	if (!span_starts(key, SPAN_LIT("down:")))
		return false;
	return !parse(value, &o, &noted_ms) ||
	       (o.since_ms == 0 && now_ms - noted_ms > KEPT_MS);
}

/* ---- In memory ---- */

static struct outages *keep(struct downtime *d, const struct outages *from)
{
	struct outages *o = mx_alloc(sizeof(*o));

	*o = *from;
	HASH_ADD(hh, d->known, destination, sizeof(o->destination), o);
	return o;
}

/* NULL: it was never down, as far as is known. */
static struct outages *find(struct downtime *d, uint64_t destination)
{
	struct outages read = { .destination = destination }, *o;
	struct buf value = { 0 };
	char key[KEY_MAX];
	int64_t noted_ms;

	HASH_FIND(hh, d->known, &destination, sizeof(destination), o);
	if (o != NULL || destination == 0)
		return o;
	if (spool_fact_get(d->spool, fact_key(key, destination), &value) ==
		    MX_OK &&
	    parse(buf_span(&value), &read, &noted_ms))
		o = keep(d, &read);
	buf_fini(&value);
	return o;
}

void downtime_note(struct downtime *d, uint64_t destination, bool is_down,
		   int64_t now_ms)
{
	const struct outages none = { .destination = destination };
	struct outages *o = find(d, destination);

	if (destination == 0 || is_down == (o != NULL && o->since_ms != 0))
		return;
	if (o == NULL)
		o = keep(d, &none);
	if (is_down) {
		o->since_ms = now_ms;
	} else {
		if (now_ms > o->since_ms)
			o->past_ms += now_ms - o->since_ms;
		o->since_ms = 0;
	}
	store(d, o, now_ms);
}

int64_t downtime_past(struct downtime *d, uint64_t destination)
{
	const struct outages *o = find(d, destination);

	return o != NULL ? o->past_ms : 0;
}

bool downtime_is_down(struct downtime *d, uint64_t destination)
{
	const struct outages *o = find(d, destination);

	return o != NULL && o->since_ms != 0;
}

int64_t downtime_total(struct downtime *d, uint64_t destination, int64_t now_ms)
{
	const struct outages *o = find(d, destination);

	if (o == NULL)
		return 0;
	return o->past_ms + (o->since_ms != 0 && now_ms > o->since_ms
				     ? now_ms - o->since_ms
				     : 0);
}
