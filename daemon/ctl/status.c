/*
 * mx20ctl status: what waits for which domain, why, and until when.
 *
 * Costs O(domains with mail), whatever the length of the queue.  Rows are
 * fetched and printed a page at a time, and no look is open while something is
 * written: a terminal that scrolls slowly pins nothing.
 */
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/spool/scope.h"
#include "daemon/ctl/alarm.h"
#include "daemon/ctl/mirror.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/status.h"
#include "daemon/ctl/table.h"

/* Nothing is planned so far ahead. */
static const int64_t NEXT_MOST_MS = DAYS(30);

/* What was seen on the way, for the advice at the end. */
struct seen {
	bool any, down, braked, held, parts_held, unlisted, unknown, deferred;
	bool refused;
	uint64_t rows, left_out;
	struct buf holds; /* of destinations, in words */
};

static bool is_state(const json_t *row, const char *state)
{
	return span_eq(control_get_text(row, "state"), span_str(state));
}

/* Among the domains stand holds of destinations. */
static bool is_domain(const json_t *item)
{
	return json_object_get(item, "domain") != NULL;
}

/* Does mail go from here to a destination of this name? */
static bool goes_to(const json_t *item, struct span name)
{
	const json_t *targets = json_object_get(item, "targets");

	if (scope_names_route(control_get_text(item, "destination"), name))
		return true;
	for (size_t i = 0; i < json_array_size(targets); i++)
		if (scope_names_target(
			    control_get_text(json_array_get(targets, i),
					     "target"),
			    name))
			return true;
	return false;
}

static bool is_shown(const struct ctl *ctl, const json_t *item)
{
	return is_domain(item) && (ctl->destination == NULL ||
				   goes_to(item, span_str(ctl->destination)));
}

/* ---- For programs ---- */

static bool write_object(const json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);
	bool ok = ctl_write(span_str(text));

	free(text);
	return ok;
}

/* The opening of the one object, up to the list of domains. */
static bool json_head(const json_t *overview)
{
	char *text = json_dumps(overview, JSON_COMPACT);
	size_t n = strlen(text);
	bool ok;

	text[n - 1] = ','; /* its closing brace: it goes on */
	ok = ctl_write(span_str(text)) && ctl_write(SPAN_LIT("\"domains\":["));
	free(text);
	return ok;
}

/* The holds of destinations come behind the domains. */
static bool json_tail(const json_t *holds)
{
	bool ok = ctl_write(SPAN_LIT("],\"destinations_held\":"));

	ok = ok && write_object(holds);
	return ctl_write(SPAN_LIT("}\n")) && ok;
}

static bool json_page(const struct ctl *ctl, const json_t *items,
		      bool *is_first, json_t *holds)
{
	bool ok = true;

	for (size_t i = 0; ok && i < json_array_size(items); i++) {
		json_t *item = json_array_get(items, i);

		if (!is_domain(item))
			json_array_append(holds, item);
		if (!is_shown(ctl, item))
			continue;
		ok = (*is_first || ctl_write(SPAN_LIT(","))) &&
		     write_object(item);
		*is_first = false;
	}
	return ok;
}

/* ---- For people ---- */

/* clang-format off */
static const struct column columns[] = {
	{ "DOMAIN",     false, 12, 0 },
	{ "MSGS",       true,  0, 0 },
	{ "SIZE",       true,  0, 1 },
	{ "OLDEST",     true,  0, 3 },
	{ "STATE",      false, 0, 0 },
	{ "SINCE",      true,  0, 2 },
	{ "NEXT",       true,  0, 4 },
	{ "LAST REPLY", false, 12, 0 },
};
/* clang-format on */

static void cell_next(struct table *t, const json_t *row, int64_t now_ms)
{
	int64_t next_ms = print_get_time(row, "next_probe");
	struct buf b = { 0 };

	if (status_is_held(row) || next_ms == 0 ||
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

static void cell_state(struct table *t, const json_t *row)
{
	int64_t held = control_get_int(row, "held_messages", 0);
	int64_t refused = control_get_int(row, "refused_messages", 0);
	struct buf b = { 0 };

	if (status_is_held(row))
		buf_adds(&b, "held");
	else if (control_get_bool(row, "braked"))
		buf_adds(&b, "braked");
	else
		buf_add(&b, control_get_text(row, "state"));
	if (!status_is_held(row) && held > 0)
		buf_addf(&b, ", %lld held", (long long)held);
	if (!status_is_held(row) && refused > 0)
		buf_addf(&b, ", %lld refused", (long long)refused);
	table_cell(t, buf_span(&b));
	buf_fini(&b);
}

static void table_row(struct table *t, const json_t *row, int64_t now_ms)
{
	struct buf b = { 0 };

	table_cell(t, control_get_text(row, "domain"));
	buf_addf(&b, "%lld", (long long)control_get_int(row, "messages", 0));
	table_cell(t, buf_span(&b));
	buf_reset(&b);
	human_size(&b, (uint64_t)control_get_int(row, "bytes", 0));
	table_cell(t, buf_span(&b));
	status_age_cell(t, print_get_time(row, "oldest"), now_ms);
	cell_state(t, row);
	status_age_cell(t, print_get_time(row, "since"), now_ms);
	cell_next(t, row, now_ms);
	table_cell(t,
		   control_get_text(row, status_is_held(row) ? "hold_reason"
							     : "last_reply"));
	buf_fini(&b);
}

static void note(struct seen *seen, const json_t *row)
{
	struct span hold = control_get_text(row, "hold");
	bool is_held = status_is_held(row);

	seen->any = true;
	seen->unlisted |= span_eq(hold, SPAN_LIT("unlisted"));
	seen->held |= span_eq(hold, SPAN_LIT("domain")) ||
		      span_eq(hold, SPAN_LIT("pattern"));
	seen->parts_held |=
		!is_held && control_get_int(row, "held_messages", 0) > 0;
	seen->deferred |= control_get_int(row, "deferred", 0) > 0;
	seen->refused |= control_get_int(row, "refused_messages", 0) > 0;
	seen->braked |= !is_held && control_get_bool(row, "braked");
	seen->down |= !is_held && is_state(row, "down") &&
		      !control_get_bool(row, "braked");
	seen->unknown |= !is_held && is_state(row, "unknown");
}

/* The rest of the second line and, when room is short, a third. */
static void add_space(const json_t *spool, struct buf *out)
{
	static const struct {
		const char *state, *words;
	} rows[] = {
		{ "tight", "SPOOL TIGHT: over 80 % used" },
		{ "full", "SPOOL FULL: new mail is refused with 452" },
		{ "failed", "DISK FAILED: new mail is refused with 451" },
	};
	bool is_disk =
		span_eq(control_get_text(spool, "limit"), SPAN_LIT("disk"));

	buf_adds(out, "; spool ");
	human_size(out, (uint64_t)control_get_int(spool, "used", 0));
	buf_adds(out, " of ");
	human_size(out, (uint64_t)control_get_int(spool, "size", 0));
	buf_adds(out, " used\n");
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (!is_state(spool, rows[i].state))
			continue;
		buf_addf(out, "%s; disk ", rows[i].words);
		human_size(out,
			   (uint64_t)control_get_int(spool, "disk_free", 0));
		buf_adds(out, " free, reserve ");
		human_size(out, (uint64_t)control_get_int(spool, "reserve", 0));
		buf_addf(out, ": %s\n",
			 is_disk ? "free disk space" : "raise spool.size");
	}
}

static void add_tables(const struct ctl *ctl, const json_t *tables,
		       struct buf *out)
{
	struct buf text = { 0 };

	for (size_t i = 0; i < json_array_size(tables); i++) {
		buf_reset(&text);
		alarms_table_text(&text, json_array_get(tables, i),
				  ctl->now_ms);
		print_text(out, buf_span(&text));
		buf_adds(out, "\n");
	}
	buf_fini(&text);
}

/* NULL: there is none. */
static void add_mirror(const struct ctl *ctl, const json_t *m, struct buf *out)
{
	struct buf text = { 0 };

	if (m == NULL)
		return;
	buf_adds(out, "mirror: ");
	mirror_show_state(m, ctl->now_ms, &text);
	print_text(out, buf_span(&text));
	buf_addc(out, '\n');
	buf_fini(&text);
	mirror_show_nodes(m, "mirror: ", out);
}

/* The two lines above everything: is it running, how much waits. */
static void add_head(const struct ctl *ctl, const json_t *overview,
		     struct buf *out)
{
	const json_t *spool = json_object_get(overview, "spool");
	int64_t messages = control_get_int(spool, "messages", 0);

	print_text(out, control_get_text(overview, "hostname"));
	if (control_get_bool(overview, "running"))
		buf_addf(out, ": mx20d %.*s is running\n",
			 SPAN_ARG(control_get_text(overview, "version")));
	else
		buf_adds(out, ": mx20d is NOT RUNNING\n");
	if (messages == 0) {
		buf_adds(out, "nothing is waiting");
	} else {
		print_count(out, (uint64_t)messages, "message");
		buf_adds(out, ", ");
		human_size(out, (uint64_t)control_get_int(spool, "bytes", 0));
		buf_adds(out, ", the oldest ");
		print_age(out, ctl->now_ms - print_get_time(spool, "oldest"));
	}
	add_space(spool, out);
	add_mirror(ctl, json_object_get(overview, "mirror"), out);
	add_tables(ctl, json_object_get(overview, "tables_failing"), out);
}

static void add_advice(const struct seen *seen, bool is_live, struct buf *out)
{
	if (seen->any)
		buf_adds(out, "\n");
	if (!is_live)
		buf_adds(out, "Nothing is accepted or delivered until mx20d"
			      " runs; states are as last known.\n");
	if (seen->down)
		buf_adds(
			out,
			"down: the primary takes no mail now; it is asked again"
			" by itself.\n  Why: mx20ctl route DOMAIN;"
			"  now: mx20ctl flush DOMAIN\n");
	if (seen->braked)
		buf_adds(out, "braked: the primary refused too much; nothing"
			      " goes there.\n  What it said: mx20ctl status"
			      " DOMAIN;  when it is mended: mx20ctl release"
			      " --domain DOMAIN\n");
	if (seen->unknown && is_live)
		buf_adds(out, "unknown: not tried yet.  Where it goes:"
			      " mx20ctl route DOMAIN\n");
	if (seen->deferred)
		buf_adds(out, "some messages are deferred, each until its own"
			      " retry: mx20ctl queue DOMAIN\n");
	if (seen->unlisted)
		buf_adds(out,
			 "no longer in the allowlist: list the domain again,"
			 " or\n  mx20ctl release, bounce or remove"
			 " --domain DOMAIN\n");
	if (seen->held)
		buf_adds(out, "held: nothing goes before: mx20ctl release"
			      " --domain DOMAIN\n");
	if (seen->refused)
		buf_adds(out, "some messages were refused by the primary, and"
			      " are kept a while:\n  mx20ctl queue DOMAIN;"
			      " again: mx20ctl release --domain DOMAIN\n");
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

static enum mx_err all_json(struct source *s, const json_t *overview)
{
	struct status_page page = { 0 };
	json_t *holds = json_array();
	bool is_first = true, go_on = json_head(overview);
	enum mx_err err = MX_OK;

	while (go_on) {
		err = source_domains(s, &page);
		go_on = json_page(s->ctl, page.items, &is_first, holds) &&
			err == MX_OK && page.next.n > 0;
	}
	json_tail(holds);
	json_decref(holds);
	status_page_fini(&page);
	return err;
}

static void note_hold(struct seen *seen, const json_t *hold)
{
	struct span name = control_get_text(hold, "destination");

	buf_adds(&seen->holds, "destination held: ");
	print_text(&seen->holds, name);
	buf_adds(&seen->holds, ": ");
	print_text(&seen->holds, control_get_text(hold, "reason"));
	buf_adds(&seen->holds, ".\n  Nothing goes there before: mx20ctl"
			       " release --destination ");
	print_text(&seen->holds, name);
	buf_addc(&seen->holds, '\n');
}

/* On a terminal there are not more rows than can be read, but for those of
 * which somebody has to take care. */
static bool is_for_screen(const struct ctl *ctl, struct seen *seen,
			  const json_t *item)
{
	return ctl->width == 0 || seen->rows++ < CTL_SCREEN_ROWS ||
	       control_get_bool(item, "braked") ||
	       control_get_bool(item, "held");
}

static void add_left_out(const struct seen *seen, struct buf *out)
{
	if (seen->left_out == 0)
		return;
	buf_adds(out, "\n");
	print_count(out, seen->left_out, "domain");
	buf_addf(out,
		 " more, not held nor braked: mx20ctl status | less;"
		 " by destination: mx20ctl top\n");
}

static void text_page(const struct ctl *ctl, struct table *t, struct seen *seen,
		      const json_t *items, struct buf *out)
{
	bool was_any = seen->any;

	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *item = json_array_get(items, i);

		if (!is_domain(item))
			note_hold(seen, item);
		if (!is_shown(ctl, item))
			continue;
		note(seen, item);
		if (is_for_screen(ctl, seen, item))
			table_row(t, item, ctl->now_ms);
		else
			seen->left_out++;
	}
	if (seen->any && !was_any)
		buf_adds(out, "\n");
	if (seen->any)
		table_print(t, out);
}

static enum mx_err all_text(struct source *s, const json_t *overview)
{
	const struct ctl *ctl = s->ctl;
	struct status_page page = { 0 };
	struct seen seen = { 0 };
	struct buf out = { 0 };
	struct table t;
	enum mx_err err;

	table_init(&t, columns, COUNT(columns), ctl->width);
	add_head(ctl, overview, &out);
	do {
		err = source_domains(s, &page);
		text_page(ctl, &t, &seen, page.items, &out);
	} while (flush_text(&out) && err == MX_OK && page.next.n > 0);
	if (ctl->destination != NULL && !seen.any)
		buf_addf(&out,
			 "\nno mail goes to %s, as far as is known;"
			 " names to use: mx20ctl route DOMAIN\n",
			 ctl->destination);
	add_left_out(&seen, &out);
	add_advice(&seen, source_is_live(s), &out);
	flush_text(&out);
	buf_fini(&out);
	buf_fini(&seen.holds);
	table_fini(&t);
	status_page_fini(&page);
	return err;
}

/* ---- One domain ---- */

static enum mx_err one(struct source *s, const json_t *overview,
		       struct span name)
{
	json_t *row, *holds = json_array();
	struct buf out = { 0 };
	enum mx_err err = source_domain(s, name, &row);

	if (err != MX_OK) {
		;
	} else if (s->ctl->json) {
		json_head(overview);
		write_object(row);
		json_tail(holds);
	} else {
		add_head(s->ctl, overview, &out);
		status_show_domain(s->ctl, row, source_is_live(s), &out);
		flush_text(&out);
	}
	json_decref(row);
	json_decref(holds);
	buf_fini(&out);
	return err;
}

/* A domain, or a pattern of them, whose hold has a row as well. */
static bool status_name(const char *text, struct buf *out)
{
	if (!scope_domain_canon(out, ctl_domain_text(text))) {
		ctl_complain("\"%s\" is not a domain", text);
		return false;
	}
	buf_cstr(out);
	return true;
}

static enum ctl_exit run(struct source *s, struct span name)
{
	json_t *overview;
	enum mx_err err = source_overview(s, &overview);

	if (err == MX_OK && name.n > 0)
		err = one(s, overview, name);
	else if (err == MX_OK && s->ctl->json)
		err = all_json(s, overview);
	else if (err == MX_OK)
		err = all_text(s, overview);
	json_decref(overview);
	return source_end(s, err);
}

enum ctl_exit ctl_status(struct ctl *ctl)
{
	struct buf name = { 0 };
	struct source s;
	enum ctl_exit rc;

	if (ctl->alarm)
		return ctl_alarm(ctl);
	if (ctl->argument != NULL && !status_name(ctl->argument, &name))
		return CTL_FAILED;
	rc = source_open(&s, ctl, SOURCE_DAEMON);
	if (rc == CTL_DONE)
		rc = run(&s, buf_span(&name));
	source_close(&s);
	buf_fini(&name);
	return rc;
}
