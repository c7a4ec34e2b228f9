/* mx20ctl show: one message whole. */
#include "daemon/ctl/message.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/source.h"

enum { SHOWN_MAX = 256 * 1024 }; /* longer ones are shown in parts */

/* ---- For people ---- */

static void fact(struct buf *out, const char *name, struct span value)
{
	if (value.n == 0)
		return;
	buf_addf(out, "%-10s ", name);
	print_text(out, value);
	buf_adds(out, "\n");
}

static void add_origin(struct buf *out, const json_t *m)
{
	struct span client = control_get_text(m, "client");
	struct buf b = { 0 };

	buf_addf(&b, "<%.*s>", SPAN_ARG(control_get_text(m, "from")));
	fact(out, "from", buf_span(&b));
	buf_reset(&b);
	if (client.n > 0)
		buf_addf(&b, "%.*s (%.*s)", SPAN_ARG(client),
			 SPAN_ARG(control_get_text(m, "helo")));
	fact(out, "client",
	     control_get_bool(m, "dsn") ? SPAN_LIT("a report made here")
					: buf_span(&b));
	fact(out, "tls", control_get_text(m, "tls"));
	fact(out, "envid", control_get_text(m, "envid"));
	buf_fini(&b);
}

static void add_facts(const struct ctl *ctl, struct buf *out, const json_t *m)
{
	int64_t arrived_ms = print_get_time(m, "arrival");
	struct buf b = { 0 };

	fact(out, "id", control_get_text(m, "id"));
	print_time(&b, arrived_ms);
	buf_adds(&b, ", ");
	print_age(&b, ctl->now_ms - arrived_ms);
	buf_adds(&b, " ago");
	fact(out, "arrived", buf_span(&b));
	buf_reset(&b);
	human_size(&b, (uint64_t)control_get_int(m, "bytes", 0));
	fact(out, "size", buf_span(&b));
	buf_fini(&b);
	add_origin(out, m);
}

static void add_end(struct buf *out, const json_t *r)
{
	struct buf b = { 0 };

	buf_addf(&b, "%.*s until ", SPAN_ARG(control_get_text(r, "domain")));
	print_time(&b, print_get_time(r, "expires"));
	fact(out, "kept for", buf_span(&b));
	buf_fini(&b);
}

/* Domain by domain, and how long each is kept behind its last recipient. */
static void add_recipients(const struct ctl *ctl, struct buf *out,
			   const json_t *m)
{
	const json_t *list = json_object_get(m, "recipients");
	struct buf b = { 0 };

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *r = json_array_get(list, i);
		const json_t *next = json_array_get(list, i + 1);

		buf_reset(&b);
		buf_addf(&b, "<%.*s>  ",
			 SPAN_ARG(control_get_text(r, "address")));
		message_why(&b, r, ctl->now_ms, NULL);
		fact(out, "to", buf_span(&b));
		if (!span_eq(control_get_text(r, "domain"),
			     control_get_text(next, "domain")))
			add_end(out, r);
	}
	buf_fini(&b);
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

/* What can be shown of it by now: whole lines, lest a character or a CR LF is
 * cut in two.  A line without end has no such luck. */
static size_t showable(const struct buf *in, bool is_end)
{
	size_t n = in->n;

	if (is_end || n > SHOWN_MAX)
		return n;
	while (n > 0 && in->p[n - 1] != '\n')
		n--;
	return n;
}

static bool show_lines(struct buf *in, bool is_end)
{
	struct buf text = { 0 };
	size_t n = showable(in, is_end);
	bool ok;

	print_lines(&text, span_of(in->p, n));
	buf_consume(in, n);
	ok = ctl_write(buf_span(&text));
	buf_fini(&text);
	return ok;
}

static bool show_raw(struct buf *in)
{
	bool ok = ctl_write(buf_span(in));

	buf_reset(in);
	return ok;
}

static enum mx_err write_content(struct source *s, struct span id)
{
	struct buf in = { 0 };
	uint64_t offset = 0;
	bool go_on = true;
	enum mx_err err = MX_OK;

	while (go_on) {
		size_t had = in.n, more;

		err = source_content(s, id, offset, &in);
		if (err != MX_OK)
			break;
		more = in.n - had;
		offset += more;
		go_on = s->ctl->raw ? show_raw(&in)
				    : show_lines(&in, more == 0);
		go_on = go_on && more > 0;
	}
	buf_fini(&in);
	return err;
}

/* ---- The verb ---- */

static enum mx_err show(struct source *s, struct span id)
{
	const struct ctl *ctl = s->ctl;
	struct buf text = { 0 };
	json_t *m;
	enum mx_err err;

	if (ctl->raw)
		return write_content(s, id);
	err = source_message(s, id, &m);
	if (err != MX_OK)
		return err;
	if (ctl->json) {
		ctl_print_json(m);
		return MX_OK;
	}
	add_facts(ctl, &text, m);
	add_recipients(ctl, &text, m);
	buf_adds(&text, "\n");
	ctl_write(buf_span(&text));
	buf_fini(&text);
	json_decref(m);
	return write_content(s, id);
}

enum ctl_exit ctl_show(struct ctl *ctl)
{
	struct source s;
	enum ctl_exit rc = source_open(&s, ctl, SOURCE_SPOOL);

	if (rc == CTL_DONE) {
		enum mx_err err = show(&s, span_str(ctl->argument));

		if (err == MX_ENOENT) {
			ctl_complain("no such message: %s", ctl->argument);
			rc = CTL_FAILED;
		} else {
			rc = source_end(&s, err);
		}
	}
	source_close(&s);
	return rc;
}
