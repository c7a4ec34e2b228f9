#include "daemon/ctl/select.h"

#include <stdlib.h>

#include "common/base/msgid.h"
#include "common/control/control.h"
#include "common/spool/scope.h"
#include "daemon/ctl/print.h"

enum { IDS_PER_REQUEST = 1000 };

/* For programs, as the daemon's own answers: nothing was asked of it. */
static void fail_in_json(const struct ctl *ctl, const char *error)
{
	if (ctl->json)
		ctl_print_json(json_pack("{s:b, s:s}", "ok", 0, "error",
					 error));
}

/* ---- Ids ---- */

static bool is_id(struct span text)
{
	uint64_t number;

	return msg_id_parse(text, &number);
}

static void add_id(struct selection *s, struct span text)
{
	if (!is_id(text)) {
		bool is_domain = span_find(text, '.') < text.n &&
				 span_find(text, '@') == text.n;

		ctl_complain("no such message: %.*s%s%.*s", SPAN_ARG(text),
			     is_domain ? "; all mail of a domain: --domain "
				       : "",
			     is_domain ? (int)text.n : 0, text.p);
		s->bad++;
		return;
	}
	buf_add(&s->ids, text);
	buf_addc(&s->ids, '\0');
	s->id_count++;
}

/* The first word of each line: what `queue` prints begins with it, too. */
static void read_ids(struct selection *s)
{
	char *line = NULL;
	size_t cap = 0;

	while (getline(&line, &cap, stdin) > 0) {
		struct span rest = { line, strcspn(line, "\r\n") };
		struct span word;

		rest = span_trim(rest);
		word = (struct span){ rest.p, strcspn(line + (rest.p - line),
						      " \t\r\n") };
		if (word.n > 0)
			add_id(s, word);
	}
	free(line);
}

static bool take_ids(struct selection *s, const struct ctl *ctl)
{
	for (size_t i = 0; i < ctl->argument_count; i++) {
		if (strcmp(ctl->arguments[i], "-") == 0)
			read_ids(s);
		else
			add_id(s, span_str(ctl->arguments[i]));
	}
	if (s->id_count == 0 && s->bad == 0)
		ctl_complain("%s: no ids on standard input", ctl->verb);
	if (s->id_count == 0)
		fail_in_json(ctl, s->bad == 0 ? "no ids on standard input"
						: "no such message");
	if (s->id_count == 1)
		buf_addf(&s->about, "message %s", buf_cstr(&s->ids));
	else
		print_count(&s->about, s->id_count, "message");
	s->left = buf_span(&s->ids);
	return s->id_count > 0;
}

/* ---- Domains and destinations ---- */

static bool take_domain(struct selection *s, const struct ctl *ctl,
			const char *text)
{
	s->key = "domain";
	if (!scope_domain_canon(&s->value, ctl_domain_text(text))) {
		ctl_complain("\"%s\" is not a domain", text);
		fail_in_json(ctl, "not a domain");
		return false;
	}
	buf_add(&s->about, buf_span(&s->value));
	return true;
}

static bool take_destination(struct selection *s, const char *text)
{
	s->key = "destination";
	buf_adds(&s->value, text);
	buf_addf(&s->about, "destination %s", text);
	return true;
}

/* Of a domain where a verb takes either: a queue id has no dot. */
static bool names_domain(const struct ctl *ctl)
{
	const char *text = ctl->argument;

	if (ctl->argument_count != 1)
		return false;
	if (scope_is_pattern(span_str(text)))
		return true;
	return strcmp(ctl->verb, "flush") == 0 && strcmp(text, "-") != 0 &&
	       !is_id(span_str(text));
}

bool selection_take(struct selection *s, const struct ctl *ctl)
{
	*s = (struct selection){ 0 };
	if (ctl->domain != NULL)
		return take_domain(s, ctl, ctl->domain);
	if (ctl->destination != NULL)
		return take_destination(s, ctl->destination);
	if (ctl->argument == NULL)
		return true;
	return names_domain(ctl) ? take_domain(s, ctl, ctl->argument)
				 : take_ids(s, ctl);
}

void selection_fini(struct selection *s)
{
	buf_fini(&s->ids);
	buf_fini(&s->value);
	buf_fini(&s->about);
}

/* ---- Requests ---- */

static void set_ids(struct selection *s, json_t *o)
{
	json_t *list = json_array();

	if (s->id_count == 1) {
		json_object_set_new(o, "id", json_string(s->left.p));
		s->left.n = 0;
		json_decref(list);
		return;
	}
	while (s->left.n > 0 && json_array_size(list) < IDS_PER_REQUEST)
		json_array_append_new(list,
				      control_text(span_cut(&s->left, '\0')));
	json_object_set_new(o, "ids", list);
}

/* Under sudo we run as root: for whom, the log shall know. */
void selection_claim(json_t *o)
{
	const char *text = getenv("SUDO_UID");
	uint64_t uid;

	if (text != NULL && span_u64(span_str(text), &uid) && uid <= UINT32_MAX)
		json_object_set_new(o, "claimed_uid",
				    json_integer((json_int_t)uid));
}

json_t *selection_request(struct selection *s, const struct ctl *ctl)
{
	json_t *o;

	if (s->id_count > 0 ? s->left.n == 0 : s->is_made)
		return NULL;
	s->is_made = true;
	o = json_pack("{s:s}", "verb", ctl->verb);
	if (s->id_count > 0)
		set_ids(s, o);
	else if (s->key != NULL)
		json_object_set_new(o, s->key,
				    control_text(buf_span(&s->value)));
	if (ctl->reason != NULL)
		json_object_set_new(o, "reason",
				    control_text(span_str(ctl->reason)));
	if (ctl->all)
		json_object_set_new(o, "all", json_true());
	selection_claim(o);
	return o;
}
