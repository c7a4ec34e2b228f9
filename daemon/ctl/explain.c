/* mx20ctl explain: what a client would hear, and which gate says it. */
#include <unistd.h>

#include "common/base/assert.h"
#include "config/value/value.h"
#include "daemon/ctl/link.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/table.h"

enum { PATIENCE_MS = 700 };

/* clang-format off */
static const struct column columns[] = {
	{ "GATE",    false, 0, 0 },
	{ "VERDICT", false, 0, 0 },
	{ "BECAUSE", false, 12, 0 },
};
/* clang-format on */

/* "spf   softfail  of sender.test, by ~all" */
static void add_spf(struct table *t, const json_t *spf)
{
	struct span domain = control_get_text(spf, "domain");
	struct span mechanism = control_get_text(spf, "mechanism");
	struct span words = control_get_text(spf, "explanation");
	struct buf text = { 0 };

	if (domain.n > 0)
		buf_addf(&text, "of %.*s", SPAN_ARG(domain));
	if (mechanism.n > 0)
		buf_addf(&text, ", by %.*s", SPAN_ARG(mechanism));
	if (words.n > 0)
		buf_addf(&text, "%s%.*s", text.n > 0 ? ": " : "",
			 SPAN_ARG(words));
	table_cell(t, SPAN_LIT("(spf)"));
	table_cell(t, control_get_text(spf, "result"));
	table_cell(t, buf_span(&text));
	buf_fini(&text);
}

static void print_answer(const struct ctl *ctl, json_t *end)
{
	const json_t *gates = json_object_get(end, "gates");
	struct buf out = { 0 };
	struct table t;

	table_init(&t, columns, COUNT(columns), ctl->width);
	for (size_t i = 0; i < json_array_size(gates); i++) {
		const json_t *row = json_array_get(gates, i);

		table_cell(&t, control_get_text(row, "gate"));
		table_cell(&t, control_get_text(row, "verdict"));
		table_cell(&t, control_get_text(row, "detail"));
	}
	add_spf(&t, json_object_get(end, "spf"));
	table_print(&t, &out);
	table_fini(&t);
	buf_adds(&out, "\n");
	print_text(&out, control_get_text(end, "reply"));
	buf_adds(&out, "\n");
	ctl_write(buf_span(&out));
	buf_fini(&out);
}

/* NULL: it has been said why. */
static json_t *question(const struct ctl *ctl)
{
	int64_t size = 0;
	json_t *o;

	if (ctl->size != NULL && !value_size(span_str(ctl->size), &size)) {
		ctl_complain("--size: expected a size such as 2000000 or 10M");
		return NULL;
	}
	o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "verb", "explain",
		      "client", ctl->client, "helo",
		      ctl->helo != NULL ? ctl->helo : "", "from",
		      ctl->from != NULL ? ctl->from : "", "to", ctl->to, "size",
		      (json_int_t)size);
	if (o == NULL)
		ctl_complain("explain: text that is not UTF-8");
	return o;
}

/* What takes long is said meanwhile to whoever sits there. */
static json_t *ask(struct link *l, json_t *question)
{
	static const char words[] = "asking DNS of the client and the sender; "
				    "it is slow ...";
	bool is_told = false;
	json_t *end;

	if (!link_send(l, question)) {
		ctl_complain("mx20d hung up");
		return NULL;
	}
	if (isatty(STDERR_FILENO) && !link_waits(l, PATIENCE_MS)) {
		fprintf(stderr, "\r%s", words);
		is_told = true;
	}
	end = link_read(l, 0);
	if (is_told)
		fprintf(stderr, "\r%*s\r", (int)sizeof(words), "");
	if (end == NULL)
		ctl_complain("mx20d hung up before it answered");
	return end;
}

enum ctl_exit ctl_explain(struct ctl *ctl)
{
	struct link link = { .fd = -1 };
	enum ctl_exit rc = link_need(&link, ctl);
	json_t *asked = rc == CTL_DONE ? question(ctl) : NULL, *end = NULL;

	if (rc != CTL_DONE)
		goto done;
	rc = CTL_FAILED;
	if (asked == NULL)
		goto done;
	end = ask(&link, asked);
	if (end == NULL) {
		rc = CTL_UNREACHABLE;
		goto done;
	}
	if (!control_get_bool(end, "ok")) {
		ctl_complain("explain: %.*s",
			     SPAN_ARG(control_get_text(end, "error")));
		goto done;
	}
	json_object_del(end, "ok");
	if (ctl->json)
		ctl_print_json(json_incref(end));
	else
		print_answer(ctl, end);
	rc = CTL_DONE;
done:
	link_close(&link);
	json_decref(end);
	return rc;
}
