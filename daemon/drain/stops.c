#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/metrics.h"
#include "daemon/drain/drain_priv.h"

static void count(const struct drain *d)
{
	metrics_set(METRIC_BRAKES, HASH_COUNT(d->stops));
}

static struct stop *find(struct drain *d, struct span key)
{
	struct stop *s = NULL;

	if (d->stops != NULL)
		HASH_FIND(hh, d->stops, key.p, key.n, s);
	return s;
}

void stops_put_off(struct stop *s, int64_t wait_ms)
{
	s->next_ms = clock_mono_ms() + wait_ms;
	s->why.next_ms = clock_wall_ms() + wait_ms;
}

static struct stop *enter(struct drain *d, struct span key,
			  const struct braked *why)
{
	struct stop *s = find(d, key);

	if (s == NULL) {
		s = mx_alloc(sizeof(*s) + key.n + 1);
		memcpy(s->key, key.p, key.n);
		s->key_len = key.n;
		HASH_ADD_KEYPTR(hh, d->stops, s->key, s->key_len, s);
	}
	s->why = *why;
	stops_put_off(s, STOP_TRY_MS);
	count(d);
	return s;
}

static bool on_fact(struct span key, struct span value, void *arg)
{
	struct braked why;

	if (!braked_parse(value, &why))
		why = (struct braked){ .since_ms = clock_wall_ms() };
	enter(arg, key, &why);
	return true;
}

void stops_load(struct drain *d)
{
	(void)spool_facts(d->spool, SPAN_LIT("brake:"), SPAN_LIT(""), on_fact,
			  d);
	count(d);
}

static void leave(struct drain *d, struct stop *s)
{
	HASH_DEL(d->stops, s);
	free(s);
}

void stops_forget(struct drain *d)
{
	struct stop *s, *tmp;

	HASH_ITER (hh, d->stops, s, tmp)
		leave(d, s);
}

typedef void key_fn(struct buf *out, struct span name);

static struct stop *find_by(struct drain *d, key_fn *print, struct span name)
{
	struct buf key = { 0 };
	struct stop *s;

	if (d->stops == NULL)
		return NULL;
	print(&key, name);
	s = find(d, buf_span(&key));
	buf_fini(&key);
	return s;
}

struct stop *stops_of_domain(struct drain *d, struct span name)
{
	return find_by(d, braked_domain_key, name);
}

struct stop *stops_of_route(struct drain *d, struct span route_key)
{
	return find_by(d, braked_destination_key, route_key);
}

static struct stop *add_by(struct drain *d, key_fn *print, struct span name,
			   const struct braked *why)
{
	struct buf key = { 0 }, value = { 0 };
	struct stop *s;

	print(&key, name);
	braked_print(&value, why);
	spool_fact_put(d->spool, buf_span(&key), buf_span(&value));
	s = enter(d, buf_span(&key), why);
	buf_fini(&key);
	buf_fini(&value);
	return s;
}

struct stop *stops_add_domain(struct drain *d, struct span name,
			      const struct braked *why)
{
	return add_by(d, braked_domain_key, name, why);
}

struct stop *stops_add_route(struct drain *d, struct span route_key,
			     const struct braked *why)
{
	return add_by(d, braked_destination_key, route_key, why);
}

void stops_drop(struct drain *d, struct stop *s)
{
	spool_fact_put(d->spool, span_of(s->key, s->key_len), SPAN_LIT(""));
	leave(d, s);
	count(d);
}
