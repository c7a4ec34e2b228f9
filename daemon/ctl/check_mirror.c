/* What mx20d knows of the second copy, for mx20ctl check. */
#include "daemon/ctl/mirror.h"
#include "daemon/ctl/print.h"

/* Nodes that may have to read what another version wrote. */
static void add_others(const json_t *nodes, struct buf *out)
{
	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *o = json_array_get(nodes, i);
		struct span version = control_get_text(o, "version");

		if (version.n == 0 || span_eq(version, SPAN_LIT(MX_VERSION)) ||
		    !span_eq(control_get_text(o, "state"), SPAN_LIT("alive")))
			continue;
		if (out->n > 0)
			buf_adds(out, ", ");
		buf_addf(out, "%.*s %.*s",
			 SPAN_ARG(control_get_text(o, "node")),
			 SPAN_ARG(version));
	}
}

static void take(struct check_learned *l, const json_t *o, int64_t now_ms)
{
	struct check_mirror *m = &l->mirror;
	const struct span state = control_get_text(o, "state");
	const json_t *lag = json_object_get(o, "lag");
	const int64_t oldest_ms = print_get_time(lag, "oldest");

	m->is_known = true;
	m->is_in_step = span_eq(state, SPAN_LIT("in-step"));
	m->is_away = span_eq(state, SPAN_LIT("away"));
	m->has_left = span_eq(state, SPAN_LIT("left"));
	m->refuses = span_eq(control_get_text(o, "when_away"),
			     SPAN_LIT("refuse"));
	m->is_synchronous = control_get_bool(o, "synchronous");
	m->server = control_get_text(o, "server");
	m->error = control_get_text(o, "error");
	m->lag_messages = (uint64_t)control_get_int(lag, "messages", 0);
	m->lag_ms = oldest_ms != 0 ? now_ms - oldest_ms : 0;
	add_others(json_object_get(o, "nodes"), &l->others);
	m->others = buf_span(&l->others);
	mirror_show_nodes(o, "", &l->ills);
	while (l->ills.n > 0 && l->ills.p[l->ills.n - 1] == '\n')
		l->ills.n--;
	for (size_t i = 0; i < l->ills.n; i++)
		if (l->ills.p[i] == '\n')
			l->ills.p[i] = ';';
	m->ills = buf_span(&l->ills);
}

void mirror_learn(struct check_learned *l, struct source *s)
{
	*l = (struct check_learned){ 0 };
	l->mirror.is_set = s->ctl->config->mirror.postgresql.n > 0;
	if (!l->mirror.is_set || !source_is_live(s))
		return;
	l->answer = link_ask(&s->link, json_pack("{s:s}", "verb", "mirror"),
			     NULL, NULL);
	if (control_get_bool(l->answer, "ok"))
		take(l, l->answer, s->ctl->now_ms);
}

void mirror_learn_fini(struct check_learned *l)
{
	json_decref(l->answer);
	buf_fini(&l->others);
	buf_fini(&l->ills);
}
