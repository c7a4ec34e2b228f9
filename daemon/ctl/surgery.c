/* mx20ctl flush, hold, release, remove, bounce, reload: orders to the
 * daemon. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "daemon/ctl/link.h"
#include "daemon/ctl/mirror.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/select.h"
#include "daemon/ctl/source.h"

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

/* ---- Yes or no ---- */

/* How much mail this is about. */
static void describe(const struct ctl *ctl, struct selection *s,
		     struct buf *out)
{
	struct source live;
	struct buf why = { 0 };
	json_t *row = NULL;
	int64_t messages;

	buf_adds(out, "all mail");
	if (strcmp(s->key, "domain") == 0) {
		if (source_open_live(&live, ctl, &why) == CTL_DONE)
			(void)source_domain(&live, buf_span(&s->value), &row);
		source_close(&live);
	}
	buf_fini(&why);
	messages = control_get_int(row, "messages", 0);
	if (messages > 0) {
		buf_adds(out, " (");
		print_count(out, (uint64_t)messages, "message");
		buf_adds(out, ", ");
		human_size(out, (uint64_t)control_get_int(row, "bytes", 0));
		buf_adds(out, ")");
	}
	buf_addf(out, " of %s", buf_cstr(&s->about));
	json_decref(row);
}

/* Asked on a terminal only: scripts know what they do. */
static bool agrees(const struct ctl *ctl, const struct order *order,
		   struct selection *s)
{
	struct buf what = { 0 }, question = { 0 };
	const char *mark = strstr(order->ask, "%s");
	bool ok;

	if (s->id_count > 0 || !ctl_asks(ctl))
		buf_add(&what, buf_span(&s->about));
	else
		describe(ctl, s, &what);
	buf_addf(&question, "%.*s%s%s", (int)(mark - order->ask), order->ask,
		 buf_cstr(&what), mark + 2);
	ok = ctl_agrees(ctl, buf_cstr(&question));
	buf_fini(&what);
	buf_fini(&question);
	return ok;
}

/* ---- What came of it ---- */

struct result {
	json_t *answer;	 /* the last */
	json_t *missing; /* ids that were none */
	uint64_t count, under_way, still_held;
};

static void take_missing(const json_t *part, void *arg)
{
	struct span id = control_get_text(part, "id");

	if (id.n == 0)
		return;
	ctl_complain("%.*s: %.*s", SPAN_ARG(control_get_text(part, "error")),
		     SPAN_ARG(id));
	json_array_append_new(arg, control_text(id));
}

static uint64_t number(const json_t *answer, const char *key)
{
	int64_t n = control_get_int(answer, key, 0);

	return n > 0 ? (uint64_t)n : 0;
}

/* One request after the other: many ids take several. */
static enum ctl_exit run(const struct ctl *ctl, struct selection *s,
			 struct result *o)
{
	struct link link;
	json_t *request;
	enum ctl_exit rc = link_need(&link, ctl);

	o->missing = json_array();
	while (rc == CTL_DONE &&
	       (request = selection_request(s, ctl)) != NULL) {
		json_decref(o->answer);
		o->answer = link_ask(&link, request, take_missing, o->missing);
		if (o->answer == NULL)
			rc = CTL_UNREACHABLE;
		o->count += number(o->answer, "count");
		o->under_way += number(o->answer, "under_way");
		o->still_held += number(o->answer, "still_held");
	}
	link_close(&link);
	return rc;
}

/* The answer to all requests, in the form of the one to a single one. */
static void print_json(const struct result *o)
{
	const struct {
		const char *key;
		uint64_t n;
	} sums[] = {
		{ "count", o->count },
		{ "under_way", o->under_way },
		{ "still_held", o->still_held },
	};

	for (size_t i = 0; i < COUNT(sums); i++)
		if (json_object_get(o->answer, sums[i].key) != NULL)
			json_object_set_new(
				o->answer, sums[i].key,
				json_integer((json_int_t)sums[i].n));
	if (json_array_size(o->missing) > 0)
		json_object_set(o->answer, "missing", o->missing);
	ctl_print_json(json_incref(o->answer));
}

static void say(const struct ctl *ctl, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void say(const struct ctl *ctl, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	if (ctl->json) /* the answer says it */
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	ctl_write(span_str(line));
}

/* "1 message", "2 messages" */
static const char *messages(uint64_t n, struct buf *text)
{
	buf_reset(text);
	print_count(text, n, "message");
	return buf_cstr(text);
}

static bool is_verb(const struct ctl *ctl, const char *verb)
{
	return strcmp(ctl->verb, verb) == 0;
}

/* Mail that an order was not for; false: it was not done for that. */
static bool say_left(const struct ctl *ctl, const struct result *o)
{
	struct buf text = { 0 };
	bool is_bounce = is_verb(ctl, "bounce");
	bool is_one = o->under_way == 1;

	if (o->under_way > 0 && is_bounce)
		ctl_complain("%s %s being delivered at this moment: what that "
			     "leaves is returned then",
			     messages(o->under_way, &text),
			     is_one ? "is" : "are");
	else if (o->under_way > 0)
		ctl_complain("%s %s being delivered at this moment and may "
			     "still arrive",
			     messages(o->under_way, &text),
			     is_one ? "is" : "are");
	if (o->still_held > 0) {
		struct span release = control_get_text(o->answer, "release");

		ctl_complain("%s %s held%s; to let %s go: mx20ctl release %.*s",
			     messages(o->still_held, &text),
			     o->still_held == 1 ? "is" : "are",
			     is_verb(ctl, "release") ? " still" : "",
			     o->still_held == 1 ? "it" : "them",
			     SPAN_ARG(release));
	}
	buf_fini(&text);
	return !(o->under_way > 0 && is_bounce) &&
	       (o->still_held == 0 || o->count > 0);
}

/* Nothing was there to be done; false: and that is a failure. */
static bool say_nothing(const struct ctl *ctl, const char *about,
			const struct result *o)
{
	if (is_verb(ctl, "hold")) {
		say(ctl, "%s is held; no mail waits there now\n", about);
	} else if (control_get_bool(o->answer, "was_held")) {
		say(ctl, "%s is held no longer; no mail waited there\n", about);
	} else if (control_get_bool(o->answer, "was_braked")) {
		say(ctl, "the brake of %s is released; no mail waited there\n",
		    about);
	} else if (is_verb(ctl, "release") && o->still_held == 0) {
		ctl_complain("%s is not held", about);
		return false;
	} else if (o->still_held == 0 && o->under_way == 0) {
		say(ctl, "nothing is waiting\n");
	}
	return true;
}

static enum ctl_exit say_result(const struct ctl *ctl, const char *about,
				const char *done, const struct result *o)
{
	struct buf text = { 0 };
	bool ok = true;

	if (o->count > 0 && is_verb(ctl, "flush"))
		say(ctl, "%s %s tried now%s\n", messages(o->count, &text),
		    o->count == 1 ? "is" : "are",
		    about[0] == '\0' ? ", unless held" : "");
	else if (o->count > 0)
		say(ctl, "%s %s\n", messages(o->count, &text), done);
	else
		ok = say_nothing(ctl, about, o);
	ok = say_left(ctl, o) && ok && json_array_size(o->missing) == 0;
	buf_fini(&text);
	return ok ? CTL_DONE : CTL_FAILED;
}

/* ---- The verbs ---- */

static enum ctl_exit carry_out(const struct ctl *ctl, struct selection *s,
			       const char *done)
{
	struct result o = { 0 };
	const char *about = buf_cstr(&s->about);
	enum ctl_exit rc = run(ctl, s, &o);

	if (rc == CTL_DONE && !control_get_bool(o.answer, "ok")) {
		rc = report_failure(ctl, o.answer, about);
	} else if (rc == CTL_DONE) {
		if (ctl->json)
			print_json(&o);
		rc = say_result(ctl, about, done, &o);
	}
	json_decref(o.answer);
	json_decref(o.missing);
	return rc;
}

static enum ctl_exit order(const struct ctl *ctl, const struct order *what)
{
	struct selection s;
	enum ctl_exit rc = CTL_FAILED;

	if (!selection_take(&s, ctl)) {
		;
	} else if (what != NULL && !agrees(ctl, what, &s)) {
		ctl_complain("nothing was done");
	} else {
		rc = carry_out(ctl, &s, what != NULL ? what->done : "");
		if (s.bad > 0 && rc == CTL_DONE)
			rc = CTL_FAILED;
	}
	selection_fini(&s);
	return rc;
}

enum ctl_exit ctl_surgery(struct ctl *ctl)
{
	return order(ctl, order_find(ctl->verb));
}

enum ctl_exit ctl_flush(struct ctl *ctl)
{
	enum ctl_exit rc = order(ctl, NULL);

	if (rc == CTL_DONE)
		mirror_warn_withheld(ctl);
	return rc;
}
