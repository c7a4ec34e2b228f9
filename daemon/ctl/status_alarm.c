/* mx20ctl status --alarm: what needs a person, and nothing else. */
#include <stdlib.h>

#include "common/control/control.h"
#include "daemon/ctl/alarm.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/status.h"

enum { DOWN_SHOWN = 20 };

static enum mx_err look_at_domains(struct alarms *a, struct source *s)
{
	struct status_page page = { 0 };
	enum mx_err err;

	do {
		err = source_domains(s, &page);
		for (size_t i = 0; i < json_array_size(page.items); i++)
			alarms_row(a, json_array_get(page.items, i));
	} while (err == MX_OK && source_is_live(s) && page.next.n > 0);
	status_page_fini(&page);
	return err;
}

/* What is the matter is known only while the daemon is asked. */
static enum ctl_exit look(struct alarms *a, struct source *s)
{
	json_t *overview;
	enum mx_err err = source_overview(s, &overview);

	if (err == MX_OK && source_is_live(s)) {
		alarms_overview(a, overview);
		err = look_at_domains(a, s);
	}
	json_decref(overview);
	if (err == MX_OK && source_is_live(s))
		return CTL_DONE;
	if (err != MX_OK && err != MX_ENET)
		return source_end(s, err);
	alarms_unreachable(a, SPAN_LIT("mx20d stopped answering"));
	return CTL_UNREACHABLE;
}

/* When nothing can be reached, everything is down: some lines say that. */
static void add_lines(struct buf *out, const json_t *list)
{
	uint64_t down = 0, messages = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *o = json_array_get(list, i);

		if (span_eq(control_get_text(o, "alarm"), SPAN_LIT("down")) &&
		    ++down > DOWN_SHOWN) {
			messages += (uint64_t)control_get_int(o, "messages", 0);
			continue;
		}
		print_text(out, control_get_text(o, "text"));
		buf_addc(out, '\n');
	}
	if (down <= DOWN_SHOWN)
		return;
	print_count(out, down - DOWN_SHOWN, "destination");
	buf_adds(out, " more are down, ");
	print_count(out, messages, "message");
	buf_adds(out, " waiting: mx20ctl top\n");
}

static void print_alarms(const struct ctl *ctl, const json_t *list)
{
	struct buf out = { 0 };

	if (ctl->json) {
		char *text = json_dumps(list, JSON_COMPACT);

		buf_addf(&out, "%s\n", text);
		free(text);
	}
	if (!ctl->json)
		add_lines(&out, list);
	ctl_write(buf_span(&out));
	buf_fini(&out);
}

enum ctl_exit ctl_alarm(const struct ctl *ctl)
{
	struct buf why = { 0 };
	struct alarms a;
	struct source s;
	json_t *list;
	enum ctl_exit rc = source_open_live(&s, ctl, &why);

	alarms_init(&a, ctl->now_ms, ctl->config);
	if (rc == CTL_DONE)
		rc = look(&a, &s);
	else if (rc == CTL_UNREACHABLE)
		alarms_unreachable(&a, buf_span(&why));
	else
		ctl_complain("%s", buf_cstr(&why));
	list = alarms_take(&a);
	print_alarms(ctl, list);
	if (rc == CTL_DONE && json_array_size(list) > 0)
		rc = CTL_FAILED;
	json_decref(list);
	alarms_fini(&a);
	source_close(&s);
	buf_fini(&why);
	return rc;
}
