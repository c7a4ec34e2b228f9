/* What the mirror's state means for mail, in a sentence. */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/ctl/mirror.h"
#include "daemon/ctl/print.h"

/* clang-format off */
static const struct {
	const char *state, *words;
} states[] = {
	{ "in-step", "every message is in both copies before its 250" },
	{ "behind",  "the database answers, and is being brought up to date" },
	{ "away",    "the database cannot be used" },
	{ "leaving", "mail is handed over, none is accepted" },
	{ "left",    "all mail was handed over, none is accepted before a"
		     " restart: it can be stopped" },
};
/* clang-format on */

static const char *words_of(struct span state)
{
	for (size_t i = 0; i < COUNT(states); i++)
		if (span_eq(state, span_str(states[i].state)))
			return states[i].words;
	return "";
}

static bool is_state(const json_t *m, const char *state)
{
	return span_eq(control_get_text(m, "state"), span_str(state));
}

static void add_lag(const json_t *m, int64_t now_ms, struct buf *out)
{
	const json_t *lag = json_object_get(m, "lag");
	const int64_t n = control_get_int(lag, "messages", 0);
	const int64_t oldest_ms = print_get_time(lag, "oldest");

	if (n == 0 || is_state(m, "left")) /* it is for others to have */
		return;
	buf_adds(out, "SECOND COPY MISSING or old: ");
	print_count(out, (uint64_t)n, "message");
	if (oldest_ms != 0) {
		buf_adds(out, ", the oldest ");
		print_age(out, now_ms - oldest_ms);
	}
	buf_adds(out, "; ");
}

static void add_withheld(int64_t patience_s, struct buf *out)
{
	buf_adds(out, "mail that is in the database is WITHHELD for ");
	print_age(out, SECONDS(patience_s));
	buf_adds(out, " at most, as other nodes cannot be told that it leaves,"
		      " and may have it by now (mirror.patience)");
}

/* What becomes of new mail meanwhile, and of what others may have by now. */
static void add_meanwhile(const json_t *m, struct buf *out)
{
	const int64_t patience_s = control_get_int(m, "patience_s", 0);
	const bool refuses = span_eq(control_get_text(m, "when_away"),
				     SPAN_LIT("refuse"));

	if (!is_state(m, "away") && !is_state(m, "behind"))
		return;
	buf_adds(out, refuses ? "; new mail is REFUSED with 451"
			      : "; new mail is accepted with one copy");
	if (patience_s == 0)
		return;
	buf_adds(out, "; ");
	add_withheld(patience_s, out);
}

void mirror_warn_withheld(const struct ctl *ctl)
{
	struct buf text = { 0 };
	struct source s;
	json_t *all = NULL;
	int64_t patience_s = 0;

	if (ctl->config->mirror.postgresql.n == 0)
		return;
	if (source_open_live(&s, ctl, &text) == CTL_DONE &&
	    source_overview(&s, &all) == MX_OK)
		patience_s = control_get_int(json_object_get(all, "mirror"),
					     "patience_s", 0);
	buf_reset(&text);
	if (patience_s > 0) {
		add_withheld(patience_s, &text);
		ctl_complain("%s", buf_cstr(&text));
	}
	json_decref(all);
	source_close(&s);
	buf_fini(&text);
}

void mirror_show_state(const json_t *m, int64_t now_ms, struct buf *out)
{
	const struct span state = control_get_text(m, "state");
	const struct span error = control_get_text(m, "error");

	add_lag(m, now_ms, out);
	buf_addf(out, "%.*s: %s", SPAN_ARG(state), words_of(state));
	if (error.n > 0)
		buf_addf(out, ": %.*s", SPAN_ARG(error));
	add_meanwhile(m, out);
}

void mirror_lost_text(const json_t *lost, struct buf *out)
{
	const struct span node = control_get_text(lost, "node");
	const int64_t messages = control_get_int(lost, "messages", 0);

	buf_addf(out, "node %.*s has not been heard of for ", SPAN_ARG(node));
	print_age(out, SECONDS(control_get_int(lost, "over_s", 0)));
	buf_adds(out, " beyond its lease");
	if (messages > 0) {
		buf_adds(out, ", ");
		print_count(out, (uint64_t)messages, "message");
		buf_adds(out, " of it still there");
	}
	buf_addf(out, ": start it; if it is gone for good: mx20ctl mirror take"
		      " %.*s",
		 SPAN_ARG(node));
}

void mirror_doubled_text(struct span name, struct buf *out)
{
	buf_addf(out, "two nodes are called %.*s: give each its own mirror.node",
		 SPAN_ARG(name));
}

void mirror_show_nodes(const json_t *m, const char *before, struct buf *out)
{
	const json_t *lost = json_object_get(m, "lost");
	const json_t *doubled = json_object_get(m, "doubled");

	for (size_t i = 0; i < json_array_size(lost); i++) {
		buf_adds(out, before);
		mirror_lost_text(json_array_get(lost, i), out);
		buf_addc(out, '\n');
	}
	for (size_t i = 0; i < json_array_size(doubled); i++) {
		buf_adds(out, before);
		mirror_doubled_text(span_str(json_string_value(
					    json_array_get(doubled, i))),
				    out);
		buf_addc(out, '\n');
	}
}
