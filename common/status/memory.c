#include "common/status/memory.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/scope.h"

void status_memory_fini(struct status_memory *m)
{
	free(m->known);
	free(m->targets);
	*m = (struct status_memory){ 0 };
}

static bool add_target(const struct spool_target *t, void *arg)
{
	struct status_memory *m = arg;

	if ((m->known_count & (m->known_count + 1)) == 0) /* 0 1 3 7 ... */
		m->known = mx_realloc(m->known,
				      (m->known_count + 1) * 2 * sizeof(*t));
	m->known[m->known_count] = *t;
	if (t->checked_ms == 0) /* by an earlier version */
		m->known[m->known_count].checked_ms = t->since_ms;
	m->known_count++;
	return true;
}

struct hold_search {
	const struct spool_domain *row;
	struct status_destination *out;
	struct status_memory *m;
};

static bool goes_to(const struct hold_search *h, struct span name)
{
	if (scope_names_route(span_str(h->row->destination), name))
		return true;
	for (size_t i = 0; i < h->out->target_count; i++)
		if (scope_names_target(h->out->targets[i].name, name))
			return true;
	return false;
}

static bool look_at_hold(const struct spool_domain *hold, void *arg)
{
	struct hold_search *h = arg;
	struct span name = span_str(hold->name);

	if (!scope_is_destination(name))
		return false;
	if (hold->is_held && goes_to(h, scope_destination(name))) {
		h->m->hold = *hold;
		h->out->hold_reason = h->m->hold.hold_reason;
	}
	return true;
}

static bool is_stale(const struct status_memory *m,
		     const struct spool_target *t)
{
	return m->now_ms - t->checked_ms > m->stale_ms;
}

/* What is too old is unknown; when it was seen, and what was said then, stays.
 */
static struct status_target target_of(const struct status_memory *m,
				      const struct spool_target *t)
{
	const char *known = t->is_up ? "up" : "down";
	bool stale = is_stale(m, t);

	return (struct status_target){
		.name = span_str(t->name),
		.state = stale ? "unknown" : known,
		.since_ms = stale ? 0 : t->since_ms,
		.checked_ms = t->checked_ms,
		.last_reply = span_str(t->last_reply),
	};
}

static bool tells_more(const struct status_memory *m,
		       const struct spool_target *a,
		       const struct spool_target *b)
{
	if (is_stale(m, a) != is_stale(m, b))
		return is_stale(m, b);
	if (a->is_up != b->is_up)
		return a->is_up;
	return a->since_ms > b->since_ms;
}

/* The destination does as the target that tells most. */
static void set_state(struct status_destination *out,
		      const struct status_target *t)
{
	out->state = t->state;
	out->is_down = strcmp(t->state, "down") == 0;
	out->since_ms = t->since_ms;
	out->checked_ms = t->checked_ms;
	out->last_reply = t->last_reply;
}

static void load(struct status_memory *m)
{
	if (m->is_loaded)
		return;
	(void)spool_targets(m->spool, add_target, m);
	m->targets = mx_alloc((m->known_count + 1) * sizeof(*m->targets));
	m->is_loaded = true;
}

typedef void key_fn(struct buf *out, struct span name);

static bool find_brake(struct status_memory *m, key_fn *print, struct span name)
{
	struct buf key = { 0 }, value = { 0 };
	bool found;

	print(&key, name);
	found = spool_fact_get(m->spool, buf_span(&key), &value) == MX_OK &&
		braked_parse(buf_span(&value), &m->braked);
	buf_fini(&key);
	buf_fini(&value);
	return found;
}

void status_remembered(const struct spool_domain *row,
		       struct status_destination *out, void *arg)
{
	struct status_memory *m = arg;
	struct hold_search search = { row, out, m };
	const struct spool_target *tells = NULL;

	load(m);
	out->targets = m->targets;
	for (size_t i = 0; i < m->known_count; i++) {
		const struct spool_target *t = &m->known[i];
		struct status_target *target = &m->targets[out->target_count];

		if (!scope_names_route(span_str(row->destination),
				       span_str(t->name)))
			continue;
		*target = target_of(m, t);
		out->target_count++;
		if (tells != NULL && !tells_more(m, t, tells))
			continue;
		tells = t;
		set_state(out, target);
	}
	if (find_brake(m, braked_domain_key, span_str(row->name)) ||
	    (row->destination[0] != '\0' &&
	     find_brake(m, braked_destination_key,
			span_str(row->destination))))
		out->braked = &m->braked;
	(void)spool_domains(m->spool, SPAN_LIT("@"), look_at_hold, &search);
}
