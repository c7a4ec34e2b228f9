/* mx20ctl status DOMAIN: everything about one domain, and what to do. */
#include "common/base/assert.h"
#include "common/control/control.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/status.h"
#include "daemon/ctl/table.h"

/* What to do, by what is the matter; the first row that fits. */
enum matter {
	MATTER_STOPPED,
	MATTER_FOREIGN,
	MATTER_HELD,
	MATTER_PATTERN_HELD,
	MATTER_DESTINATION_HELD,
	MATTER_NOTHING,
	MATTER_DOWN,
	MATTER_DEFERRED,
	MATTER_PARTLY_HELD,
	MATTER_GOING,
};

/* clang-format off */
static const char *const advice[] = {
	[MATTER_STOPPED] =
		"mx20d is not running: nothing is accepted or delivered. "
		"Start it: systemctl start mx20",
	[MATTER_FOREIGN] =
		"This domain is not in the allowlist: new mail for it is "
		"refused.",
	[MATTER_HELD] =
		"All mail of this domain is held. To let it go: "
		"mx20ctl release --domain %s",
	[MATTER_PATTERN_HELD] =
		"All mail of this domain is held, as that of every domain "
		"below. To let it go: mx20ctl release --domain '%s'",
	[MATTER_DESTINATION_HELD] =
		"Nothing goes to this destination: it is held. Which hold: "
		"mx20ctl status. To let the mail go: mx20ctl release "
		"--destination NAME",
	[MATTER_NOTHING] =
		"Nothing is waiting: nothing to do.",
	[MATTER_DOWN] =
		"The mail waits until the primary answers; it is tried again "
		"by itself. To see where it is looked for: mx20ctl route %s. "
		"To try now: mx20ctl flush %s",
	[MATTER_DEFERRED] =
		"The primary answers, but deferred some messages; each is "
		"tried again by itself. To see them: mx20ctl queue %s",
	[MATTER_PARTLY_HELD] =
		"Some messages are held by themselves. To see them: mx20ctl "
		"queue %s. To let them go: mx20ctl release --all --domain %s",
	[MATTER_GOING] =
		"The mail is on its way.",
};
/* clang-format on */

static enum matter matter_of(const struct spool_domain *row,
			     const json_t *state, bool is_live)
{
	struct span name = control_get_text(state, "state");

	if (!is_live)
		return MATTER_STOPPED;
	if (row->is_held)
		return row->hold_pattern[0] != '\0' ? MATTER_PATTERN_HELD
						    : MATTER_HELD;
	if (status_is_held(row, state))
		return MATTER_DESTINATION_HELD;
	if (row->units == 0)
		return json_is_false(json_object_get(state, "listed"))
			       ? MATTER_FOREIGN
			       : MATTER_NOTHING;
	if (row->held > 0)
		return MATTER_PARTLY_HELD;
	if (span_eq(name, SPAN_LIT("down")))
		return MATTER_DOWN;
	return row->deferred > 0 ? MATTER_DEFERRED : MATTER_GOING;
}

static void add_advice(enum matter m, const char *domain, struct buf *out)
{
	struct span text = span_str(advice[m]);

	buf_adds(out, "\n");
	while (text.n > 0) { /* %s stands for the domain, every time */
		size_t at = span_find(text, '%');

		buf_add(out, (struct span){ text.p, at });
		if (at < text.n)
			buf_adds(out, domain);
		text = span_skip(text, at + 2);
	}
	buf_adds(out, "\n");
}

static void add_mail(const struct ctl *ctl, const struct spool_domain *row,
		     struct buf *out)
{
	buf_adds(out, "  ");
	if (row->units == 0) {
		buf_adds(out, "nothing is waiting\n");
		return;
	}
	print_count(out, row->units, "message");
	buf_adds(out, ", ");
	human_size(out, row->bytes);
	buf_addf(out, ": %llu ready, %llu deferred, %llu held\n",
		 (unsigned long long)row->ready,
		 (unsigned long long)row->deferred,
		 (unsigned long long)row->held);
	buf_adds(out, "  the oldest arrived ");
	print_time(out, row->oldest_ms);
	buf_adds(out, ", ");
	print_age(out, ctl->now_ms - row->oldest_ms);
	buf_adds(out, " ago\n");
}

/* clang-format off */
static const struct column columns[] = {
	{ "TARGET",     false, 20 },
	{ "STATE",      false, 0 },
	{ "SINCE",      true,  0 },
	{ "SEEN",       true,  0 },
	{ "LAST REPLY", false, 20 },
};
/* clang-format on */

static void age_cell(const struct ctl *ctl, struct table *t, int64_t at_ms)
{
	struct buf age = { 0 };

	if (at_ms != 0)
		print_age(&age, ctl->now_ms - at_ms);
	else
		buf_addc(&age, '-');
	table_cell(t, buf_span(&age));
	buf_fini(&age);
}

void status_targets(const struct ctl *ctl, const json_t *state, struct buf *out)
{
	const json_t *targets = json_object_get(state, "targets");
	struct table t;

	if (json_array_size(targets) == 0)
		return;
	buf_adds(out, "\n");
	table_init(&t, columns, COUNT(columns), ctl->width);
	for (size_t i = 0; i < json_array_size(targets); i++) {
		const json_t *o = json_array_get(targets, i);

		table_cell(&t, control_get_text(o, "target"));
		table_cell(&t, control_get_text(o, "state"));
		age_cell(ctl, &t, status_time(o, "since"));
		age_cell(ctl, &t, status_time(o, "checked"));
		table_cell(&t, control_get_text(o, "last_reply"));
	}
	table_print(&t, out);
	table_fini(&t);
}

static void add_state(const struct ctl *ctl, const json_t *state,
		      struct buf *out)
{
	int64_t since_ms = status_time(state, "since");
	int64_t next_ms = status_time(state, "next_probe");
	int64_t seen_ms = status_time(state, "checked");
	struct span reply = control_get_text(state, "last_reply");

	buf_adds(out, "  destination ");
	print_text(out, control_get_text(state, "state"));
	if (since_ms != 0) {
		buf_adds(out, " since ");
		print_time(out, since_ms);
		buf_adds(out, ", ");
		print_age(out, ctl->now_ms - since_ms);
	}
	if (since_ms == 0 && seen_ms != 0) {
		buf_adds(out, "; last seen ");
		print_age(out, ctl->now_ms - seen_ms);
		buf_adds(out, " ago");
	}
	if (next_ms != 0) {
		buf_adds(out, "; next try in ");
		print_age(out, next_ms - ctl->now_ms);
	}
	buf_adds(out, "\n");
	if (reply.n > 0) {
		buf_adds(out, "  last reply: ");
		print_text(out, reply);
		buf_adds(out, "\n");
	}
}

void status_domain(const struct ctl *ctl, const struct spool_domain *row,
		   const json_t *state, bool is_live, struct buf *out)
{
	buf_addf(out, "\n%s\n", row->name);
	if (status_is_held(row, state)) {
		buf_adds(out, "  HELD: ");
		print_text(out, status_hold_reason(row, state));
		buf_adds(out, "\n");
	}
	add_mail(ctl, row, out);
	add_state(ctl, state, out);
	status_targets(ctl, state, out);
	add_advice(matter_of(row, state, is_live),
		   row->hold_pattern[0] != '\0' ? row->hold_pattern : row->name,
		   out);
}
