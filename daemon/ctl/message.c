/* A message as `queue` and `show` present it. */
#include "daemon/ctl/message.h"

#include "common/base/msgid.h"
#include "daemon/ctl/print.h"

/* A recipient can be held while others of its unit go on. */
static enum unit_state state_of(const struct unit *u, const struct recipient *r)
{
	return r->is_held ? UNIT_HELD : u->state;
}

static const char *state_name(enum unit_state state)
{
	static const char *const names[] = {
		[UNIT_READY] = "ready",
		[UNIT_DEFERRED] = "deferred",
		[UNIT_HELD] = "held",
	};

	return names[state];
}

json_t *message_object(const struct unit *u)
{
	const struct envelope *e = &u->envelope;
	struct buf id = { 0 };
	json_t *o;

	msg_id_add(&id, e->id);
	o = json_pack("{s:o, s:o, s:I, s:o, s:[]}", "id",
		      control_text(buf_span(&id)), "arrival",
		      control_time(e->arrived_ms), "bytes",
		      (json_int_t)e->bytes, "from", control_text(e->from),
		      "recipients");
	buf_fini(&id);
	return o;
}

void message_recipients(json_t *message, const struct unit *u)
{
	json_t *list = json_object_get(message, "recipients");

	for (size_t i = 0; i < u->rcpt_count; i++) {
		const struct recipient *r = &u->rcpts[i];

		json_array_append_new(
			list,
			json_pack("{s:o, s:I, s:o, s:o, s:s, s:o, s:o, s:o}",
				  "address", control_text(r->path), "attempts",
				  (json_int_t)r->attempts, "last_reply",
				  control_text_or_null(r->last_reply), "due",
				  control_time(state_of(u, r) == UNIT_DEFERRED
						       ? u->due_ms
						       : 0),
				  "state", state_name(state_of(u, r)), "domain",
				  control_text(u->domain), "host",
				  control_text_or_null(r->last_host), "expires",
				  control_time(u->expires_ms)));
	}
}

/* What keeps a whole domain waiting: a hold, or its destination. */
static void add_reason(struct buf *out, const struct states_page *reasons,
		       struct span domain, enum unit_state state)
{
	size_t i = 0;

	while (i < reasons->count &&
	       !span_eq(domain, span_str(reasons->rows[i].name)))
		i++;
	if (i == reasons->count)
		return;
	if (state == UNIT_HELD) {
		if (reasons->rows[i].is_held)
			buf_addf(out, ": %s", reasons->rows[i].hold_reason);
		return;
	}
	struct span name = control_get_text(reasons->states[i], "state");
	struct span reply = control_get_text(reasons->states[i], "last_reply");
	if (!span_eq(name, SPAN_LIT("down")))
		return;
	buf_adds(out, ", destination down: ");
	buf_add(out, reply);
}

void message_why(struct buf *out, const struct unit *u,
		 const struct recipient *r, int64_t now_ms,
		 const struct states_page *reasons)
{
	enum unit_state state = state_of(u, r);

	if (state == UNIT_HELD) {
		buf_adds(out, "held");
	} else if (state == UNIT_DEFERRED && u->due_ms > now_ms) {
		buf_adds(out, "retry in ");
		print_age(out, u->due_ms - now_ms);
	} else {
		buf_adds(out, "ready");
	}
	if (r->attempts == 1)
		buf_adds(out, ", tried once");
	else if (r->attempts > 1)
		buf_addf(out, ", tried %u times", r->attempts);
	if (r->last_reply.n > 0) {
		buf_adds(out, ": ");
		buf_add(out, r->last_reply);
	} else if (reasons != NULL && r->attempts == 0) {
		add_reason(out, reasons, u->domain, state);
	}
}
