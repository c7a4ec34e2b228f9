/* mx20ctl show: one message whole. */
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/msgid.h"
#include "daemon/ctl/message.h"
#include "daemon/ctl/print.h"

enum { PIECE = 64 * 1024 };

struct view {
	struct ctl *ctl;
	json_t *object;	 /* for programs */
	struct buf text; /* for people */
	size_t units;
};

/* ---- For programs ---- */

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

/* ---- For people ---- */

static void fact(struct buf *out, const char *name, struct span value)
{
	if (value.n == 0)
		return;
	buf_addf(out, "%-10s ", name);
	print_text(out, value);
	buf_adds(out, "\n");
}

static void add_facts(struct view *v, const struct envelope *e)
{
	struct buf b = { 0 };

	msg_id_add(&b, e->id);
	fact(&v->text, "id", buf_span(&b));
	buf_reset(&b);
	print_time(&b, e->arrived_ms);
	buf_adds(&b, ", ");
	print_age(&b, v->ctl->now_ms - e->arrived_ms);
	buf_adds(&b, " ago");
	fact(&v->text, "arrived", buf_span(&b));
	buf_reset(&b);
	human_size(&b, e->bytes);
	fact(&v->text, "size", buf_span(&b));
	buf_reset(&b);
	buf_addf(&b, "<%.*s>", SPAN_ARG(e->from));
	fact(&v->text, "from", buf_span(&b));
	buf_reset(&b);
	if (e->client_addr.n > 0)
		buf_addf(&b, "%.*s (%.*s)", SPAN_ARG(e->client_addr),
			 SPAN_ARG(e->helo));
	fact(&v->text, "client",
	     e->is_dsn ? SPAN_LIT("a report made here") : buf_span(&b));
	fact(&v->text, "tls", e->tls);
	fact(&v->text, "envid", e->envid);
	buf_fini(&b);
}

static void add_recipients(struct view *v, const struct unit *u)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < u->rcpt_count; i++) {
		buf_reset(&b);
		buf_addf(&b, "<%.*s>  ", SPAN_ARG(u->rcpts[i].path));
		message_why(&b, u, &u->rcpts[i], v->ctl->now_ms, NULL);
		fact(&v->text, "to", buf_span(&b));
	}
	buf_reset(&b);
	buf_addf(&b, "%.*s until ", SPAN_ARG(u->domain));
	print_time(&b, u->expires_ms);
	fact(&v->text, "kept for", buf_span(&b));
	buf_fini(&b);
}

static bool add_unit(const struct unit *u, void *arg)
{
	struct view *v = arg;

	if (v->units++ == 0) {
		v->object = message_object(u);
		set_facts(v->object, &u->envelope);
		add_facts(v, &u->envelope);
	}
	message_recipients(v->object, u);
	add_recipients(v, u);
	return true;
}

/* ---- Content ---- */

/* Line by line as a terminal may see it: CR LF becomes LF. */
static void print_lines(struct buf *out, struct span piece)
{
	while (piece.n > 0) {
		bool is_line = span_find(piece, '\n') < piece.n;
		struct span line = span_cut(&piece, '\n');

		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		for (struct span rest = line; rest.n > 0;) {
			size_t tab = span_find(rest, '\t');

			print_text(out, (struct span){ rest.p, tab });
			if (tab < rest.n)
				buf_addc(out, '\t');
			rest = span_skip(rest, tab + 1);
		}
		if (is_line)
			buf_addc(out, '\n');
	}
}

static enum mx_err write_content(struct spool *sp, uint64_t id, bool raw)
{
	struct buf piece = { 0 }, text = { 0 };
	uint64_t offset = 0;
	enum mx_err err;

	for (;;) {
		buf_reset(&piece);
		err = spool_content(sp, id, offset, PIECE, &piece);
		if (err != MX_OK || piece.n == 0)
			break;
		offset += piece.n;
		buf_reset(&text);
		if (!raw)
			print_lines(&text, buf_span(&piece));
		if (!ctl_write(raw ? buf_span(&piece) : buf_span(&text)))
			break;
	}
	buf_fini(&piece);
	buf_fini(&text);
	return err;
}

/* ---- The verb ---- */

static enum mx_err show(struct view *v, struct spool *sp, uint64_t id)
{
	enum mx_err err = spool_message(sp, id, add_unit, v);

	if (err == MX_OK && v->units == 0)
		err = MX_ENOENT;
	if (err != MX_OK)
		return err;
	if (v->ctl->raw)
		return write_content(sp, id, true);
	if (v->ctl->json) {
		ctl_print_json(json_incref(v->object));
		return MX_OK;
	}
	buf_adds(&v->text, "\n");
	ctl_write(buf_span(&v->text));
	return write_content(sp, id, false);
}

enum ctl_exit ctl_show(struct ctl *ctl)
{
	struct view v = { .ctl = ctl };
	struct spool *sp = NULL;
	uint64_t id;
	enum mx_err err = MX_ENOENT;

	if (!ctl_open_spool(ctl, &sp))
		return CTL_FAILED;
	if (msg_id_parse(span_str(ctl->argument), &id))
		err = show(&v, sp, id);
	if (err == MX_ENOENT)
		ctl_complain("no such message: %s", ctl->argument);
	else if (err != MX_OK)
		ctl_complain("the spool cannot be read: %s", mx_strerror(err));
	json_decref(v.object);
	buf_fini(&v.text);
	spool_close(&sp);
	return err == MX_OK ? CTL_DONE : CTL_FAILED;
}
