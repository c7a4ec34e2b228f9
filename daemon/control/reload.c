/* verb reload: what it changed, what it would change, why it was refused. */
#include "daemon/control/control_priv.h"

#include "config/reload.h"

/* ---- Lines for people ---- */

static void send_lines(struct request *r, const char *is, struct span text)
{
	while (text.n > 0) {
		struct span line = span_cut(&text, '\n');

		if (line.n > CONTROL_LINE_MAX / 8) /* escapes make it longer */
			line.n = CONTROL_LINE_MAX / 8;
		request_part(r, json_pack("{s:s, s:o}", "is", is, "line",
					  control_text(line)));
	}
}

static void send_change(struct request *r, const struct change *ch)
{
	struct buf text = { 0 };

	change_text(&text, ch);
	send_lines(r, "change", buf_span(&text));
	buf_fini(&text);
}

/* ---- The same for programs ---- */

static json_t *names_array(const struct change_names *names)
{
	struct span rest = buf_span(&names->names);
	json_t *list = json_array();

	while (rest.n > 0)
		json_array_append_new(list,
				      control_text(span_cut(&rest, '\n')));
	return list;
}

static json_t *change_object(const struct change *ch)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}",
			 "domains_gone", (json_int_t)ch->gone.count,
			 "domains_new", (json_int_t)ch->come.count,
			 "recipients_before", (json_int_t)ch->recipients_before,
			 "messages_waiting", (json_int_t)ch->messages,
			 "domains_waiting", (json_int_t)ch->waiting.count,
			 "gone", names_array(&ch->gone), "new",
			 names_array(&ch->come), "waiting",
			 names_array(&ch->waiting));
}

/* ---- The answer ---- */

static const char refused[] = "refused, the configuration before stays; if "
			      "this is meant: mx20ctl reload --force";
static const char would_refuse[] = "would be refused without --force";

static void answer_faults(struct request *r, const struct config_errors *errors)
{
	send_lines(r, "error", buf_span(&errors->text));
	request_done(r, json_pack("{s:b, s:b, s:b, s:I, s:s}", "ok", 0,
				  "dry_run", (int)r->is_dry, "refused", 0,
				  "count", (json_int_t)errors->count, "error",
				  "the configuration has errors: the one"
				  " before stays"));
}

/* Taken; or would be, if that was the question. */
static bool is_fine(const struct request *r, const struct control_reload *e)
{
	return e->change->refusals.count == 0 || r->is_forced ||
	       (!r->is_dry && e->is_taken);
}

static void answer_change(struct request *r, const struct control_reload *e)
{
	const struct change *ch = e->change;
	bool ok = is_fine(r, e);
	json_t *end =
		json_pack("{s:b, s:b, s:b, s:I, s:I, s:o}", "ok", (int)ok,
			  "dry_run", (int)r->is_dry, "refused", (int)!ok,
			  "domains", (json_int_t)e->config->domain_count,
			  "recipients", (json_int_t)e->config->recipient_count,
			  "changes", change_object(ch));

	send_change(r, ch);
	send_lines(r, "warning", e->config->doubts);
	send_lines(r, "warning", buf_span(e->notes));
	send_lines(r, ok ? "forced" : "error", buf_span(&ch->refusals.text));
	if (!ok) {
		json_object_set_new(
			end, "count",
			json_integer((json_int_t)ch->refusals.count));
		json_object_set_new(
			end, "error",
			json_string(r->is_dry ? would_refuse : refused));
	}
	request_done(r, end);
}

void control_reloaded(struct control *c, const struct control_reload *e)
{
	struct request *r, *next;

	for (r = LIST_FIRST(&c->requests); r != NULL; r = next) {
		next = LIST_NEXT(r, link);
		if (r->awaits_reload == 0 || r->awaits_reload > e->number)
			continue;
		if (e->config == NULL)
			answer_faults(r, e->errors);
		else
			answer_change(r, e);
	}
}

void reload_run(struct request *r)
{
	struct control_options *opt = &r->control->opt;
	unsigned flags = (r->is_forced ? RELOAD_FORCED : 0) |
			 (r->is_dry ? RELOAD_DRY : 0);

	if (r->is_forced && !r->is_dry)
		log_info(EV_CONTROL, LOG_STR("by", "operator"),
			 LOG_INT("uid", r->uid), LOG_STR("verb", r->verb),
			 LOG_STR("force", "yes"));
	r->awaits_reload = opt->reload(flags, opt->arg);
}
