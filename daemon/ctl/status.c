/*
 * mx20ctl status: what waits for which domain, why, and until when.
 *
 * Costs O(domains with mail), whatever the length of the queue.  Rows are
 * fetched and printed a page at a time, each page in a read transaction of
 * its own that is over before anything is written: a terminal that scrolls
 * slowly pins nothing.
 */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/spool/scope.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/states.h"
#include "daemon/ctl/status.h"
#include "daemon/ctl/table.h"

/* Nothing is planned so far ahead. */
static const int64_t NEXT_MOST_MS = DAYS(30);

/* What was seen on the way, for the advice at the end. */
struct seen {
	bool any, down, held, parts_held, unknown, deferred;
	struct buf holds; /* of destinations, in words */
};

bool status_is_held(const struct spool_domain *row, const json_t *state)
{
	return row->is_held ||
	       json_is_string(json_object_get(state, "destination_hold"));
}

struct span status_hold_reason(const struct spool_domain *row,
			       const json_t *state)
{
	return row->is_held ? span_str(row->hold_reason)
			    : control_get_text(state, "destination_hold");
}

/* ---- For programs ---- */

static json_t *row_object(const struct spool_domain *row, const json_t *state)
{
	static const char *const copied[] = { "state",	    "since",
					      "next_probe", "checked",
					      "last_reply", "targets" };
	json_t *o = json_pack(
		"{s:o, s:I, s:I, s:o, s:b, s:o}", "domain",
		control_text(span_str(row->name)), "messages",
		(json_int_t)row->units, "bytes", (json_int_t)row->bytes,
		"oldest", control_time(row->oldest_ms), "held",
		status_is_held(row, state) || row->held > 0, "hold_reason",
		control_text_or_null(status_hold_reason(row, state)));

	for (size_t i = 0; i < COUNT(copied); i++)
		json_object_set(o, copied[i],
				json_object_get(state, copied[i]));
	json_object_set_new(o, "ready", json_integer((json_int_t)row->ready));
	json_object_set_new(o, "deferred",
			    json_integer((json_int_t)row->deferred));
	json_object_set_new(o, "held_messages",
			    json_integer((json_int_t)row->held));
	return o;
}

/* A hold of a destination stands in a row of its own, which is no domain. */
static json_t *hold_object(const struct spool_domain *row)
{
	return json_pack("{s:o, s:o}", "destination",
			 control_text(scope_destination(span_str(row->name))),
			 "reason", control_text(span_str(row->hold_reason)));
}

/* Is the row to be shown among the domains? */
static bool is_shown(const struct ctl *ctl, const struct spool_domain *row,
		     const json_t *state)
{
	if (scope_is_destination(span_str(row->name)))
		return false;
	return ctl->destination == NULL ||
	       states_goes_to(row, state, span_str(ctl->destination));
}

static bool write_object(json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);
	bool ok = ctl_write(span_str(text));

	free(text);
	json_decref(object);
	return ok;
}

static json_t *spool_object(const struct spool_totals *t)
{
	const struct spool_space *s = &t->space;

	return json_pack("{s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:s, s:s}",
			 "messages", (json_int_t)t->messages, "bytes",
			 (json_int_t)t->bytes, "oldest",
			 control_time(t->oldest_ms), "used",
			 (json_int_t)s->used_bytes, "size",
			 (json_int_t)s->size_bytes, "disk_free",
			 (json_int_t)s->disk_bytes, "reserve",
			 (json_int_t)s->reserve_bytes, "state",
			 spool_pressure_name(s->pressure), "limit",
			 s->is_disk ? "disk" : "quota");
}

/* The opening of the one object, up to the list of domains. */
static bool json_head(const struct ctl *ctl, const struct spool_totals *t,
		      bool is_running)
{
	json_t *o = json_pack("{s:o, s:s, s:b, s:o}", "hostname",
			      control_text(ctl->config->hostname), "version", MX_VERSION,
			      "running", (int)is_running, "spool",
			      spool_object(t));
	char *text = json_dumps(o, JSON_COMPACT);
	size_t n = strlen(text);
	bool ok;

	text[n - 1] = ','; /* its closing brace: it goes on */
	ok = ctl_write(span_str(text)) && ctl_write(SPAN_LIT("\"domains\":["));
	free(text);
	json_decref(o);
	return ok;
}

/* The holds of destinations come behind the domains. */
static bool json_tail(json_t *holds)
{
	bool ok = ctl_write(SPAN_LIT("],\"destinations_held\":"));

	ok = ok && write_object(holds);
	return ctl_write(SPAN_LIT("}\n")) && ok;
}

static void json_page(const struct ctl *ctl, const struct states_page *p,
		      bool *is_first, json_t *holds)
{
	for (size_t i = 0; i < p->count; i++) {
		if (scope_is_destination(span_str(p->rows[i].name)))
			json_array_append_new(holds, hold_object(&p->rows[i]));
		if (!is_shown(ctl, &p->rows[i], p->states[i]))
			continue;
		if (!*is_first)
			ctl_write(SPAN_LIT(","));
		*is_first = false;
		if (!write_object(row_object(&p->rows[i], p->states[i])))
			return;
	}
}

/* ---- For people ---- */

/* clang-format off */
static const struct column columns[] = {
	{ "DOMAIN",     false, 12 },
	{ "MSGS",       true,  0 },
	{ "SIZE",       true,  0 },
	{ "OLDEST",     true,  0 },
	{ "STATE",      false, 0 },
	{ "SINCE",      true,  0 },
	{ "NEXT",       true,  0 },
	{ "LAST REPLY", false, 16 },
};
/* clang-format on */

static void cell_age(struct table *t, int64_t since_ms, int64_t now_ms)
{
	struct buf b = { 0 };

	if (since_ms == 0)
		buf_adds(&b, "-");
	else
		print_age(&b, now_ms - since_ms);
	table_cell(t, buf_span(&b));
	buf_fini(&b);
}

int64_t status_time(const json_t *state, const char *key)
{
	int64_t ms = 0;

	(void)print_parse_time(control_get_text(state, key), &ms);
	return ms;
}

static void cell_next(struct table *t, const struct spool_domain *row,
		      const json_t *state, int64_t now_ms)
{
	int64_t next_ms = status_time(state, "next_probe");
	struct buf b = { 0 };

	if (status_is_held(row, state) || next_ms == 0 ||
	    next_ms - now_ms > NEXT_MOST_MS) { /* none that is planned */
		buf_adds(&b, "-");
	} else if (next_ms < now_ms + 1000) {
		buf_adds(&b, "now");
	} else {
		print_age(&b, next_ms - now_ms);
	}
	table_cell(t, buf_span(&b));
	buf_fini(&b);
}

static void cell_state(struct table *t, const struct spool_domain *row,
		       const json_t *state)
{
	struct buf b = { 0 };

	if (status_is_held(row, state))
		buf_adds(&b, "held");
	else
		buf_add(&b, control_get_text(state, "state"));
	if (!status_is_held(row, state) && row->held > 0)
		buf_addf(&b, ", %llu held", (unsigned long long)row->held);
	table_cell(t, buf_span(&b));
	buf_fini(&b);
}

static void table_row(struct table *t, const struct spool_domain *row,
		      const json_t *state, int64_t now_ms)
{
	struct buf b = { 0 };

	table_cell(t, span_str(row->name));
	buf_addf(&b, "%llu", (unsigned long long)row->units);
	table_cell(t, buf_span(&b));
	buf_reset(&b);
	human_size(&b, row->bytes);
	table_cell(t, buf_span(&b));
	cell_age(t, row->oldest_ms, now_ms);
	cell_state(t, row, state);
	cell_age(t, status_time(state, "since"), now_ms);
	cell_next(t, row, state, now_ms);
	table_cell(t, status_is_held(row, state)
			      ? status_hold_reason(row, state)
			      : control_get_text(state, "last_reply"));
	buf_fini(&b);
}

static void note(struct seen *seen, const struct spool_domain *row,
		 const json_t *state)
{
	struct span name = control_get_text(state, "state");

	seen->any = true;
	seen->held |= row->is_held;
	seen->parts_held |= !row->is_held && row->held > 0;
	seen->deferred |= row->deferred > 0;
	if (status_is_held(row, state))
		return;
	seen->down |= span_eq(name, SPAN_LIT("down"));
	seen->unknown |= span_eq(name, SPAN_LIT("unknown"));
}

/* The rest of the second line and, when room is short, a third. */
static void add_space(const struct spool_space *s, struct buf *out)
{
	static const char *const words[] = {
		[SPOOL_ROOMY] = "",
		[SPOOL_TIGHT] = "SPOOL TIGHT: more than 80 % of the room is"
				" used",
		[SPOOL_FULL] = "SPOOL FULL: new mail is refused with 452",
		[SPOOL_FAILED] = "DISK FAILED: new mail is refused with 451",
	};

	buf_adds(out, "; spool ");
	human_size(out, s->used_bytes);
	buf_adds(out, " of ");
	human_size(out, s->size_bytes);
	buf_adds(out, " used\n");
	if (s->pressure == SPOOL_ROOMY)
		return;
	buf_addf(out, "%s; disk ", words[s->pressure]);
	human_size(out, s->disk_bytes);
	buf_adds(out, " free, reserve ");
	human_size(out, s->reserve_bytes);
	buf_addf(out, ": %s\n",
		 s->is_disk ? "free disk space" : "raise spool.size");
}

/* The two lines above everything: is it running, how much waits. */
static void add_head(const struct ctl *ctl, const struct spool_totals *t,
		     const struct states *states, struct buf *out)
{
	print_text(out, ctl->config->hostname);
	if (states->is_live)
		buf_addf(out, ": mx20d %s is running\n", states->link.version);
	else
		buf_adds(out, ": mx20d is NOT RUNNING\n");
	if (t->messages == 0) {
		buf_adds(out, "nothing is waiting");
	} else {
		print_count(out, t->messages, "message");
		buf_adds(out, ", ");
		human_size(out, t->bytes);
		buf_adds(out, ", the oldest ");
		print_age(out, ctl->now_ms - t->oldest_ms);
	}
	add_space(&t->space, out);
}

static void add_advice(const struct seen *seen, bool is_live, struct buf *out)
{
	if (seen->any)
		buf_adds(out, "\n");
	if (!is_live)
		buf_adds(out, "Nothing is accepted or delivered until mx20d"
			      " runs; states are as last known.\n");
	if (seen->down)
		buf_adds(out, "down: the primary does not answer; it is tried"
			      " again by itself.  Why: mx20ctl route DOMAIN;"
			      " now: mx20ctl flush DOMAIN\n");
	if (seen->unknown && is_live)
		buf_adds(out, "unknown: not tried yet.  Where it goes:"
			      " mx20ctl route DOMAIN\n");
	if (seen->deferred)
		buf_adds(out, "some messages are deferred, each until its own"
			      " retry: mx20ctl queue DOMAIN\n");
	if (seen->held)
		buf_adds(out, "held: nothing goes before: mx20ctl release"
			      " --domain DOMAIN\n");
	if (seen->parts_held)
		buf_adds(out, "some messages are held by themselves:"
			      " mx20ctl queue DOMAIN; mx20ctl release ID\n");
	buf_add(out, buf_span(&seen->holds));
}

static bool flush_text(struct buf *out)
{
	bool ok = ctl_write(buf_span(out));

	buf_reset(out);
	return ok;
}

/* ---- All domains ---- */

static enum mx_err all_json(const struct ctl *ctl, struct states *states,
			    const struct spool_totals *totals)
{
	struct states_page *p = mx_alloc(sizeof(*p));
	json_t *holds = json_array();
	bool is_first = true, go_on;
	enum mx_err err = MX_OK;

	go_on = json_head(ctl, totals, states->is_live);
	while (go_on && states_next_page(states, p, &err)) {
		json_page(ctl, p, &is_first, holds);
		states_release_page(p);
		go_on = ctl_write(SPAN_LIT(""));
	}
	json_tail(holds);
	free(p);
	return err;
}

static void text_row(const struct ctl *ctl, struct table *t, struct seen *seen,
		     const struct spool_domain *row, const json_t *state)
{
	struct span name = span_str(row->name);

	if (scope_is_destination(name)) {
		name = scope_destination(name);
		buf_adds(&seen->holds, "destination held: ");
		print_text(&seen->holds, name);
		buf_adds(&seen->holds, ": ");
		print_text(&seen->holds, span_str(row->hold_reason));
		buf_adds(&seen->holds, ".  Nothing goes there before: mx20ctl"
				       " release --destination ");
		print_text(&seen->holds, name);
		buf_addc(&seen->holds, '\n');
	}
	if (!is_shown(ctl, row, state))
		return;
	note(seen, row, state);
	table_row(t, row, state, ctl->now_ms);
}

static enum mx_err all_text(const struct ctl *ctl, struct states *states,
			    const struct spool_totals *totals)
{
	struct states_page *p = mx_alloc(sizeof(*p));
	struct seen seen = { 0 };
	struct buf out = { 0 };
	struct table t;
	enum mx_err err = MX_OK;

	table_init(&t, columns, COUNT(columns), ctl->width);
	add_head(ctl, totals, states, &out);
	while (flush_text(&out) && states_next_page(states, p, &err)) {
		bool was_any = seen.any;

		for (size_t i = 0; i < p->count; i++)
			text_row(ctl, &t, &seen, &p->rows[i], p->states[i]);
		if (seen.any && !was_any)
			buf_adds(&out, "\n");
		if (seen.any)
			table_print(&t, &out);
		states_release_page(p);
	}
	add_advice(&seen, states->is_live, &out);
	flush_text(&out);
	buf_fini(&out);
	buf_fini(&seen.holds);
	table_fini(&t);
	free(p);
	return err;
}

/* ---- One domain ---- */

/* A domain without mail has a row all the same: of zeros. */
static enum mx_err find_row(struct spool *sp, const struct buf *name,
			    struct spool_domain *row)
{
	enum mx_err err = spool_domain_get(sp, buf_span(name), row);

	if (err != MX_OK && err != MX_ENOENT)
		return err;
	if (err == MX_ENOENT)
		*row = (struct spool_domain){ 0 };
	snprintf(row->name, sizeof(row->name), "%.*s",
		 SPAN_ARG(buf_span(name)));
	return MX_OK;
}

static enum mx_err one(const struct ctl *ctl, struct states *states,
		       const struct spool_totals *totals,
		       const struct buf *name)
{
	struct spool_domain row;
	struct buf out = { 0 };
	json_t *state;
	enum mx_err err = find_row(states->spool, name, &row);

	if (err != MX_OK)
		return err;
	states_get(states, &row, 1, &state);
	if (ctl->json) {
		json_head(ctl, totals, states->is_live);
		write_object(row_object(&row, state));
		json_tail(json_array());
	} else {
		add_head(ctl, totals, states, &out);
		status_domain(ctl, &row, state, states->is_live, &out);
		flush_text(&out);
	}
	json_decref(state);
	buf_fini(&out);
	return MX_OK;
}

/* A domain, or a pattern of them, whose hold has a row as well. */
static bool status_name(const char *text, struct buf *out)
{
	if (!scope_domain_canon(out, span_str(text))) {
		ctl_complain("\"%s\" is not a domain", text);
		return false;
	}
	buf_cstr(out);
	return true;
}

enum ctl_exit ctl_status(struct ctl *ctl)
{
	struct buf name = { 0 }, why = { 0 };
	struct spool *sp = NULL;
	struct spool_totals totals;
	struct states states;
	enum mx_err err;

	if (ctl->argument != NULL && !status_name(ctl->argument, &name))
		return CTL_FAILED;
	if (!ctl_open_spool(ctl, &sp)) {
		buf_fini(&name);
		return CTL_FAILED;
	}
	states_open(&states, ctl, sp, &why);
	err = spool_totals(sp, &totals);
	if (!states.is_live)
		ctl_complain("%s", buf_cstr(&why));
	if (err == MX_OK && name.n > 0)
		err = one(ctl, &states, &totals, &name);
	else if (err == MX_OK && ctl->json)
		err = all_json(ctl, &states, &totals);
	else if (err == MX_OK)
		err = all_text(ctl, &states, &totals);
	if (err != MX_OK)
		ctl_complain("the spool cannot be read: %s", mx_strerror(err));
	states_close(&states);
	spool_close(&sp);
	buf_fini(&name);
	buf_fini(&why);
	return err == MX_OK ? CTL_DONE : CTL_FAILED;
}
