#include "daemon/ctl/alarm.h"

#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/control/control.h"
#include "daemon/ctl/mirror.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/status.h"

/* Whoever renews by hand needs some days. */
static const int64_t RENEW_MS = DAYS(14);

/* The second copy is brought up to date in less, or something is wrong. */
static const int64_t LATE_MS = MINUTES(5);

void alarms_init(struct alarms *a, int64_t now_ms, const struct config *c)
{
	*a = (struct alarms){
		.now_ms = now_ms,
		.keeps_refused = c->bounce.mode == BOUNCE_HOLD,
		.has_relay = c->bounce.has_relay,
		.list = json_array(),
		.down = json_object(),
		.braked = json_object(),
		.held = json_object(),
	};
}

void alarms_fini(struct alarms *a)
{
	json_decref(a->list);
	json_decref(a->down);
	json_decref(a->braked);
	json_decref(a->held);
}

static json_t *add(struct alarms *a, const char *kind, struct span text)
{
	json_t *o = json_pack("{s:s, s:o}", "alarm", kind, "text",
			      control_text(text));

	json_array_append_new(a->list, o);
	return o;
}

void alarms_unreachable(struct alarms *a, struct span why)
{
	add(a, "unreachable", why);
}

/* ---- The host ---- */

static void look_at_spool(struct alarms *a, const json_t *spool)
{
	static const struct {
		const char *state, *words;
	} rows[] = {
		{ "tight", "spool tight: more than 80 % of the room is used" },
		{ "full", "spool full: new mail is refused with 452" },
		{ "failed", "disk failed: new mail is refused with 451, and"
			    " none is delivered" },
	};
	struct span state = control_get_text(spool, "state");
	struct buf text = { 0 };

	for (size_t i = 0; i < COUNT(rows); i++) {
		if (!span_eq(state, span_str(rows[i].state)))
			continue;
		buf_addf(&text, "%s; ", rows[i].words);
		human_size(&text, (uint64_t)control_get_int(spool, "used", 0));
		buf_adds(&text, " of ");
		human_size(&text, (uint64_t)control_get_int(spool, "size", 0));
		buf_adds(&text, " used, ");
		human_size(&text,
			   (uint64_t)control_get_int(spool, "disk_free", 0));
		buf_adds(&text, " free on the disk");
		add(a, "spool", buf_span(&text));
	}
	buf_fini(&text);
}

static void look_at_certificate(struct alarms *a, int64_t end_ms)
{
	int64_t left_ms = end_ms - a->now_ms;
	struct buf text = { 0 };

	if (end_ms == 0 || left_ms > RENEW_MS)
		return;
	buf_adds(&text, left_ms > 0 ? "certificate expires in "
				    : "certificate expired ");
	print_age(&text, left_ms > 0 ? left_ms : -left_ms);
	buf_addf(&text, "%s: renew it, then mx20ctl reload",
		 left_ms > 0 ? "" : " ago");
	add(a, "certificate", buf_span(&text));
	buf_fini(&text);
}

static void look_at_tables(struct alarms *a, const json_t *tables)
{
	struct buf text = { 0 };

	for (size_t i = 0; i < json_array_size(tables); i++) {
		buf_reset(&text);
		alarms_table_text(&text, json_array_get(tables, i), a->now_ms);
		add(a, "recipients", buf_span(&text));
	}
	buf_fini(&text);
}

void alarms_table_text(struct buf *out, const json_t *t, int64_t now_ms)
{
	int64_t fetched_ms = print_get_time(t, "fetched");

	buf_adds(out, "recipients of ");
	buf_add(out, control_get_text(t, "source"));
	buf_addf(out, " %s: ",
		 control_get_bool(t, "doubted") ? "are not believed"
						: "cannot be fetched");
	buf_add(out, control_get_text(t, "error"));
	if (fetched_ms == 0) {
		buf_adds(out, "; there never were any");
		return;
	}
	buf_adds(out, "; in force are those of ");
	print_age(out, now_ms - fetched_ms);
	buf_adds(out, " ago");
}

/* Catching up takes a while; the operator knows of what he has ordered. */
static bool is_mirror_late(const struct alarms *a, const json_t *m)
{
	struct span state = control_get_text(m, "state");

	return span_eq(state, SPAN_LIT("away")) ||
	       (span_eq(state, SPAN_LIT("behind")) &&
		a->now_ms - print_get_time(m, "since") > LATE_MS);
}

static void add_of_mirror(struct alarms *a, struct buf *text)
{
	struct buf all = { 0 };

	buf_addf(&all, "mirror: %s", buf_cstr(text));
	add(a, "mirror", buf_span(&all));
	buf_reset(text);
	buf_fini(&all);
}

static void look_at_mirror(struct alarms *a, const json_t *m)
{
	const json_t *lost = json_object_get(m, "lost");
	const json_t *doubled = json_object_get(m, "doubled");
	struct buf text = { 0 };

	if (is_mirror_late(a, m)) {
		mirror_show_state(m, a->now_ms, &text);
		add_of_mirror(a, &text);
	}
	for (size_t i = 0; i < json_array_size(lost); i++) {
		mirror_lost_text(json_array_get(lost, i), &text);
		add_of_mirror(a, &text);
	}
	for (size_t i = 0; i < json_array_size(doubled); i++) {
		mirror_doubled_text(span_str(json_string_value(
					    json_array_get(doubled, i))),
				    &text);
		add_of_mirror(a, &text);
	}
	buf_fini(&text);
}

void alarms_overview(struct alarms *a, const json_t *overview)
{
	look_at_spool(a, json_object_get(overview, "spool"));
	look_at_certificate(a, print_get_time(overview, "certificate_end"));
	look_at_tables(a, json_object_get(overview, "tables_failing"));
	look_at_mirror(a, json_object_get(overview, "mirror"));
}

/* ---- Mail ---- */

static void sum(json_t *group, const char *key, int64_t n)
{
	json_object_set_new(group, key,
			    json_integer(control_get_int(group, key, 0) + n));
}

/* The row joins the group of this name. */
static void join(json_t *groups, const char *name, const json_t *row,
		 int64_t messages)
{
	json_t *g = json_object_get(groups, name);
	int64_t since_ms = print_get_time(row, "since");
	int64_t had_ms = print_get_time(g, "since");

	if (g == NULL) {
		g = json_pack("{s:O, s:O?, s:O?}", "domain",
			      json_object_get(row, "domain"), "last_reply",
			      json_object_get(row, "last_reply"), "since",
			      json_object_get(row, "since"));
		json_object_set_new(groups, name, g);
	} else if (since_ms != 0 && (had_ms == 0 || since_ms < had_ms)) {
		json_object_set(g, "since", json_object_get(row, "since"));
	}
	sum(g, "domains", 1);
	sum(g, "messages", messages);
}

/* Domains without a route have nothing in common. */
static void join_by_route(json_t *groups, const json_t *row, int64_t messages)
{
	const char *key =
		json_string_value(json_object_get(row, "destination"));
	struct buf name = { 0 };

	if (key != NULL) {
		buf_adds(&name, key);
	} else {
		buf_adds(&name, "route of ");
		buf_add(&name, control_get_text(row, "domain"));
	}
	join(groups, buf_cstr(&name), row, messages);
	buf_fini(&name);
}

void alarms_row(struct alarms *a, const json_t *row)
{
	int64_t messages = control_get_int(row, "messages", 0);
	int64_t held = control_get_int(row, "held_messages", 0);
	struct span hold = control_get_text(row, "hold");

	if (span_eq(hold, SPAN_LIT("unlisted")))
		join(a->held, "no longer in the allowlist", row, messages);
	if (hold.n > 0) /* the operator knows */
		return;
	if (held > 0 && a->keeps_refused)
		join(a->held, "refused by the primary, or by hand", row, held);
	/* Reports of ours to where no host answers are nobody's alarm, unless
	 * they go to a relay. */
	if (json_is_false(json_object_get(row, "listed")) && !a->has_relay)
		return;
	if (messages > held && control_get_bool(row, "down"))
		join_by_route(control_get_bool(row, "braked") ? a->braked
							      : a->down,
			      row, messages - held);
}

/* "340 messages of 12 domains" */
static void add_counts(struct buf *out, const json_t *g)
{
	int64_t domains = control_get_int(g, "domains", 0);

	print_count(out, (uint64_t)control_get_int(g, "messages", 0),
		    "message");
	buf_adds(out, " of ");
	if (domains == 1)
		buf_add(out, control_get_text(g, "domain"));
	else
		print_count(out, (uint64_t)domains, "domain");
}

static void add_group(struct alarms *a, const char *kind, const json_t *g,
		      struct span text)
{
	static const char *const copied[] = { "domain", "domains", "messages",
					      "since" };
	json_t *o = add(a, kind, text);

	for (size_t i = 0; i < COUNT(copied); i++)
		json_object_set(o, copied[i], json_object_get(g, copied[i]));
}

static void take_down(struct alarms *a)
{
	struct buf text = { 0 };
	const char *name;
	json_t *g;

	json_object_foreach(a->down, name, g)
	{
		int64_t since_ms = print_get_time(g, "since");
		struct span reply = control_get_text(g, "last_reply");

		buf_reset(&text);
		buf_addf(&text, "%s is down", name);
		if (since_ms != 0) {
			buf_adds(&text, " for ");
			print_age(&text, a->now_ms - since_ms);
		}
		buf_adds(&text, ", ");
		add_counts(&text, g);
		buf_adds(&text, reply.n > 0 ? " waiting: " : " waiting");
		buf_add(&text, reply);
		add_group(a, "down", g, buf_span(&text));
	}
	buf_fini(&text);
}

static void take_braked(struct alarms *a)
{
	struct buf text = { 0 };
	const char *name;
	json_t *g;

	json_object_foreach(a->braked, name, g)
	{
		buf_reset(&text);
		buf_addf(&text, "%s refused too much, nothing goes there for ",
			 name);
		print_age(&text, a->now_ms - print_get_time(g, "since"));
		buf_adds(&text, ", ");
		add_counts(&text, g);
		buf_addf(&text, " waiting: %.*s: mend it, then mx20ctl release"
				" --domain %.*s",
			 SPAN_ARG(control_get_text(g, "last_reply")),
			 SPAN_ARG(control_get_text(g, "domain")));
		add_group(a, "brake", g, buf_span(&text));
	}
	buf_fini(&text);
}

static void take_held(struct alarms *a)
{
	struct buf text = { 0 };
	const char *name;
	json_t *g;

	json_object_foreach(a->held, name, g)
	{
		buf_reset(&text);
		add_counts(&text, g);
		buf_addf(&text, " held, %s: mx20ctl status %.*s", name,
			 SPAN_ARG(control_get_text(g, "domain")));
		json_object_del(g, "since"); /* the destination's */
		add_group(a, "held", g, buf_span(&text));
	}
	buf_fini(&text);
}

json_t *alarms_take(struct alarms *a)
{
	json_t *list = a->list;

	take_held(a);
	take_braked(a);
	take_down(a);
	a->list = NULL;
	return list;
}
