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
			json_pack(
				"{s:o, s:I, s:o, s:o, s:s, s:o, s:o, s:o,"
				" s:o}",
				"address", control_text(r->path), "attempts",
				(json_int_t)r->attempts, "last_reply",
				control_text_or_null(r->last_reply), "due",
				control_time(state_of(u, r) == UNIT_DEFERRED
						     ? u->due_ms
						     : 0),
				"state", state_name(state_of(u, r)), "domain",
				control_text(u->domain), "host",
				control_text_or_null(r->last_host), "expires",
				control_time(u->expires_ms), "hold_reason",
				control_text_or_null(state_of(u, r) == UNIT_HELD
							     ? u->hold_reason
							     : SPAN_LIT(""))));
	}
}

/* What keeps a whole domain waiting: its destination. */
static void add_reason(struct buf *out, const struct states_page *reasons,
		       struct span domain)
{
	const json_t *state = NULL;
	struct span hold;

	for (size_t i = 0; i < reasons->count && state == NULL; i++)
		if (span_eq(domain, span_str(reasons->rows[i].name)))
			state = reasons->states[i];
	if (state == NULL)
		return;
	hold = control_get_text(state, "destination_hold");
	if (hold.n > 0) {
		buf_adds(out, ", destination held: ");
		buf_add(out, hold);
	} else if (span_eq(control_get_text(state, "state"),
			   SPAN_LIT("down"))) {
		buf_adds(out, ", destination down: ");
		buf_add(out, control_get_text(state, "last_reply"));
	}
}

static void add_state(struct buf *out, const struct unit *u,
		      enum unit_state state, int64_t now_ms)
{
	if (state == UNIT_HELD) {
		buf_adds(out, "held");
		if (u->hold_reason.n > 0)
			buf_adds(out, ": ");
		buf_add(out, u->hold_reason);
	} else if (state == UNIT_DEFERRED && u->due_ms > now_ms) {
		buf_adds(out, "deferred, retry in ");
		print_age(out, u->due_ms - now_ms);
	} else {
		buf_adds(out, "ready");
	}
}

void message_why(struct buf *out, const struct unit *u,
		 const struct recipient *r, int64_t now_ms,
		 const struct states_page *reasons)
{
	enum unit_state state = state_of(u, r);

	add_state(out, u, state, now_ms);
	if (r->attempts == 1)
		buf_adds(out, ", tried once");
	else if (r->attempts > 1)
		buf_addf(out, ", tried %u times", r->attempts);
	if (r->last_reply.n > 0) {
		buf_adds(out, ": ");
		buf_add(out, r->last_reply);
	} else if (reasons != NULL && state != UNIT_HELD) {
		add_reason(out, reasons, u->domain);
	}
}
