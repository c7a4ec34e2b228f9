/* mx20ctl recipient: whether it is one, and who says so. */
#include "daemon/ctl/link.h"
#include "daemon/ctl/print.h"

static void add_time(struct buf *out, const json_t *o, const char *key)
{
	int64_t ms = print_get_time(o, key);

	if (ms == 0)
		return;
	buf_addf(out, "  %-8s", key);
	print_time(out, ms);
	buf_adds(out, "\n");
}

static void print_answer(const json_t *o)
{
	struct span reply = control_get_text(o, "reply");
	struct buf text = { 0 };

	print_text(&text, control_get_text(o, "address"));
	buf_adds(&text, "\n  known   ");
	print_text(&text, control_get_text(o, "known"));
	buf_adds(&text, "\n  source  ");
	print_text(&text, control_get_text(o, "source"));
	buf_adds(&text, "\n");
	add_time(&text, o, "since");
	add_time(&text, o, "expires");
	if (reply.n > 0) {
		buf_adds(&text, "  reply   ");
		print_text(&text, reply);
		buf_adds(&text, "\n");
	}
	ctl_write(buf_span(&text));
	buf_fini(&text);
}

static enum ctl_exit show(const struct ctl *ctl, json_t *end)
{
	struct span error = control_get_text(end, "error");

	if (!control_get_bool(end, "ok")) {
		ctl_complain("recipient: %.*s", SPAN_ARG(error));
		return CTL_FAILED;
	}
	json_object_del(end, "ok");
	if (ctl->json)
		ctl_print_json(json_incref(end));
	else
		print_answer(end);
	return CTL_DONE;
}

enum ctl_exit ctl_recipient(struct ctl *ctl)
{
	struct link link;
	json_t *end = NULL;
	enum ctl_exit rc = link_need(&link, ctl);

	if (rc == CTL_DONE) {
		end = link_ask(&link,
			       json_pack("{s:s, s:o, s:b, s:b}", "verb",
					 "recipient", "address",
					 control_text(span_str(ctl->argument)),
					 "forget", (int)ctl->forget, "recheck",
					 (int)ctl->recheck),
			       NULL, NULL);
		rc = end != NULL ? show(ctl, end) : CTL_UNREACHABLE;
	}
	link_close(&link);
	json_decref(end);
	return rc;
}
