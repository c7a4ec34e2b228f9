/* mx20ctl reload: what changes, what is doubtful, what is wrong. */
#include "common/base/assert.h"
#include "daemon/ctl/link.h"
#include "daemon/ctl/print.h"

/* Kinds of lines in the answer: where they go, and the list that programs
 * find them in. */
/* clang-format off */
static const struct line_kind {
	const char *is, *before, *list;
	bool is_good; /* belongs to what was asked for: standard output */
} kinds[] = {
	{ "error",   "",          "errors",   false },
	{ "forced",  "forced: ",  "forced",   true },
	{ "warning", "warning: ", "warnings", true },
	{ "change",  "",          "summary",  true },
};
/* clang-format on */

struct answer {
	const struct ctl *ctl;
	json_t *lists[COUNT(kinds)];
};

static void take_line(const json_t *part, void *arg)
{
	struct span is = control_get_text(part, "is");
	struct span line = control_get_text(part, "line");
	struct answer *a = arg;
	struct buf text = { 0 };
	size_t i = 0;

	while (i < COUNT(kinds) && !span_eq(is, span_str(kinds[i].is)))
		i++;
	if (i == COUNT(kinds))
		i = 0; /* a daemon that says no more than what is wrong */
	json_array_append_new(a->lists[i], control_text(line));
	buf_adds(&text, kinds[i].before);
	print_text(&text, line);
	buf_addc(&text, '\n');
	if (!kinds[i].is_good)
		fwrite(text.p, 1, text.n, stderr);
	else if (!a->ctl->json)
		ctl_write(buf_span(&text));
	buf_fini(&text);
}

static void print_end(const struct ctl *ctl, const json_t *end)
{
	struct buf text = { 0 };

	buf_adds(&text, ctl->dry_run ? "would be taken: " : "reloaded: ");
	print_count(&text, (uint64_t)control_get_int(end, "domains", 0),
		    "domain");
	buf_adds(&text, ", ");
	print_count(&text, (uint64_t)control_get_int(end, "recipients", 0),
		    "recipient");
	buf_adds(&text, "\n");
	ctl_write(buf_span(&text));
	buf_fini(&text);
}

static enum ctl_exit print_answer(struct answer *a, json_t *end)
{
	bool ok = control_get_bool(end, "ok");

	if (!ok) {
		struct span error = control_get_text(end, "error");

		ctl_complain("reload: %.*s", SPAN_ARG(error));
	} else if (!a->ctl->json) {
		print_end(a->ctl, end);
	}
	if (a->ctl->json) {
		for (size_t i = 0; i < COUNT(kinds); i++)
			if (!ok || kinds[i].is_good)
				json_object_set(end, kinds[i].list,
						a->lists[i]);
		ctl_print_json(json_incref(end));
	}
	return ok ? CTL_DONE : CTL_FAILED;
}

enum ctl_exit ctl_reload(struct ctl *ctl)
{
	struct answer a = { .ctl = ctl };
	enum ctl_exit rc;
	struct link link;
	json_t *end = NULL;

	for (size_t i = 0; i < COUNT(kinds); i++)
		a.lists[i] = json_array();
	rc = link_need(&link, ctl);
	if (rc == CTL_DONE) {
		end = link_ask(&link,
			       json_pack("{s:s, s:b, s:b}", "verb", "reload",
					 "force", (int)ctl->force, "dry_run",
					 (int)ctl->dry_run),
			       take_line, &a);
		rc = end != NULL ? print_answer(&a, end) : CTL_UNREACHABLE;
	}
	link_close(&link);
	json_decref(end);
	for (size_t i = 0; i < COUNT(kinds); i++)
		json_decref(a.lists[i]);
	return rc;
}
