#include "daemon/ctl/wanted.h"

#include "common/base/assert.h"
#include "common/base/msgid.h"
#include "common/control/control.h"
#include "common/status/filter.h"
#include "config/value/value.h"
#include "daemon/ctl/print.h"

/* ---- Orders ---- */

static void by_newest(const json_t *m, struct best_key *key, struct buf *text)
{
	uint64_t id = 0; /* they rise with time, and finer than it is shown */

	(void)text;
	(void)msg_id_parse(control_get_text(m, "id"), &id);
	key->number = (int64_t)(~id - (uint64_t)INT64_MIN); /* all its bits */
}

static void by_size(const json_t *m, struct best_key *key, struct buf *text)
{
	(void)text;
	key->number = -control_get_int(m, "bytes", 0);
}

/* Whoever has no time waits for something else: last. */
static void by_due(const json_t *m, struct best_key *key, struct buf *text)
{
	const json_t *list = json_object_get(m, "recipients");

	(void)text;
	key->number = INT64_MAX;
	for (size_t i = 0; i < json_array_size(list); i++) {
		int64_t due_ms = print_get_time(json_array_get(list, i), "due");

		if (due_ms != 0 && due_ms < key->number)
			key->number = due_ms;
	}
}

static void by_tries(const json_t *m, struct best_key *key, struct buf *text)
{
	const json_t *list = json_object_get(m, "recipients");

	(void)text;
	for (size_t i = 0; i < json_array_size(list); i++) {
		int64_t n = control_get_int(json_array_get(list, i), "attempts",
					    0);

		if (-n < key->number)
			key->number = -n;
	}
}

static void by_from(const json_t *m, struct best_key *key, struct buf *text)
{
	struct span from = control_get_text(m, "from");

	for (size_t i = 0; i < from.n; i++)
		buf_addc(text, ascii_lower(from.p[i]));
	key->text = buf_span(text);
}

static const struct {
	const char *name;
	wanted_key_fn *key;
} orders[] = {
	{ "arrival", NULL }, { "newest", by_newest }, { "size", by_size },
	{ "due", by_due },   { "tries", by_tries },   { "from", by_from },
};

static bool take_order(struct wanted *w, const char *name)
{
	for (size_t i = 0; i < COUNT(orders); i++) {
		if (strcmp(orders[i].name, name) != 0)
			continue;
		w->key = orders[i].key;
		return true;
	}
	ctl_complain("--sort is arrival, newest, size, due, tries or from");
	return false;
}

/* ---- The filter ---- */

static bool take_text(json_t *filter, const char *option, const char *key,
		      const char *value)
{
	json_t *text;

	if (value == NULL)
		return true;
	text = json_string(value);
	if (text == NULL) {
		ctl_complain("--%s: text that is not UTF-8", option);
		return false;
	}
	json_object_set_new(filter, key, text);
	return true;
}

static bool take_age(json_t *filter, const struct ctl *ctl)
{
	int64_t ms;

	if (ctl->older == NULL)
		return true;
	if (!value_time(span_str(ctl->older), &ms)) {
		ctl_complain("--older is a time such as 30m, 4h or 3d");
		return false;
	}
	json_object_set_new(filter, "before_ms",
			    json_integer((json_int_t)(ctl->now_ms - ms)));
	return true;
}

/* Nothing is asked with what nobody would understand. */
static bool is_filter(const json_t *filter)
{
	struct status_filter f;
	const char *wrong = status_filter_take(&f, filter);

	status_filter_fini(&f);
	if (wrong != NULL)
		ctl_complain("%s", wrong);
	return wrong == NULL;
}

static bool take_limit(struct wanted *w, const char *text)
{
	w->limit = w->key != NULL ? WANTED_SORTED : UINT64_MAX;
	w->is_limited = text != NULL;
	if (text == NULL)
		return true;
	if (!span_u64(span_str(text), &w->limit) || w->limit == 0) {
		ctl_complain("--limit is a whole number from 1 on");
		return false;
	}
	if (w->key != NULL && w->limit > WANTED_SORTED_MAX) {
		ctl_complain("--limit is at most %d with --sort",
			     WANTED_SORTED_MAX);
		return false;
	}
	return true;
}

bool wanted_take(struct wanted *w, const struct ctl *ctl)
{
	*w = (struct wanted){ .filter = json_object() };
	if (!take_text(w->filter, "from", "from", ctl->from) ||
	    !take_text(w->filter, "to", "to", ctl->to) ||
	    !take_text(w->filter, "state", "states", ctl->state) ||
	    !take_age(w->filter, ctl) || !is_filter(w->filter) ||
	    (ctl->sort != NULL && !take_order(w, ctl->sort)) ||
	    !take_limit(w, ctl->limit))
		return false;
	if (json_object_size(w->filter) == 0) {
		json_decref(w->filter);
		w->filter = NULL;
	}
	return true;
}

void wanted_fini(struct wanted *w)
{
	json_decref(w->filter);
	w->filter = NULL;
}
