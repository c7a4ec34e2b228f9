#include "common/status/filter.h"

#include "common/control/control.h"

/* The states that recipients can be in, as JSON has them; ends with NULL. */
static const char *const state_names[] = { "ready",	"deferred", "held",
					   "unsettled", "refused",  "delivered",
					   NULL };

static bool take_pattern(struct pattern *p, const json_t *object,
			 const char *key)
{
	return json_object_get(object, key) == NULL ||
	       pattern_take(p, control_get_text(object, key));
}

static bool take_state(struct status_filter *f, struct span name)
{
	for (size_t i = 0; state_names[i] != NULL; i++) {
		if (!span_eq(name, span_str(state_names[i])))
			continue;
		f->states |= 1U << i;
		return true;
	}
	return false;
}

static bool take_states(struct status_filter *f, struct span names)
{
	while (names.n > 0)
		if (!take_state(f, span_cut(&names, ',')))
			return false;
	return true;
}

const char *status_filter_take(struct status_filter *f, const json_t *object)
{
	struct span word = control_get_text(object, "word");

	*f = (struct status_filter){ 0 };
	if (!take_pattern(&f->from, object, "from") ||
	    !take_pattern(&f->to, object, "to") ||
	    !take_pattern(&f->either, object, "either"))
		return "neither an address, nor @domain, nor a part of one";
	if (!take_states(f, control_get_text(object, "states")))
		return "a state is ready, deferred, held, unsettled, refused "
		       "or delivered";
	if (word.n > PATTERN_MAX)
		return "the word is too long";
	buf_add(&f->word, word);
	f->before_ms = control_get_int(object, "before_ms", 0);
	return NULL;
}

void status_filter_fini(struct status_filter *f)
{
	pattern_fini(&f->from);
	pattern_fini(&f->to);
	pattern_fini(&f->either);
	buf_fini(&f->word);
}

bool status_filter_message(struct status_filter *f, const struct envelope *e)
{
	return (f->before_ms == 0 || e->arrived_ms < f->before_ms) &&
	       pattern_matches(&f->from, e->from);
}

static bool is_state(const struct status_filter *f, const char *state)
{
	for (size_t i = 0; state_names[i] != NULL; i++)
		if (strcmp(state_names[i], state) == 0)
			return (f->states >> i & 1) != 0;
	return false;
}

bool status_filter_recipient(struct status_filter *f, const struct envelope *e,
			     const struct recipient *r, const char *state)
{
	return pattern_matches(&f->to, r->path) &&
	       (f->states == 0 || is_state(f, state)) &&
	       (f->word.n == 0 ||
		pattern_contains_word(r->last_reply, buf_span(&f->word))) &&
	       (pattern_matches(&f->either, r->path) ||
		pattern_matches(&f->either, e->from));
}
