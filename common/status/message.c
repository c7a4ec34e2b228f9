/* Messages with their recipients. */
#include "common/base/msgid.h"
#include "common/control/control.h"
#include "common/status/status.h"

static void set_facts(json_t *o, const struct envelope *e)
{
	static const char *const protos[] = { [PROTO_LOCAL] = "local",
					      [PROTO_SMTP] = "smtp",
					      [PROTO_ESMTP] = "esmtp" };
	static const char *const bodies[] = {
		[SMTP_BODY_7BIT] = "7bit", [SMTP_BODY_8BITMIME] = "8bitmime"
	};
	static const char *const rets[] = {
		[SMTP_RET_FULL] = "full", [SMTP_RET_HDRS] = "hdrs"
	};

	json_object_set_new(o, "client", control_text_or_null(e->client_addr));
	json_object_set_new(o, "helo", control_text_or_null(e->helo));
	json_object_set_new(o, "protocol", json_string(protos[e->proto]));
	json_object_set_new(o, "tls", control_text_or_null(e->tls));
	json_object_set_new(o, "body",
			    e->body == SMTP_BODY_NONE
				    ? json_null()
				    : json_string(bodies[e->body]));
	json_object_set_new(o, "ret",
			    e->ret == SMTP_RET_NONE
				    ? json_null()
				    : json_string(rets[e->ret]));
	json_object_set_new(o, "envid", control_text_or_null(e->envid));
	json_object_set_new(o, "smtputf8", json_boolean(e->smtputf8));
	json_object_set_new(o, "requiretls", json_boolean(e->requiretls));
	json_object_set_new(o, "dsn", json_boolean(e->is_dsn));
}

static json_t *message_object(const struct unit *u)
{
	const struct envelope *e = &u->envelope;
	struct buf id = { 0 };
	json_t *o;

	msg_id_add(&id, e->id);
	o = json_pack("{s:o, s:o, s:I, s:o}", "id", control_text(buf_span(&id)),
		      "arrival", control_time(e->arrived_ms), "bytes",
		      (json_int_t)e->bytes, "from", control_text(e->from));
	buf_fini(&id);
	set_facts(o, e);
	json_object_set_new(o, "recipients", json_array());
	return o;
}

/* A recipient can have failed while others of its unit go on. */
static const char *state_of(const struct unit *u, const struct recipient *r)
{
	static const char *const units[] = {
		[UNIT_READY] = "ready",
		[UNIT_DEFERRED] = "deferred",
		[UNIT_HELD] = "held",
		[UNIT_REFUSED] = "refused",
	};
	static const char *const own[] = {
		[RECIPIENT_HELD] = "held",
		[RECIPIENT_REFUSED] = "unsettled",
		[RECIPIENT_SHELVED] = "refused",
		[RECIPIENT_TAKEN] = "delivered",
	};

	return r->state != RECIPIENT_PENDING ? own[r->state] : units[u->state];
}

static int64_t due_of(const struct unit *u, const struct recipient *r)
{
	if (recipient_is_parked(r))
		return r->until_ms;
	return r->state == RECIPIENT_PENDING && u->state == UNIT_DEFERRED
		       ? u->due_ms
		       : 0;
}

static json_t *recipient_object(const struct unit *u, const struct recipient *r)
{
	bool is_held = r->state == RECIPIENT_HELD || u->state == UNIT_HELD;

	return json_pack(
		"{s:o, s:I, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "address",
		control_text(r->path), "attempts", (json_int_t)r->attempts,
		"last_reply", control_text_or_null(r->last_reply), "due",
		control_time(due_of(u, r)), "state", state_of(u, r), "domain", control_text(u->domain), "host",
		control_text_or_null(r->last_host), "expires",
		control_time(u->expires_ms), "hold_reason",
		control_text_or_null(is_held ? u->hold_reason : SPAN_LIT("")));
}

/* ---- Lists ---- */

struct listing {
	json_t *items;
	uint64_t last;		  /* the message begun last */
	size_t recipients;	  /* in all of them */
	size_t most, left;	  /* of one: how many are shown, may still be */
	size_t left_out;	  /* of this one */
	struct status_filter *filter; /* NULL: of all */
	size_t looked_at;	  /* units and recipients, for that */
	uint64_t seen;		  /* the message of the last */
	bool is_bounded, is_full; /* more messages follow */
};

/* False: the page is full, and this unit begins the next one. */
static bool begin_message(struct listing *l, const struct unit *u)
{
	size_t n = json_array_size(l->items);

	if (n > 0 && u->envelope.id == l->last)
		return true;
	if (l->is_bounded &&
	    (n == STATUS_MESSAGES || l->recipients >= STATUS_RECIPIENTS)) {
		l->is_full = true;
		return false;
	}
	json_array_append_new(l->items, message_object(u));
	l->last = u->envelope.id;
	l->left = l->most;
	l->left_out = 0;
	return true;
}

static bool is_wanted(const struct listing *l, const struct unit *u,
		      const struct recipient *r)
{
	return l->filter == NULL ||
	       status_filter_recipient(l->filter, &u->envelope, r,
				       state_of(u, r));
}

/* A message has a unit for each domain. */
static bool add_unit(const struct unit *u, void *arg)
{
	struct listing *l = arg;
	json_t *message, *list;

	if (!begin_message(l, u))
		return false;
	message = json_array_get(l->items, json_array_size(l->items) - 1);
	list = json_object_get(message, "recipients");
	for (size_t i = 0; i < u->rcpt_count; i++) {
		const struct recipient *r = &u->rcpts[i];

		if (!is_wanted(l, u, r))
			continue;
		if (l->left == 0) {
			l->left_out++;
			continue;
		}
		json_array_append_new(list, recipient_object(u, r));
		l->left--;
		l->recipients++;
	}
	if (l->left_out > 0)
		json_object_set_new(message, "recipients_left_out",
				    json_integer((json_int_t)l->left_out));
	return true;
}

enum mx_err status_messages(struct spool *sp, struct span domain,
			    uint64_t after, size_t most,
			    struct status_page *out)
{
	struct listing l = { .items = json_array(),
			     .most = most,
			     .is_bounded = true };
	enum mx_err err = spool_list(sp, domain, after, add_unit, &l);

	*out = (struct status_page){ .items = l.items };
	if (l.is_full)
		msg_id_add(&out->next, l.last);
	return err == MX_ENOENT ? MX_OK : err;
}

/* Is a recipient of it asked for?  Each that is looked at counts. */
static bool has_wanted(struct listing *l, const struct unit *u)
{
	if (!status_filter_message(l->filter, &u->envelope))
		return false;
	for (size_t i = 0; i < u->rcpt_count; i++) {
		l->looked_at += i > 0;
		if (is_wanted(l, u, &u->rcpts[i]))
			return true;
	}
	return false;
}

/* Most of what is looked at may be no part of the page: that is bounded, too.
 * A page begins with a message. */
static bool add_wanted(const struct unit *u, void *arg)
{
	struct listing *l = arg;

	if (l->looked_at >= STATUS_LOOKED_AT && u->envelope.id != l->seen) {
		l->last = l->seen;
		l->is_full = true;
		return false;
	}
	l->looked_at++;
	if (has_wanted(l, u) && !add_unit(u, l))
		return false;
	l->seen = u->envelope.id;
	return true;
}

enum mx_err status_search(struct spool *sp, struct span domain, uint64_t after,
			  size_t most, struct status_filter *filter,
			  struct status_page *out)
{
	struct listing l = { .items = json_array(),
			     .most = most,
			     .is_bounded = true,
			     .filter = filter };
	enum mx_err err = spool_list(sp, domain, after, add_wanted, &l);

	*out = (struct status_page){ .items = l.items };
	if (l.is_full)
		msg_id_add(&out->next, l.last);
	return err == MX_ENOENT ? MX_OK : err;
}

enum mx_err status_message(struct spool *sp, uint64_t id, size_t most,
			   json_t **out)
{
	struct listing l = { .items = json_array(), .most = most };
	enum mx_err err = spool_message(sp, id, add_unit, &l);

	*out = json_incref(json_array_get(l.items, 0));
	json_decref(l.items);
	if (err == MX_OK && *out == NULL)
		err = MX_ENOENT;
	return err;
}
