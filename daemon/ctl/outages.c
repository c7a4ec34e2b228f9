/* mx20ctl outages: when destinations were down, the newest first. */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/source.h"
#include "daemon/ctl/table.h"

struct listing {
	const struct ctl *ctl;
	uint64_t rows;
	struct table table;
	struct buf lines;
};

/* clang-format off */
static const struct column columns[] = {
	{ "BEGAN (UTC)", false, 0, 0 },
	{ "LASTED",      true,  0, 0 },
	{ "MSGS",        true,  0, 4 },
	{ "REFUSED",     true,  0, 1 },
	{ "WORST",       true,  0, 2 },
	{ "DESTINATION", false, 14, 0 },
	{ "DOMAINS",     false, 11, 3 },
};
/* clang-format on */

static void cell(struct listing *l, struct buf *b)
{
	table_cell(&l->table, buf_span(b));
	buf_reset(b);
}

static void add_lasted(struct listing *l, const json_t *o, struct buf *b)
{
	int64_t ended_ms = print_get_time(o, "ended");

	if (ended_ms == 0)
		buf_addc(b, '>');
	print_age(b, (ended_ms != 0 ? ended_ms : l->ctl->now_ms) -
			     print_get_time(o, "began"));
	cell(l, b);
}

static void add_domains(struct listing *l, const json_t *o, struct buf *b)
{
	const json_t *list = json_object_get(o, "domains");
	int64_t left_out = control_get_int(o, "domains_left_out", 0);

	for (size_t i = 0; i < json_array_size(list); i++) {
		if (i > 0)
			buf_addc(b, ' ');
		buf_adds(b, json_string_value(json_array_get(list, i)));
	}
	if (left_out > 0)
		buf_addf(b, " and %lld more", (long long)left_out);
	cell(l, b);
}

static void add_row(struct listing *l, const json_t *o)
{
	struct buf b = { 0 };

	print_time(&b, print_get_time(o, "began"));
	if (b.n > 7) /* to the minute; the title says UTC */
		b.n -= 7;
	cell(l, &b);
	add_lasted(l, o, &b);
	buf_addu(&b, (uint64_t)control_get_int(o, "messages", 0));
	cell(l, &b);
	buf_addu(&b, (uint64_t)control_get_int(o, "refused", 0));
	cell(l, &b);
	print_age(&b, SECONDS(control_get_int(o, "worst_wait_s", 0)));
	cell(l, &b);
	table_cell(&l->table, control_get_text(o, "destination"));
	add_domains(l, o, &b);
	buf_fini(&b);
}

static void add_page(struct listing *l, const json_t *items)
{
	for (size_t i = 0; i < json_array_size(items); i++) {
		json_t *o = json_array_get(items, i);

		if (l->ctl->json)
			control_encode(&l->lines, json_incref(o));
		else
			add_row(l, o);
		l->rows++;
	}
	if (!l->ctl->json && l->rows > 0)
		table_print(&l->table, &l->lines);
}

static enum mx_err list(struct listing *l, struct source *s, struct span domain)
{
	struct status_page page = { 0 };
	enum mx_err err;

	do {
		err = source_outages(s, domain, &page);
		add_page(l, page.items);
		if (!ctl_write(buf_span(&l->lines)))
			break;
		buf_reset(&l->lines);
	} while (err == MX_OK && page.next.n > 0);
	status_page_fini(&page);
	return err;
}

enum ctl_exit ctl_outages(struct ctl *ctl)
{
	struct listing l = { .ctl = ctl };
	struct buf name = { 0 };
	struct source s;
	enum ctl_exit rc;

	if (ctl->argument != NULL && !ctl_domain(ctl->argument, &name))
		return CTL_FAILED;
	table_init(&l.table, columns, COUNT(columns), ctl->width);
	rc = source_open(&s, ctl, SOURCE_SPOOL);
	if (rc == CTL_DONE) {
		rc = source_end(&s, list(&l, &s, buf_span(&name)));
		if (rc == CTL_DONE && l.rows == 0 && !ctl->json)
			ctl_write(SPAN_LIT("no outage is on record\n"));
	}
	source_close(&s);
	table_fini(&l.table);
	buf_fini(&l.lines);
	buf_fini(&name);
	return rc;
}
