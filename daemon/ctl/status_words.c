/* What mx20ctl status says above its table, and advises below it. */
#include "common/base/assert.h"
#include "daemon/ctl/alarm.h"
#include "daemon/ctl/mirror.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/status_priv.h"

static bool is_state(const json_t *row, const char *state)
{
	return span_eq(control_get_text(row, "state"), span_str(state));
}

/* ---- Above ---- */

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

void status_head(const struct ctl *ctl, const json_t *overview,
		 struct buf *out)
{
	const json_t *spool = json_object_get(overview, "spool");
	int64_t messages = control_get_int(spool, "messages", 0);

	print_text(out, control_get_text(overview, "hostname"));
	if (control_get_bool(overview, "running"))
		buf_addf(out, ": mx20d %.*s is running\n",
			 SPAN_ARG(control_get_text(overview, "version")));
	else if (control_get_bool(overview, "hangs"))
		buf_adds(out, ": mx20d runs and DOES NOT ANSWER; start it anew:"
			      " systemctl restart mx20\n");
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

/* ---- Below ---- */

void seen_note(struct seen *seen, const json_t *row)
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

void seen_note_hold(struct seen *seen, const json_t *hold)
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

void seen_advise(const struct seen *seen, bool is_live, struct buf *out)
{
	add_left_out(seen, out);
	if (seen->any)
		buf_adds(out, "\n");
	if (!is_live)
		buf_adds(out, "Nothing is accepted or delivered until mx20d"
			      " answers; states are as last known.\n");
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
