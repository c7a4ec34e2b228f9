#include "daemon/mirror/tell.h"

#include "common/base/clock.h"
#include "common/control/control.h"

static json_t *text(const char *s)
{
	return control_text(span_str(s));
}

/* Rounded down, so that what is over is not 0. */
static json_int_t seconds(int64_t ms)
{
	return ms >= 0 ? ms / 1000 : -((-ms + 999) / 1000);
}

json_t *mirror_tell(const struct mirror_status *s, const struct config *c)
{
	return json_pack(
		"{s:s, s:o, s:o, s:s, s:o, s:i, s:b, s:o, s:o, s:I, s:I, s:I,"
		" s:{s:I, s:o}, s:I, s:I}",
		"state", mirror_state_name(s->state), "since",
		control_time(s->since_ms), "node", text(s->node), "when_away",
		s->refuses ? "refuse" : "accept", "server", text(s->server),
		"schema", s->schema, "synchronous", (int)s->is_synchronous,
		"error", control_text_or_null(span_str(s->error)), "error_at",
		control_time(s->error_ms), "lease_left_s", seconds(s->lease_ms),
		"lease_s", seconds(c->mirror.lease_ms), "patience_s",
		seconds(s->patience_ms), "lag", "messages",
		(json_int_t)s->lag_messages, "oldest",
		control_time(s->lag_oldest_ms), "taken_over",
		(json_int_t)s->taken, "dropped", (json_int_t)s->dropped);
}

static const char *node_state(const struct mirror_node *n)
{
	if (n->has_left)
		return "left";
	if (n->is_given)
		return "given";
	return n->lease_ms > 0 ? "alive" : "over";
}

json_t *mirror_tell_nodes(const struct mirror_status *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->node_count; i++) {
		const struct mirror_node *n = &s->nodes[i];

		json_array_append_new(
			list,
			json_pack("{s:o, s:I, s:b, s:s, s:I, s:o, s:I, s:I,"
				  " s:o, s:o}",
				  "node", text(n->name), "owner",
				  (json_int_t)n->owner, "self", (int)n->is_self,
				  "state", node_state(n), "lease_left_s",
				  seconds(n->lease_ms), "seen",
				  control_time(n->seen_ms), "messages",
				  (json_int_t)n->messages, "taken",
				  (json_int_t)n->taken, "taken_by",
				  control_text_or_null(span_str(n->taken_by)),
				  "version", text(n->version)));
	}
	return list;
}

void mirror_tell_into(json_t *overview, struct mirror *m,
		      const struct config *c)
{
	struct mirror_status s;

	if (mirror_status(m, &s))
		json_object_set_new(overview, "mirror", mirror_tell(&s, c));
}
