/* mx20ctl flush, hold, release, remove, bounce, reload: orders to the
 * daemon. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/msgid.h"
#include "daemon/ctl/link.h"
#include "daemon/ctl/print.h"

/* What each does, before and after. */
/* clang-format off */
static const struct order {
	const char *verb;
	const char *ask;  /* what it means to say yes */
	const char *done;
} orders[] = {
	{ "hold",    "Keep %s from being delivered?", "held" },
	{ "release", "Let %s go?", "released" },
	{ "remove",  "Remove %s?  It is lost, and nobody is told.", "removed" },
	{ "bounce",  "Give up %s and report that to the senders?", "bounced" },
};
/* clang-format on */

static const struct order *order_find(const char *verb)
{
	for (size_t i = 0; i < COUNT(orders); i++)
		if (strcmp(orders[i].verb, verb) == 0)
			return &orders[i];
	MX_ASSERT(!"a verb without its row");
	return NULL;
}

/* ---- Which mail ---- */

/* The request; NULL after saying what is wrong.  What it is about, in words,
 * goes to about. */
static json_t *request_new(const struct ctl *ctl, const char *id,
			   const char *domain, struct buf *about)
{
	json_t *o = json_pack("{s:s}", "verb", ctl->verb);
	struct buf name = { 0 };
	uint64_t number;

	if (id != NULL && !msg_id_parse(span_str(id), &number)) {
		ctl_complain("no such message: %s%s%s", id,
			     strchr(id, '.') != NULL ? "; all mail of a"
						       " domain: --domain "
						     : "",
			     strchr(id, '.') != NULL ? id : "");
		json_decref(o);
		return NULL;
	}
	if (domain != NULL && !ctl_domain(domain, &name)) {
		json_decref(o);
		return NULL;
	}
	if (id != NULL) {
		json_object_set_new(o, "id", json_string(id));
		buf_addf(about, "message %s", id);
	}
	if (domain != NULL) {
		json_object_set_new(o, "domain", json_string(buf_cstr(&name)));
		buf_adds(about, buf_cstr(&name));
	}
	if (ctl->reason != NULL)
		json_object_set_new(o, "reason",
				    control_text(span_str(ctl->reason)));
	buf_fini(&name);
	return o;
}

/* A queue id has 13 characters and no dot; a domain of mail has one. */
static bool is_id(const char *text)
{
	uint64_t number;

	return strchr(text, '.') == NULL &&
	       msg_id_parse(span_str(text), &number);
}

/* ---- Answers ---- */

static enum ctl_exit report_failure(const struct ctl *ctl, json_t *answer,
				    const char *about)
{
	struct span error = control_get_text(answer, "error");

	ctl_complain("%s%s%s: %.*s", ctl->verb, about[0] != '\0' ? " " : "",
		     about, SPAN_ARG(error));
	if (ctl->json)
		ctl_print_json(json_incref(answer));
	return CTL_FAILED;
}

/* Ask and read the answer; *answer is the caller's unless it is lost. */
static enum ctl_exit exchange(const struct ctl *ctl, json_t *request,
			      link_part_cb *each, void *arg, json_t **answer)
{
	struct link link;
	enum ctl_exit rc = link_need(&link, ctl);

	*answer = NULL;
	if (rc == CTL_DONE) {
		*answer = link_ask(&link, request, each, arg);
		rc = *answer != NULL ? CTL_DONE : CTL_UNREACHABLE;
	} else {
		json_decref(request);
	}
	link_close(&link);
	return rc;
}

/* ---- Yes or no ---- */

/* How much mail this is about, from the spool when we may read it. */
static void describe_domain(const struct ctl *ctl, const char *domain,
			    struct buf *out)
{
	struct spool *sp = NULL;
	struct spool_domain row;
	struct buf name = { 0 }, why = { 0 }, path = { 0 };

	buf_adds(out, "all mail");
	buf_add(&path, ctl->config->spool.path);
	if (smtp_domain_canon(&name, span_str(domain)) == MX_OK &&
	    spool_open_reader(&sp, buf_cstr(&path), &why) == MX_OK &&
	    spool_domain_get(sp, buf_span(&name), &row) == MX_OK) {
		buf_adds(out, " (");
		print_count(out, row.units, "message");
		buf_adds(out, ", ");
		human_size(out, row.bytes);
		buf_adds(out, ")");
	}
	buf_addf(out, " of %s", domain);
	if (sp != NULL)
		spool_close(&sp);
	buf_fini(&name);
	buf_fini(&why);
	buf_fini(&path);
}

/* Asked on a terminal only: scripts know what they do. */
static bool agrees(const struct ctl *ctl, const struct order *order,
		   const char *about)
{
	char answer[16];
	struct buf what = { 0 };
	const char *mark = strstr(order->ask, "%s");

	if (ctl->yes || !isatty(STDIN_FILENO))
		return true;
	if (ctl->domain != NULL)
		describe_domain(ctl, about, &what);
	else
		buf_adds(&what, about);
	fprintf(stderr, "%.*s%s%s [yes/no] ", (int)(mark - order->ask),
		order->ask, buf_cstr(&what), mark + 2);
	buf_fini(&what);
	if (fgets(answer, sizeof(answer), stdin) == NULL)
		return false;
	return strcmp(answer, "yes\n") == 0 || strcmp(answer, "y\n") == 0;
}

/* ---- The verbs ---- */

enum ctl_exit ctl_surgery(struct ctl *ctl)
{
	const struct order *order = order_find(ctl->verb);
	struct buf about = { 0 }, text = { 0 };
	json_t *answer = NULL;
	json_t *request = request_new(ctl, ctl->argument, ctl->domain, &about);
	enum ctl_exit rc = CTL_FAILED;

	if (request == NULL)
		goto done;
	if (!agrees(ctl, order, buf_cstr(&about))) {
		ctl_complain("nothing was done");
		json_decref(request);
		goto done;
	}
	rc = exchange(ctl, request, NULL, NULL, &answer);
	if (rc != CTL_DONE)
		goto done;
	if (!control_get_bool(answer, "ok")) {
		rc = report_failure(ctl, answer, buf_cstr(&about));
		goto done;
	}
	if (ctl->json) {
		ctl_print_json(json_incref(answer));
		goto done;
	}
	print_count(&text, (uint64_t)control_get_int(answer, "count", 0),
		    "message");
	buf_addf(&text, " %s\n", order->done);
	ctl_write(buf_span(&text));
done:
	json_decref(answer);
	buf_fini(&about);
	buf_fini(&text);
	return rc;
}

static void say_flushed(const struct ctl *ctl, const json_t *answer,
			const char *about)
{
	struct buf text = { 0 };
	uint64_t count = (uint64_t)control_get_int(answer, "count", 0);

	if (control_get_bool(answer, "held")) {
		buf_addf(&text, "%s is held: mx20ctl release --domain %s\n",
			 about, about);
	} else if (count == 0) {
		buf_adds(&text, "nothing is waiting\n");
	} else {
		print_count(&text, count, "message");
		buf_adds(&text,
			 count == 1 ? " is tried now" : " are tried now");
		buf_adds(&text,
			 ctl->argument == NULL ? ", unless held\n" : "\n");
	}
	ctl_write(buf_span(&text));
	buf_fini(&text);
}

enum ctl_exit ctl_flush(struct ctl *ctl)
{
	bool by_id = ctl->argument != NULL && is_id(ctl->argument);
	struct buf about = { 0 };
	json_t *answer = NULL;
	json_t *request = request_new(ctl, by_id ? ctl->argument : NULL,
				      by_id ? NULL : ctl->argument, &about);
	enum ctl_exit rc = CTL_FAILED;

	if (request != NULL)
		rc = exchange(ctl, request, NULL, NULL, &answer);
	if (rc == CTL_DONE && !control_get_bool(answer, "ok"))
		rc = report_failure(ctl, answer, buf_cstr(&about));
	else if (rc == CTL_DONE && ctl->json)
		ctl_print_json(json_incref(answer));
	else if (rc == CTL_DONE)
		say_flushed(ctl, answer, buf_cstr(&about));
	json_decref(answer);
	buf_fini(&about);
	return rc;
}
