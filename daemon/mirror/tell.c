#include "daemon/mirror/tell.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/control/control.h"

static json_t *text(const char *s)
{
	return control_text(span_str(s));
}

/* Rounded away from 0, which stands for none. */
static json_int_t seconds(int64_t ms)
{
	return ms >= 0 ? (ms + 999) / 1000 : -((-ms + 999) / 1000);
}

/* Does another life of this node have a lease? */
static bool lives_elsewhere(const struct mirror_status *s, size_t i)
{
	for (size_t k = 0; k < s->node_count; k++)
		if (k != i && s->nodes[k].lease_ms > 0 &&
		    strcmp(s->nodes[k].name, s->nodes[i].name) == 0)
			return true;
	return false;
}

/* Of others: neither alive nor gone by order.  What was heard before the
 * database went away says nothing. */
static json_t *lost_nodes(const struct mirror_status *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->node_count && s->state != MIRROR_AWAY; i++) {
		const struct mirror_node *n = &s->nodes[i];
		bool is_settled =
			n->has_left || n->is_given || n->is_stopped;

		if (n->is_self || n->lease_ms > 0 ||
		    (n->messages == 0 && (is_settled || lives_elsewhere(s, i))))
			continue;
		json_array_append_new(
			list, json_pack("{s:o, s:I, s:I}", "node",
					text(n->name), "messages",
					(json_int_t)n->messages, "over_s",
					seconds(-n->lease_ms)));
	}
	return list;
}

/* Names that two have who live. */
static json_t *doubled_names(const struct mirror_status *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->node_count && s->state != MIRROR_AWAY; i++)
		for (size_t k = 0; k < i; k++)
			if (s->nodes[i].lease_ms > 0 &&
			    s->nodes[k].lease_ms > 0 &&
			    strcmp(s->nodes[i].name, s->nodes[k].name) == 0)
				json_array_append_new(list,
						      text(s->nodes[i].name));
	return list;
}

json_t *mirror_tell(const struct mirror_status *s, const struct config *c)
{
	return json_pack(
		"{s:s, s:o, s:o, s:s, s:o, s:i, s:b, s:o, s:o, s:I, s:I, s:I,"
		" s:{s:I, s:o}, s:I, s:I, s:o, s:o}",
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
		(json_int_t)s->taken, "dropped", (json_int_t)s->dropped, "lost",
		lost_nodes(s), "doubled", doubled_names(s));
}

static const char *node_state(const struct mirror_node *n)
{
	if (n->has_left)
		return "left";
	if (n->is_given)
		return "given";
	if (n->is_stopped)
		return "stopped";
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
