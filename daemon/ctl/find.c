/*
 * mx20ctl find: where is that mail?  Among what waits, which the spool has, and
 * among what has left lately, of which the daemon knows the last seconds.
 */
#include "common/base/assert.h"
#include "common/base/msgid.h"
#include "common/status/trace.h"
#include "daemon/ctl/message.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/source.h"
#include "daemon/ctl/table.h"

struct finding {
	const struct ctl *ctl;
	struct span word;
	uint64_t found;
	struct table table;
	struct buf lines;
};

/* clang-format off */
static const struct column columns[] = {
	{ "WHEN (UTC)",        false, 0, 1 },
	{ "ID",                false, 0, 0 },
	{ "FROM",              false, 8, 2 },
	{ "TO",                false, 8, 0 },
	{ "WHAT BECAME OF IT", false, 12, 0 },
};
/* clang-format on */

/* ---- Rows ---- */

static void time_cell(struct finding *f, int64_t wall_ms)
{
	struct buf b = { 0 };

	print_time(&b, wall_ms);
	if (b.n > 7) /* to the minute; the title says UTC */
		b.n -= 7;
	table_cell(&f->table, buf_span(&b));
	buf_fini(&b);
}

static void row(struct finding *f, int64_t wall_ms, const json_t *o,
		struct span to, struct span what)
{
	struct span from = control_get_text(o, "from");

	time_cell(f, wall_ms);
	table_cell(&f->table, control_get_text(o, "id"));
	table_cell(&f->table, from.n > 0 ? from : SPAN_LIT("<>"));
	table_cell(&f->table, to);
	table_cell(&f->table, what);
}

static void waiting_rows(struct finding *f, const json_t *m)
{
	const json_t *list = json_object_get(m, "recipients");
	int64_t left_out = control_get_int(m, "recipients_left_out", 0);
	int64_t arrived_ms = print_get_time(m, "arrival");
	struct buf b = { 0 };

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *r = json_array_get(list, i);

		buf_reset(&b);
		buf_adds(&b, "waits: ");
		message_why(&b, r, f->ctl->now_ms, NULL);
		row(f, arrived_ms, m, control_get_text(r, "address"),
		    buf_span(&b));
	}
	buf_reset(&b);
	buf_addf(&b, "and %lld more", (long long)left_out);
	if (left_out > 0)
		row(f, arrived_ms, m, buf_span(&b), SPAN_LIT(""));
	buf_fini(&b);
}

/* "delivered after 3h12m: mx.example[192.0.2.1]:25: 250 2.0.0 Ok" */
static void gone_row(struct finding *f, const json_t *o)
{
	int64_t left_ms = print_get_time(o, "time");
	struct span host = control_get_text(o, "host");
	struct span reply = control_get_text(o, "reply");
	struct buf b = { 0 };

	buf_add(&b, control_get_text(o, "outcome"));
	buf_adds(&b, " after ");
	print_age(&b, left_ms - print_get_time(o, "arrival"));
	if (host.n > 0)
		buf_adds(&b, ": ");
	buf_add(&b, host);
	if (reply.n > 0)
		buf_adds(&b, ": ");
	buf_add(&b, reply);
	row(f, left_ms, o, control_get_text(o, "to"), buf_span(&b));
	buf_fini(&b);
}

static void add_page(struct finding *f, const json_t *items, const char *where)
{
	for (size_t i = 0; i < json_array_size(items); i++) {
		json_t *o = json_array_get(items, i);

		f->found++;
		if (f->ctl->json) {
			json_object_set_new(o, "found", json_string(where));
			control_encode(&f->lines, json_incref(o));
		} else if (json_object_get(o, "recipients") != NULL) {
			waiting_rows(f, o);
		} else {
			gone_row(f, o);
		}
	}
	if (!f->ctl->json && f->found > 0)
		table_print(&f->table, &f->lines);
}

/* False: nobody reads it any more. */
static bool write_page(struct finding *f, const json_t *items,
		       const char *where)
{
	bool ok;

	add_page(f, items, where);
	ok = ctl_write(buf_span(&f->lines));
	buf_reset(&f->lines);
	return ok && ctl_flush_output() == 0;
}

/* ---- Looking ---- */

static enum mx_err find_id(struct finding *f, struct source *s)
{
	json_t *m, *items = json_array();
	enum mx_err err = source_message(s, f->word, &m);

	if (err == MX_OK)
		json_array_append_new(items, m);
	write_page(f, items, "queue");
	json_decref(items);
	return err == MX_ENOENT ? MX_OK : err;
}

static enum mx_err find_all(struct finding *f, struct source *s, json_t *wanted)
{
	struct status_page page = { 0 };
	enum mx_err err;

	s->wanted = wanted;
	do
		err = source_messages(s, SPAN_LIT(""), &page);
	while (write_page(f, page.items, "queue") && err == MX_OK &&
	       page.next.n > 0);
	status_page_fini(&page);
	return err;
}

static enum mx_err find_waiting(struct finding *f, struct source *s)
{
	bool is_address = memchr(f->word.p, '@', f->word.n) != NULL;
	json_t *wanted;
	enum mx_err err;
	uint64_t id;

	if (msg_id_parse(f->word, &id))
		return find_id(f, s);
	wanted = json_pack("{s:o}", is_address ? "either" : "word",
			   control_text(f->word));
	err = find_all(f, s, wanted);
	json_decref(wanted);
	return err;
}

static enum mx_err find_gone(struct finding *f, struct source *s)
{
	struct status_page page = { 0 };
	enum mx_err err;

	do
		err = source_find(s, f->word, &page);
	while (write_page(f, page.items, "left") && err == MX_OK &&
	       page.next.n > 0);
	status_page_fini(&page);
	return err;
}

static enum ctl_exit look(struct finding *f, enum source_wish wish,
			  enum mx_err (*find)(struct finding *f,
					      struct source *s))
{
	struct source s;
	enum ctl_exit rc = source_open(&s, f->ctl, wish);

	if (rc == CTL_DONE)
		rc = source_end(&s, find(f, &s));
	source_close(&s);
	return rc;
}

/* A word is looked for in replies alone, whatever was meant by it. */
static void say_nothing(const struct finding *f)
{
	uint64_t id;

	if (memchr(f->word.p, '@', f->word.n) == NULL &&
	    !msg_id_parse(f->word, &id))
		ctl_complain("no reply of a primary has the word %.*s; a part "
			     "of an address: mx20ctl queue --to %.*s, or "
			     "--from; a domain: mx20ctl find @%.*s",
			     SPAN_ARG(f->word), SPAN_ARG(f->word),
			     SPAN_ARG(f->word));
	else
		ctl_complain("nothing is known of %.*s; what was relayed, or "
			     "refused when it came, is in the log%s",
			     SPAN_ARG(f->word),
			     f->ctl->config->mirror.postgresql.n > 0
				     ? "; other nodes of the mirror may have "
				       "it, ask there: mx20ctl mirror"
				     : "");
}

enum ctl_exit ctl_find(struct ctl *ctl)
{
	struct finding f = { .ctl = ctl, .word = span_str(ctl->argument) };
	struct trace_filter filter;
	bool is_word = trace_filter_take(&filter, f.word);
	enum ctl_exit rc;

	trace_filter_fini(&filter);
	if (!is_word) {
		ctl_complain("find: an address, @domain, a queue id, or a word "
			     "of a primary's reply");
		return CTL_USAGE;
	}
	table_init(&f.table, columns, COUNT(columns), ctl->width);
	rc = look(&f, SOURCE_SPOOL, find_waiting);
	if (rc == CTL_DONE)
		rc = look(&f, SOURCE_DAEMON, find_gone);
	table_fini(&f.table);
	buf_fini(&f.lines);
	if (rc != CTL_DONE || f.found > 0)
		return rc;
	if (!ctl->json)
		say_nothing(&f);
	return CTL_FAILED;
}
