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
#include "daemon/ctl/print.h"
#include "daemon/ctl/status_priv.h"
#include "daemon/ctl/table.h"

/* Nothing is planned so far ahead. */
static const int64_t NEXT_MOST_MS = DAYS(30);

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

/* On a terminal there are not more rows than can be read, but for those of
 * which somebody has to take care. */
static bool is_for_screen(const struct ctl *ctl, struct seen *seen,
			  const json_t *item)
{
	return ctl->width == 0 || seen->rows++ < CTL_SCREEN_ROWS ||
	       control_get_bool(item, "braked") ||
	       control_get_bool(item, "held");
}

static void text_page(const struct ctl *ctl, struct table *t, struct seen *seen,
		      const json_t *items, struct buf *out)
{
	bool was_any = seen->any;

	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *item = json_array_get(items, i);

		if (!is_domain(item))
			seen_note_hold(seen, item);
		if (!is_shown(ctl, item))
			continue;
		seen_note(seen, item);
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
	status_head(ctl, overview, &out);
	do {
		err = source_domains(s, &page);
		text_page(ctl, &t, &seen, page.items, &out);
	} while (flush_text(&out) && err == MX_OK && page.next.n > 0);
	if (ctl->destination != NULL && !seen.any)
		buf_addf(&out,
			 "\nno mail goes to %s, as far as is known;"
			 " names to use: mx20ctl route DOMAIN\n",
			 ctl->destination);
	seen_advise(&seen, source_is_live(s), &out);
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
		status_head(s->ctl, overview, &out);
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
