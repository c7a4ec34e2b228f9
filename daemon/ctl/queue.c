/*
 * mx20ctl queue: every message that waits, with its recipients.
 *
 * A million messages take no memory and hold no read transaction: a page is
 * gathered, the transaction ends, the page is written, the next one begins
 * behind the last id.
 */
#include "common/base/assert.h"
#include "common/base/msgid.h"
#include "common/control/control.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/queue.h"
#include "daemon/ctl/table.h"

enum { PAGE = 100 };

struct listing {
	struct ctl *ctl;
	uint64_t last; /* id of the message begun last */
	size_t on_page;
	bool is_full; /* more messages follow */
	uint64_t messages;
	/* for programs: the message whose units are being gathered */
	json_t *object;
	struct buf lines;
	/* for people */
	struct table table;
};

/* ---- One message, many units: one for each domain ---- */

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

json_t *queue_message(const struct unit *u)
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

void queue_recipients(json_t *message, const struct unit *u)
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

/* ---- For people ---- */

/* clang-format off */
static const struct column columns[] = {
	{ "ID",           false, 0 },
	{ "AGE",          true,  0 },
	{ "SIZE",         true,  0 },
	{ "FROM, TO",     false, 16 },
	{ "WHY IT WAITS", false, 12 },
};
/* clang-format on */

static void message_row(struct listing *l, const struct envelope *e)
{
	struct buf b = { 0 };

	msg_id_add(&b, e->id);
	table_cell(&l->table, buf_span(&b));
	buf_reset(&b);
	print_age(&b, l->ctl->now_ms - e->arrived_ms);
	table_cell(&l->table, buf_span(&b));
	buf_reset(&b);
	print_size(&b, e->bytes);
	table_cell(&l->table, buf_span(&b));
	table_cell(&l->table, e->from.n > 0 ? e->from : SPAN_LIT("<>"));
	table_cell(&l->table,
		   e->is_dsn ? SPAN_LIT("(a report of ours)") : SPAN_LIT(""));
	buf_fini(&b);
}

void queue_why(struct buf *out, const struct unit *u, const struct recipient *r,
	       int64_t now_ms)
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
	if (r->attempts > 0)
		buf_addf(out, ", tried %u time%s", r->attempts,
			 r->attempts == 1 ? "" : "s");
	if (r->last_reply.n > 0) {
		buf_adds(out, ": ");
		buf_add(out, r->last_reply);
	}
}

static void recipient_rows(struct listing *l, const struct unit *u)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < u->rcpt_count; i++) {
		for (int column = 0; column < 3; column++)
			table_cell(&l->table, SPAN_LIT(""));
		buf_reset(&b);
		buf_adds(&b, "  ");
		buf_add(&b, u->rcpts[i].path);
		table_cell(&l->table, buf_span(&b));
		buf_reset(&b);
		queue_why(&b, u, &u->rcpts[i], l->ctl->now_ms);
		table_cell(&l->table, buf_span(&b));
	}
	buf_fini(&b);
}

/* ---- The walk ---- */

static void end_message(struct listing *l)
{
	if (l->object != NULL)
		control_encode(&l->lines, l->object);
	l->object = NULL;
}

/* False: the page is full, and this unit begins the next one. */
static bool begin_message(struct listing *l, const struct unit *u)
{
	if (l->on_page == PAGE) {
		l->is_full = true;
		return false;
	}
	end_message(l);
	l->last = u->envelope.id;
	l->on_page++;
	l->messages++;
	if (l->ctl->json)
		l->object = queue_message(u);
	else
		message_row(l, &u->envelope);
	return true;
}

static bool add_unit(const struct unit *u, void *arg)
{
	struct listing *l = arg;

	if (l->on_page == 0 || u->envelope.id != l->last)
		if (!begin_message(l, u))
			return false;
	if (l->ctl->json)
		queue_recipients(l->object, u);
	else
		recipient_rows(l, u);
	return true;
}

static enum mx_err list(struct listing *l, struct spool *sp, struct span domain)
{
	enum mx_err err;

	do {
		l->is_full = false;
		l->on_page = 0;
		err = spool_list(sp, domain, l->last, add_unit, l);
		end_message(l);
		if (!l->ctl->json && l->messages > 0)
			table_print(&l->table, &l->lines);
		if (!ctl_write(buf_span(&l->lines)))
			break;
		buf_reset(&l->lines);
		/* the first page is there at once, whatever follows */
		if (ctl_flush_output() != 0)
			break;
	} while (err == MX_OK && l->is_full);
	return err == MX_ENOENT ? MX_OK : err;
}

enum ctl_exit ctl_queue(struct ctl *ctl)
{
	struct listing l = { .ctl = ctl };
	struct buf name = { 0 };
	struct spool *sp = NULL;
	enum mx_err err = MX_EINVAL;

	if (ctl->argument != NULL && !ctl_domain(ctl->argument, &name))
		return CTL_FAILED;
	table_init(&l.table, columns, COUNT(columns), ctl->width);
	if (ctl_open_spool(ctl, &sp)) {
		err = list(&l, sp, buf_span(&name));
		if (err != MX_OK)
			ctl_complain("the spool cannot be read: %s",
				     mx_strerror(err));
		else if (l.messages == 0 && !ctl->json)
			ctl_write(SPAN_LIT("nothing is waiting\n"));
		spool_close(&sp);
	}
	table_fini(&l.table);
	buf_fini(&l.lines);
	buf_fini(&name);
	return err == MX_OK ? CTL_DONE : CTL_FAILED;
}
