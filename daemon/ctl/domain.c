/* mx20ctl status DOMAIN: everything about one domain, and what to do. */
#include "common/base/assert.h"
#include "common/control/control.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/status.h"
#include "daemon/ctl/table.h"

bool status_is_held(const json_t *row)
{
	return json_is_string(json_object_get(row, "hold"));
}

void status_age_cell(struct table *t, int64_t since_ms, int64_t now_ms)
{
	struct buf b = { 0 };

	if (since_ms == 0)
		buf_adds(&b, "-");
	else
		print_age(&b, now_ms - since_ms);
	table_cell(t, buf_span(&b));
	buf_fini(&b);
}

/* What to do, by what is the matter; the first row that fits. */
enum matter {
	MATTER_STOPPED,
	MATTER_FOREIGN,
	MATTER_HELD,
	MATTER_UNLISTED,
	MATTER_PATTERN_HELD,
	MATTER_DESTINATION_HELD,
	MATTER_NOTHING,
	MATTER_BRAKED,
	MATTER_DOWN,
	MATTER_DEFERRED,
	MATTER_PARTLY_HELD,
	MATTER_REFUSED,
	MATTER_GOING,
};

/* clang-format off */
static const char *const advice[] = {
	[MATTER_STOPPED] =
		"mx20d does not answer: nothing is accepted or delivered.\n"
		"Start it: systemctl restart mx20",
	[MATTER_FOREIGN] =
		"This domain is not in the allowlist: new mail for it is "
		"refused.",
	[MATTER_HELD] =
		"All mail of this domain is held.\n"
		"To let it go: mx20ctl release --domain %s",
	[MATTER_UNLISTED] =
		"This domain is no longer in the allowlist, and mail waited: it "
		"is held.\n"
		"List the domain again, or:\n"
		"mx20ctl release, bounce or remove --domain %s",
	[MATTER_PATTERN_HELD] =
		"All mail of this domain is held, as that of every domain "
		"below.\n"
		"To let it go: mx20ctl release --domain '%s'",
	[MATTER_DESTINATION_HELD] =
		"Nothing goes to this destination: it is held.\n"
		"Which hold: mx20ctl status\n"
		"To let the mail go: mx20ctl release --destination NAME",
	[MATTER_NOTHING] =
		"Nothing is waiting: nothing to do.",
	[MATTER_BRAKED] =
		"The primary answers, but refused too much: it may be broken. "
		"Nothing goes there\n"
		"but one message an hour, to try; what it refused last waits, "
		"too.\n"
		"Mend it, then: mx20ctl release --domain %s\n"
		"If it is right: mx20ctl bounce --domain %s",
	[MATTER_DOWN] =
		"The mail waits until the primary takes it, which is asked "
		"again by itself.\n"
		"To see where it is looked for: mx20ctl route %s\n"
		"To try now: mx20ctl flush %s",
	[MATTER_DEFERRED] =
		"The primary answers, but deferred some messages; each is "
		"tried again by itself.\n"
		"To see them: mx20ctl queue %s",
	[MATTER_PARTLY_HELD] =
		"Some messages are held by themselves.\n"
		"To see them: mx20ctl queue %s\n"
		"To let them go: mx20ctl release --all --domain %s",
	[MATTER_REFUSED] =
		"The primary refused some messages; they are kept a while, "
		"and not tried again by\nthemselves.\n"
		"To see which, and why: mx20ctl queue %s\n"
		"To try them again: mx20ctl release --domain %s",
	[MATTER_GOING] =
		"The mail is on its way.",
};
/* clang-format on */

static enum matter matter_of(const json_t *row, bool is_live)
{
	static const struct {
		const char *hold;
		enum matter matter;
	} holds[] = {
		{ "domain", MATTER_HELD },
		{ "pattern", MATTER_PATTERN_HELD },
		{ "destination", MATTER_DESTINATION_HELD },
		{ "unlisted", MATTER_UNLISTED },
	};
	struct span hold = control_get_text(row, "hold");

	if (!is_live)
		return MATTER_STOPPED;
	for (size_t i = 0; i < COUNT(holds); i++)
		if (span_eq(hold, span_str(holds[i].hold)))
			return holds[i].matter;
	if (control_get_int(row, "messages", 0) == 0)
		return json_is_false(json_object_get(row, "listed"))
			       ? MATTER_FOREIGN
			       : MATTER_NOTHING;
	if (control_get_bool(row, "braked"))
		return MATTER_BRAKED;
	if (control_get_int(row, "held_messages", 0) > 0)
		return MATTER_PARTLY_HELD;
	if (control_get_bool(row, "down"))
		return MATTER_DOWN;
	if (control_get_int(row, "refused_messages", 0) > 0)
		return MATTER_REFUSED;
	return control_get_int(row, "deferred", 0) > 0 ? MATTER_DEFERRED
						       : MATTER_GOING;
}

static void add_advice(enum matter m, struct span domain, struct buf *out)
{
	struct span text = span_str(advice[m]);

	buf_adds(out, "\n");
	while (text.n > 0) { /* %s stands for the domain, every time */
		size_t at = span_find(text, '%');

		buf_add(out, (struct span){ text.p, at });
		if (at < text.n)
			buf_add(out, domain);
		text = span_skip(text, at + 2);
	}
	buf_adds(out, "\n");
}

static void add_mail(const struct ctl *ctl, const json_t *row, struct buf *out)
{
	int64_t messages = control_get_int(row, "messages", 0);
	int64_t oldest_ms = print_get_time(row, "oldest");

	buf_adds(out, "  ");
	if (messages == 0) {
		buf_adds(out, "nothing is waiting\n");
		return;
	}
	print_count(out, (uint64_t)messages, "message");
	buf_adds(out, ", ");
	human_size(out, (uint64_t)control_get_int(row, "bytes", 0));
	buf_addf(out, ": %lld ready, %lld deferred, %lld held",
		 (long long)control_get_int(row, "ready", 0),
		 (long long)control_get_int(row, "deferred", 0),
		 (long long)control_get_int(row, "held_messages", 0));
	if (control_get_int(row, "refused_messages", 0) > 0)
		buf_addf(out, ", %lld refused",
			 (long long)control_get_int(row, "refused_messages",
						    0));
	buf_adds(out, "\n  the oldest arrived ");
	print_time(out, oldest_ms);
	buf_adds(out, ", ");
	print_age(out, ctl->now_ms - oldest_ms);
	buf_adds(out, " ago\n");
}

/* clang-format off */
static const struct column columns[] = {
	{ "TARGET",     false, 14, 0 },
	{ "STATE",      false, 0, 0 },
	{ "SINCE",      true,  0, 2 },
	{ "SEEN",       true,  0, 1 },
	{ "LAST REPLY", false, 12, 0 },
};
/* clang-format on */

/* Nothing else would say why nothing is relayed to a host that is up. */
static void add_mismatches(const json_t *targets, struct buf *out)
{
	for (size_t i = 0; i < json_array_size(targets); i++) {
		const json_t *o = json_array_get(targets, i);
		int64_t until_ms = print_get_time(o, "mismatch_until");

		if (until_ms == 0)
			continue;
		buf_adds(out, "  ");
		print_text(out, control_get_text(o, "target"));
		buf_adds(out, ": its replies do not match our commands; "
			      "nothing is relayed to it until ");
		print_time(out, until_ms);
		buf_adds(out, "\n");
	}
}

void status_show_targets(const struct ctl *ctl, const json_t *state,
			 struct buf *out)
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
		status_age_cell(&t, print_get_time(o, "since"), ctl->now_ms);
		status_age_cell(&t, print_get_time(o, "checked"), ctl->now_ms);
		table_cell(&t, control_get_text(o, "last_reply"));
	}
	table_print(&t, out);
	table_fini(&t);
	add_mismatches(targets, out);
}

/* clang-format off */
static const struct column source_columns[] = {
	{ "RECIPIENTS FROM", false, 16, 0 },
	{ "COUNT",           true,  0, 0 },
	{ "AGE",             true,  0, 1 },
	{ "ERROR",           false, 12, 0 },
};
/* clang-format on */

/* Who says who has a mailbox there, and how old that is. */
static void add_sources(const struct ctl *ctl, const json_t *row,
			struct buf *out)
{
	const json_t *list = json_object_get(row, "recipients");
	struct buf count = { 0 };
	struct table t;

	if (json_array_size(list) == 0)
		return;
	buf_adds(out, "\n");
	table_init(&t, source_columns, COUNT(source_columns), ctl->width);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *o = json_array_get(list, i);
		int64_t n = control_get_int(o, "count", -1);

		buf_reset(&count);
		if (n < 0)
			buf_adds(&count, "-");
		else
			buf_addu(&count, (uint64_t)n);
		table_cell(&t, control_get_text(o, "source"));
		table_cell(&t, buf_span(&count));
		status_age_cell(&t, print_get_time(o, "fetched"), ctl->now_ms);
		table_cell(&t, control_get_text(o, "error"));
	}
	table_print(&t, out);
	table_fini(&t);
	buf_fini(&count);
}

static void add_state(const struct ctl *ctl, const json_t *state,
		      struct buf *out)
{
	int64_t since_ms = print_get_time(state, "since");
	int64_t next_ms = print_get_time(state, "next_probe");
	int64_t seen_ms = print_get_time(state, "checked");
	struct span reply = control_get_text(state, "last_reply");

	buf_adds(out, "  destination ");
	print_text(out, control_get_text(state, "state"));
	if (control_get_bool(state, "braked"))
		buf_adds(out, ", BRAKED");
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
		buf_adds(out, "; next try ");
		print_wait(out, next_ms - ctl->now_ms);
	}
	buf_adds(out, "\n");
	if (reply.n > 0) {
		buf_adds(out, "  last reply: ");
		print_text(out, reply);
		buf_adds(out, "\n");
	}
}

static void add_refusals(const json_t *row, struct buf *out)
{
	const json_t *list = json_object_get(row, "refusals");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *o = json_array_get(list, i);
		struct span reply = control_get_text(o, "reply");

		buf_addf(out, "  refused %lld times: ",
			 (long long)control_get_int(o, "count", 0));
		print_text(out, reply.n > 0 ? reply : SPAN_LIT("other words"));
		buf_adds(out, "\n");
	}
}

/* "  rejected at RCPT since the start: 12 unknown_recipient, 3 quota" */
static void add_rejected(const json_t *row, struct buf *out)
{
	const json_t *list = json_object_get(row, "rejected");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *o = json_array_get(list, i);

		buf_addf(out, "%s%lld ",
			 i == 0 ? "  recipients rejected since the start: "
				: ", ",
			 (long long)control_get_int(o, "count", 0));
		print_text(out, control_get_text(o, "reason"));
	}
	if (json_array_size(list) > 0)
		buf_adds(out, "\n");
}

void status_show_domain(const struct ctl *ctl, const json_t *row, bool is_live,
			struct buf *out)
{
	struct span pattern = control_get_text(row, "hold_pattern");
	struct span name = control_get_text(row, "domain");

	buf_adds(out, "\n");
	print_text(out, name);
	buf_adds(out, "\n");
	if (status_is_held(row)) {
		buf_adds(out, "  HELD: ");
		print_text(out, control_get_text(row, "hold_reason"));
		buf_adds(out, "\n");
	}
	add_mail(ctl, row, out);
	add_state(ctl, row, out);
	if (control_get_bool(row, "catch_all"))
		buf_adds(out, "  catch-all: the primary takes everyone, so "
			      "nothing is learned of its recipients\n");
	add_refusals(row, out);
	add_rejected(row, out);
	status_show_targets(ctl, row, out);
	add_sources(ctl, row, out);
	add_advice(matter_of(row, is_live), pattern.n > 0 ? pattern : name,
		   out);
}
