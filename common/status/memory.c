#include "common/status/memory.h"

#include <ctype.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/control/control.h"
#include "common/spool/scope.h"

void status_memory_fini(struct status_memory *m)
{
	free(m->known);
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

static bool is_word_char(char c)
{
	return isalnum((unsigned char)c) || strchr("-._:[]", c) != NULL;
}

/* Is word in text, not as a part of a longer one? */
static bool has_word(const char *text, const char *word)
{
	const char *at = text;
	size_t n = strlen(word);

	while ((at = strstr(at, word)) != NULL) {
		bool starts = at == text || !is_word_char(at[-1]);

		if (starts && (at[n] == '\0' || !is_word_char(at[n])))
			return true;
		at++;
	}
	return false;
}

/*
 * A target is "mx.example.org[192.0.2.1]:25" or "[192.0.2.1]:25", a
 * destination is its hosts: "mx.example.org:25,192.0.2.2:25 tls=may".
 */
bool status_match(const char *destination, const char *target)
{
	struct span name = span_str(target);
	struct span rest = span_skip(name, span_find(name, '['));
	struct span port = span_skip(rest, span_find(rest, ']') + 1);
	struct buf word = { 0 };
	bool match;

	name.n -= rest.n;
	if (rest.n == 0 || port.n == 0)
		return false;
	buf_add(&word, name.n > 0 ? name : rest);
	if (name.n > 0)
		buf_add(&word, port);
	match = has_word(destination, buf_cstr(&word));
	if (!match && name.n == 0) { /* an IPv4 address has no brackets */
		buf_reset(&word);
		buf_add(&word,
			(struct span){ rest.p + 1, rest.n - port.n - 2 });
		buf_add(&word, port);
		match = has_word(destination, buf_cstr(&word));
	}
	buf_fini(&word);
	return match;
}

static json_t *unknown_state(void)
{
	return json_pack("{s:s, s:b, s:n, s:n, s:n, s:n, s:[]}", "state",
			 "unknown", "down", 0, "since", "next_probe", "checked",
			 "last_reply", "targets");
}

struct hold_search {
	const struct spool_domain *row;
	json_t *state;
};

static bool goes_to(const struct hold_search *h, struct span name)
{
	return scope_names_route(span_str(h->row->destination), name) ||
	       status_goes_to(h->state, name);
}

static bool look_at_hold(const struct spool_domain *hold, void *arg)
{
	struct hold_search *h = arg;
	struct span name = span_str(hold->name);

	if (!scope_is_destination(name))
		return false;
	if (hold->is_held && goes_to(h, scope_destination(name)))
		json_object_set_new(h->state, "destination_hold",
				    control_text(span_str(hold->hold_reason)));
	return true;
}

static void set_hold(const struct status_memory *m,
		     const struct spool_domain *row, json_t *state)
{
	struct hold_search h = { row, state };

	(void)spool_domains(m->spool, SPAN_LIT("@"), look_at_hold, &h);
}

static bool is_stale(const struct status_memory *m,
		     const struct spool_target *t)
{
	return m->now_ms - t->checked_ms > m->stale_ms;
}

/* What is too old is unknown; when it was seen, and what was said then, stays.
 */
static json_t *target_object(const struct status_memory *m,
			     const struct spool_target *t)
{
	const char *known = t->is_up ? "up" : "down";
	bool stale = is_stale(m, t);

	return status_target(span_str(t->name), stale ? "unknown" : known,
			     stale ? 0 : t->since_ms, t->checked_ms,
			     span_str(t->last_reply));
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
static void set_state(json_t *state, const json_t *target)
{
	static const char *const names[] = { "state", "since", "checked",
					     "last_reply" };

	for (size_t i = 0; i < COUNT(names); i++)
		json_object_set(state, names[i],
				json_object_get(target, names[i]));
	json_object_set_new(
		state, "down",
		json_boolean(span_eq(control_get_text(target, "state"),
				     SPAN_LIT("down"))));
}

static void load(struct status_memory *m)
{
	if (!m->is_loaded)
		(void)spool_targets(m->spool, add_target, m);
	m->is_loaded = true;
}

json_t *status_remembered(const struct spool_domain *row, void *arg)
{
	struct status_memory *m = arg;
	json_t *state = unknown_state();
	json_t *targets = json_object_get(state, "targets");
	const struct spool_target *tells = NULL;

	load(m);
	for (size_t i = 0; i < m->known_count; i++) {
		const struct spool_target *t = &m->known[i];
		json_t *target;

		if (!status_match(row->destination, t->name))
			continue;
		target = target_object(m, t);
		json_array_append_new(targets, target);
		if (tells != NULL && !tells_more(m, t, tells))
			continue;
		tells = t;
		set_state(state, target);
	}
	set_hold(m, row, state);
	return state;
}
