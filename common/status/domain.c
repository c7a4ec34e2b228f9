/* The spool as a whole, and domains. */
#include <stdio.h>

#include "common/base/assert.h"
#include "common/control/control.h"
#include "common/spool/scope.h"
#include "common/status/status.h"

json_t *status_spool(const struct spool_totals *t)
{
	const struct spool_space *s = &t->space;

	return json_pack(
		"{s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:s, s:s}", "messages",
		(json_int_t)t->messages, "bytes", (json_int_t)t->bytes,
		"oldest", control_time(t->oldest_ms), "used",
		(json_int_t)s->used_bytes, "size", (json_int_t)s->size_bytes,
		"disk_free", (json_int_t)s->disk_bytes, "reserve",
		(json_int_t)s->reserve_bytes, "state",
		spool_pressure_name(s->pressure), "limit",
		s->is_disk ? "disk" : "quota");
}

json_t *status_target(struct span name, const char *state, int64_t since_ms,
		      int64_t checked_ms, struct span last_reply)
{
	return json_pack("{s:o, s:s, s:o, s:o, s:o}", "target",
			 control_text(name), "state", state, "since",
			 control_time(since_ms), "checked",
			 control_time(checked_ms), "last_reply",
			 control_text_or_null(last_reply));
}

/* Which hold keeps the whole domain back; NULL: none. */
static const char *hold_of(const struct spool_domain *row, const json_t *state)
{
	struct span reason = span_str(row->hold_reason);

	if (row->is_held && row->is_unlisted &&
	    span_eq(reason, SPAN_LIT(SPOOL_UNLISTED)))
		return "unlisted";
	if (row->is_held)
		return row->hold_pattern[0] != '\0' ? "pattern" : "domain";
	return json_is_string(json_object_get(state, "destination_hold"))
		       ? "destination"
		       : NULL;
}

static void set_hold(json_t *o, const struct spool_domain *row,
		     const json_t *state)
{
	const char *hold = hold_of(row, state);
	struct span reason =
		row->is_held ? span_str(row->hold_reason)
			     : control_get_text(state, "destination_hold");

	json_object_set_new(o, "held", json_boolean(hold || row->held > 0));
	json_object_set_new(o, "hold", hold ? json_string(hold) : json_null());
	json_object_set_new(o, "hold_reason", control_text_or_null(reason));
	json_object_set_new(o, "hold_pattern",
			    control_text_or_null(span_str(row->hold_pattern)));
}

static void copy_state(json_t *o, const json_t *state)
{
	static const char *const names[] = {
		"state",      "down",	 "since",  "next_probe",  "checked",
		"last_reply", "targets", "listed", "connections", "destination",
	};

	for (size_t i = 0; i < COUNT(names); i++) {
		json_t *value = json_object_get(state, names[i]);

		if (value != NULL)
			json_object_set(o, names[i], value);
	}
}

json_t *status_domain(const struct spool_domain *row, json_t *state)
{
	json_t *o = json_pack(
		"{s:o, s:I, s:I, s:o, s:I, s:I, s:I}", "domain",
		control_text(span_str(row->name)), "messages",
		(json_int_t)row->units, "bytes", (json_int_t)row->bytes,
		"oldest", control_time(row->oldest_ms), "ready",
		(json_int_t)row->ready, "deferred", (json_int_t)row->deferred,
		"held_messages", (json_int_t)row->held);

	set_hold(o, row, state);
	copy_state(o, state);
	if (json_object_get(o, "destination") == NULL)
		json_object_set_new(
			o, "destination",
			control_text_or_null(span_str(row->destination)));
	json_decref(state);
	return o;
}

bool status_goes_to(const json_t *o, struct span name)
{
	const json_t *targets = json_object_get(o, "targets");

	if (scope_names_route(control_get_text(o, "destination"), name))
		return true;
	for (size_t i = 0; i < json_array_size(targets); i++)
		if (scope_names_target(
			    control_get_text(json_array_get(targets, i),
					     "target"),
			    name))
			return true;
	return false;
}

/* ---- Pages ---- */

void status_page_fini(struct status_page *p)
{
	json_decref(p->items);
	buf_fini(&p->next);
	*p = (struct status_page){ 0 };
}

struct rows {
	struct status_page *page;
	status_state_fn *state;
	void *arg;
};

/* A hold of a destination stands in a row of its own, which is no domain. */
static json_t *row_object(const struct rows *r, const struct spool_domain *row)
{
	struct span name = span_str(row->name);

	if (!scope_is_destination(name))
		return status_domain(row, r->state(row, r->arg));
	return json_pack("{s:o, s:o}", "destination",
			 control_text(scope_destination(name)), "reason",
			 control_text(span_str(row->hold_reason)));
}

static bool add_row(const struct spool_domain *row, void *arg)
{
	struct rows *r = arg;

	json_array_append_new(r->page->items, row_object(r, row));
	if (json_array_size(r->page->items) < STATUS_ROWS)
		return true;
	buf_adds(&r->page->next, row->name);
	return false;
}

enum mx_err status_domains(struct spool *sp, struct span after,
			   status_state_fn *state, void *arg,
			   struct status_page *out)
{
	struct rows r = { out, state, arg };

	*out = (struct status_page){ .items = json_array() };
	return spool_domains(sp, after, add_row, &r);
}

enum mx_err status_domain_get(struct spool *sp, struct span name,
			      status_state_fn *state, void *arg, json_t **out)
{
	struct spool_domain row;
	enum mx_err err = spool_domain_get(sp, name, &row);

	*out = NULL;
	if (err != MX_OK && err != MX_ENOENT)
		return err;
	if (err == MX_ENOENT)
		row = (struct spool_domain){ 0 };
	snprintf(row.name, sizeof(row.name), "%.*s", SPAN_ARG(name));
	*out = status_domain(&row, state(&row, arg));
	return MX_OK;
}
