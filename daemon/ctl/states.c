#include "daemon/ctl/states.h"

#include <ctype.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/scope.h"

enum { ANSWER_MS = 5000 };

void states_open(struct states *s, const struct ctl *ctl, struct spool *spool,
		 struct buf *why)
{
	*s = (struct states){ .spool = spool,
			      .now_ms = ctl->now_ms,
			      .stale_ms = config_stale_ms(ctl->config) };
	s->is_live = link_open(&s->link, ctl, why) == CTL_DONE;
}

void states_close(struct states *s)
{
	link_close(&s->link);
	free(s->known);
}

/* ---- From the spool ---- */

static bool add_target(const struct spool_target *t, void *arg)
{
	struct states *s = arg;

	if ((s->known_count & (s->known_count + 1)) == 0) /* 0 1 3 7 ... */
		s->known = mx_realloc(s->known,
				      (s->known_count + 1) * 2 * sizeof(*t));
	s->known[s->known_count] = *t;
	if (t->checked_ms == 0) /* by an earlier version */
		s->known[s->known_count].checked_ms = t->since_ms;
	s->known_count++;
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
bool states_match(const char *destination, const char *target)
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
	return json_pack("{s:s, s:n, s:n, s:n, s:n, s:[]}", "state", "unknown",
			 "since", "next_probe", "checked", "last_reply",
			 "targets");
}

struct hold_search {
	const struct spool_domain *row;
	json_t *state;
};

static bool look_at_hold(const struct spool_domain *hold, void *arg)
{
	struct hold_search *h = arg;
	struct span name = span_str(hold->name);

	if (!scope_is_destination(name))
		return false;
	if (hold->is_held &&
	    states_goes_to(h->row, h->state, scope_destination(name)))
		json_object_set_new(h->state, "destination_hold",
				    control_text(span_str(hold->hold_reason)));
	return true;
}

static void set_hold(struct states *s, const struct spool_domain *row,
		     json_t *state)
{
	struct hold_search h = { row, state };

	(void)spool_domains(s->spool, SPAN_LIT("@"), look_at_hold, &h);
}

static bool is_stale(const struct states *s, const struct spool_target *t)
{
	return s->now_ms - t->checked_ms > s->stale_ms;
}

/* What is too old is unknown; when it was seen, and what was said then, stays.
 */
static void set_state(const struct states *s, json_t *o,
		      const struct spool_target *t)
{
	const char *known = t->is_up ? "up" : "down";
	bool stale = is_stale(s, t);

	json_object_set_new(o, "state", json_string(stale ? "unknown" : known));
	json_object_set_new(o, "since",
			    stale ? json_null() : control_time(t->since_ms));
	json_object_set_new(o, "checked", control_time(t->checked_ms));
	json_object_set_new(o, "last_reply",
			    control_text_or_null(span_str(t->last_reply)));
}

static bool tells_more(const struct states *s, const struct spool_target *a,
		       const struct spool_target *b)
{
	if (is_stale(s, a) != is_stale(s, b))
		return is_stale(s, b);
	if (a->is_up != b->is_up)
		return a->is_up;
	return a->since_ms > b->since_ms;
}

/* The last that was known: up if one of its targets was. */
static json_t *remembered(struct states *s, const struct spool_domain *row)
{
	json_t *state = unknown_state();
	json_t *targets = json_object_get(state, "targets");
	const struct spool_target *tells = NULL;

	if (!s->is_loaded)
		(void)spool_targets(s->spool, add_target, s);
	s->is_loaded = true;
	for (size_t i = 0; i < s->known_count; i++) {
		const struct spool_target *t = &s->known[i];
		json_t *target;

		if (!states_match(row->destination, t->name))
			continue;
		target = json_pack("{s:o}", "target",
				   control_text(span_str(t->name)));
		set_state(s, target, t);
		json_array_append_new(targets, target);
		if (tells == NULL || tells_more(s, t, tells))
			tells = t;
	}
	set_hold(s, row, state);
	if (tells != NULL)
		set_state(s, state, tells);
	return state;
}

/* ---- From the daemon ---- */

static bool send_questions(struct states *s, const struct spool_domain *rows,
			   size_t count)
{
	struct buf lines = { 0 };
	bool sent;

	for (size_t i = 0; i < count; i++)
		control_encode(&lines,
			       json_pack("{s:s, s:o}", "verb", "state",
					 "domain",
					 control_text(span_str(rows[i].name))));
	sent = link_write(&s->link, buf_span(&lines));
	buf_fini(&lines);
	return sent;
}

/* The rows come a page at a time: the questions are sent ahead, so that a
 * page costs one round trip. */
void states_get(struct states *s, const struct spool_domain *rows, size_t count,
		json_t **out)
{
	if (s->is_live)
		s->is_live = send_questions(s, rows, count);
	for (size_t i = 0; i < count; i++) {
		out[i] = s->is_live ? link_read(&s->link, ANSWER_MS) : NULL;
		if (out[i] == NULL && s->is_live) {
			ctl_complain("mx20d stopped answering: the rest is"
				     " as last known");
			s->is_live = false;
		}
		if (out[i] == NULL || !control_get_bool(out[i], "ok")) {
			json_decref(out[i]);
			out[i] = remembered(s, &rows[i]);
		}
	}
}

/* ---- Pages ---- */

static bool add_row(const struct spool_domain *row, void *arg)
{
	struct states_page *p = arg;

	p->rows[p->count++] = *row;
	return p->count < STATES_PAGE;
}

bool states_next_page(struct states *s, struct states_page *p, enum mx_err *err)
{
	char after[sizeof(p->rows[0].name)] = "";

	if (p->count > 0)
		memcpy(after, p->rows[p->count - 1].name, sizeof(after));
	p->count = 0;
	*err = spool_domains(s->spool, span_str(after), add_row, p);
	if (*err != MX_OK || p->count == 0)
		return false;
	states_get(s, p->rows, p->count, p->states);
	return true;
}

void states_release_page(struct states_page *p)
{
	for (size_t i = 0; i < p->count; i++)
		json_decref(p->states[i]);
}

bool states_goes_to(const struct spool_domain *row, const json_t *state,
		    struct span name)
{
	const json_t *targets = json_object_get(state, "targets");
	struct span key = control_get_text(state, "destination");

	if (scope_names_route(key.n > 0 ? key : span_str(row->destination),
			      name))
		return true;
	for (size_t i = 0; i < json_array_size(targets); i++)
		if (scope_names_target(
			    control_get_text(json_array_get(targets, i),
					     "target"),
			    name))
			return true;
	return false;
}
