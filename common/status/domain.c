/* The spool as a whole, and domains. */
#include <stdio.h>

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

/* ---- Destinations ---- */

static json_t *target_object(const struct status_target *t)
{
	return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o}", "target",
			 control_text(t->name), "state", t->state, "since",
			 control_time(t->since_ms), "checked",
			 control_time(t->checked_ms), "last_reply",
			 control_text_or_null(t->last_reply), "mismatch_until",
			 control_time(t->mismatch_ms));
}

json_t *status_targets(const struct status_destination *d)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->target_count; i++)
		json_array_append_new(list, target_object(&d->targets[i]));
	return list;
}

static json_t *refusals(const struct braked *b)
{
	json_t *list = json_array();

	for (size_t i = 0; i < b->reply_count; i++)
		json_array_append_new(
			list, json_pack("{s:o, s:I}", "reply",
					control_text(span_str(
						b->replies[i].text)),
					"count",
					(json_int_t)b->replies[i].count));
	if (b->others > 0)
		json_array_append_new(list, json_pack("{s:n, s:I}", "reply",
						      "count",
						      (json_int_t)b->others));
	return list;
}

/* Braked it is down, whatever it says. */
void status_set_state(json_t *o, const struct status_destination *d)
{
	const struct braked *b = d->braked;
	bool is_braked = b != NULL;

	json_object_set_new(o, "state",
			    json_string(is_braked ? "down" : d->state));
	json_object_set_new(o, "down", json_boolean(d->is_down || is_braked));
	json_object_set_new(o, "since",
			    control_time(is_braked ? b->since_ms
						   : d->since_ms));
	json_object_set_new(o, "next_probe",
			    control_time(is_braked ? b->next_ms
						   : d->next_probe_ms));
	json_object_set_new(o, "checked", control_time(d->checked_ms));
	json_object_set_new(o, "last_reply",
			    control_text_or_null(is_braked ? braked_most(b)
							   : d->last_reply));
	json_object_set_new(o, "braked", json_boolean(is_braked));
	if (is_braked)
		json_object_set_new(o, "refusals", refusals(b));
}

/* ---- Domains ---- */

/* Which hold keeps the whole domain back; NULL: none. */
static const char *hold_of(const struct spool_domain *row,
			   const struct status_destination *d)
{
	if (spool_is_held_unlisted(row))
		return "unlisted";
	if (row->is_held)
		return row->hold_pattern[0] != '\0' ? "pattern" : "domain";
	return d->hold_reason != NULL ? "destination" : NULL;
}

static void set_hold(json_t *o, const struct spool_domain *row,
		     const struct status_destination *d)
{
	const char *hold = hold_of(row, d);
	struct span reason = { NULL, 0 };

	if (row->is_held)
		reason = span_str(row->hold_reason);
	else if (d->hold_reason != NULL)
		reason = span_str(d->hold_reason);
	json_object_set_new(o, "held", json_boolean(hold || row->held > 0));
	json_object_set_new(o, "hold", hold ? json_string(hold) : json_null());
	json_object_set_new(o, "hold_reason", control_text_or_null(reason));
	json_object_set_new(o, "hold_pattern",
			    control_text_or_null(span_str(row->hold_pattern)));
}

json_t *status_domain(const struct spool_domain *row,
		      const struct status_destination *d)
{
	json_t *o = json_pack(
		"{s:o, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I}", "domain",
		control_text(span_str(row->name)), "messages",
		(json_int_t)row->units, "bytes", (json_int_t)row->bytes,
		"oldest", control_time(row->oldest_ms), "ready",
		(json_int_t)row->ready, "deferred", (json_int_t)row->deferred,
		"held_messages", (json_int_t)row->held, "refused_messages",
		(json_int_t)row->refused, "refused_bytes",
		(json_int_t)row->refused_bytes);

	set_hold(o, row, d);
	status_set_state(o, d);
	json_object_set_new(o, "targets", status_targets(d));
	if (d->listed != STATUS_LISTED_UNKNOWN)
		json_object_set_new(o, "listed",
				    json_boolean(d->listed == STATUS_LISTED));
	if (d->connections >= 0)
		json_object_set_new(o, "connections",
				    json_integer(d->connections));
	json_object_set_new(
		o, "destination",
		control_text_or_null(
			d->name.n > 0 ? d->name : span_str(row->destination)));
	return o;
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

static json_t *domain_object(const struct rows *r,
			     const struct spool_domain *row)
{
	struct status_destination d = { .state = "unknown", .connections = -1 };

	r->state(row, &d, r->arg);
	return status_domain(row, &d);
}

/* A hold of a destination stands in a row of its own, which is no domain. */
static json_t *row_object(const struct rows *r, const struct spool_domain *row)
{
	struct span name = span_str(row->name);

	if (!scope_is_destination(name))
		return domain_object(r, row);
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
	const struct rows r = { .state = state, .arg = arg };
	struct spool_domain row;
	enum mx_err err = spool_domain_get(sp, name, &row);

	*out = NULL;
	if (err != MX_OK && err != MX_ENOENT)
		return err;
	if (err == MX_ENOENT)
		row = (struct spool_domain){ 0 };
	snprintf(row.name, sizeof(row.name), "%.*s", SPAN_ARG(name));
	*out = domain_object(&r, &row);
	return MX_OK;
}
