/*
 * mx20ctl queue: every message that waits, with its recipients; mx20ctl
 * refused: those that are on the shelf.
 *
 * A million messages take no memory and hold no read transaction: a page is
 * gathered, the look ends, the page is written, the next one begins behind the
 * last id.
 */
#include "common/base/assert.h"
#include "daemon/ctl/message.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/source.h"
#include "daemon/ctl/table.h"

struct listing {
	const struct ctl *ctl;
	enum mx_err (*page)(struct source *s, struct span domain,
			    struct status_page *p);
	const char *nothing; /* what is said when there is none */
	uint64_t messages;
	struct buf lines;
	/* for people */
	struct table table;
	struct status_page reasons; /* of some domains */
};

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

static void message_row(struct listing *l, const json_t *m)
{
	struct span from = control_get_text(m, "from");
	struct buf b = { 0 };

	table_cell(&l->table, control_get_text(m, "id"));
	print_age(&b, l->ctl->now_ms - print_get_time(m, "arrival"));
	table_cell(&l->table, buf_span(&b));
	buf_reset(&b);
	human_size(&b, (uint64_t)control_get_int(m, "bytes", 0));
	table_cell(&l->table, buf_span(&b));
	table_cell(&l->table, from.n > 0 ? from : SPAN_LIT("<>"));
	table_cell(&l->table, control_get_bool(m, "dsn")
				      ? SPAN_LIT("(a report of ours)")
				      : SPAN_LIT(""));
	buf_fini(&b);
}

static void why_row(struct listing *l, struct span what, struct span why)
{
	struct buf b = { 0 };

	for (int column = 0; column < 3; column++)
		table_cell(&l->table, SPAN_LIT(""));
	buf_adds(&b, "  ");
	buf_add(&b, what);
	table_cell(&l->table, buf_span(&b));
	table_cell(&l->table, why);
	buf_fini(&b);
}

static void recipient_rows(struct listing *l, const json_t *m)
{
	const json_t *list = json_object_get(m, "recipients");
	int64_t left_out = control_get_int(m, "recipients_left_out", 0);
	struct buf b = { 0 };

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *r = json_array_get(list, i);

		buf_reset(&b);
		message_why(&b, r, l->ctl->now_ms, l->reasons.items);
		why_row(l, control_get_text(r, "address"), buf_span(&b));
	}
	buf_reset(&b);
	buf_addf(&b, "and %lld more", (long long)left_out);
	if (left_out > 0)
		why_row(l, buf_span(&b), SPAN_LIT(""));
	buf_fini(&b);
}

/* ---- The walk ---- */

static void add_page(struct listing *l, const json_t *items)
{
	for (size_t i = 0; i < json_array_size(items); i++) {
		json_t *m = json_array_get(items, i);

		if (l->ctl->json) {
			control_encode(&l->lines, json_incref(m));
		} else {
			message_row(l, m);
			recipient_rows(l, m);
		}
		l->messages++;
	}
	if (!l->ctl->json && l->messages > 0)
		table_print(&l->table, &l->lines);
}

static enum mx_err list(struct listing *l, struct source *s, struct span domain)
{
	struct status_page page = { 0 };
	enum mx_err err;

	do {
		err = l->page(s, domain, &page);
		add_page(l, page.items);
		if (!ctl_write(buf_span(&l->lines)))
			break;
		buf_reset(&l->lines);
		/* the first page is there at once, whatever follows */
		if (ctl_flush_output() != 0)
			break;
	} while (err == MX_OK && page.next.n > 0);
	status_page_fini(&page);
	return err;
}

/*
 * Mail that was never tried waits for its destination, and the reason is
 * there: for the domain asked for, else for the first page of domains, which
 * is all of them in most places.  The daemon knows it best.
 */
static void find_reasons(struct listing *l, struct source *mail,
			 struct span domain)
{
	struct source live, *s = mail;
	struct buf why = { 0 };
	json_t *row;

	if (source_open_live(&live, l->ctl, &why) == CTL_DONE)
		s = &live;
	if (domain.n == 0) {
		(void)source_domains(s, &l->reasons);
	} else if (source_domain(s, domain, &row) == MX_OK) {
		l->reasons.items = json_array();
		json_array_append_new(l->reasons.items, row);
	}
	source_close(&live);
	buf_fini(&why);
}

/* The domain that was asked for is not even listed: it was mistyped. */
static bool is_typo(const struct listing *l, struct span domain)
{
	const json_t *row = json_array_get(l->reasons.items, 0);

	return domain.n > 0 && json_is_false(json_object_get(row, "listed"));
}

static enum ctl_exit say_nothing(const struct listing *l, struct span domain)
{
	if (l->ctl->json) /* no line is the answer */
		return CTL_DONE;
	if (is_typo(l, domain)) {
		ctl_complain("no such domain: it is not in the allowlist, and"
			     " no mail is here for it");
		return CTL_FAILED;
	}
	ctl_write(span_str(l->nothing));
	return CTL_DONE;
}

static enum ctl_exit run(struct listing *l, struct source *s,
			 struct span domain)
{
	enum mx_err err;

	if (!l->ctl->json)
		find_reasons(l, s, domain);
	err = list(l, s, domain);
	if (err == MX_OK && l->messages == 0)
		return say_nothing(l, domain);
	return source_end(s, err);
}

static enum ctl_exit show(struct listing *l)
{
	const struct ctl *ctl = l->ctl;
	struct buf name = { 0 };
	struct source s;
	enum ctl_exit rc;

	if (ctl->argument != NULL && !ctl_domain(ctl->argument, &name))
		return CTL_FAILED;
	table_init(&l->table, columns, COUNT(columns), ctl->width);
	rc = source_open(&s, ctl, SOURCE_SPOOL);
	if (rc == CTL_DONE)
		rc = run(l, &s, buf_span(&name));
	source_close(&s);
	status_page_fini(&l->reasons);
	table_fini(&l->table);
	buf_fini(&l->lines);
	buf_fini(&name);
	return rc;
}

enum ctl_exit ctl_queue(struct ctl *ctl)
{
	struct listing l = { .ctl = ctl,
			     .page = source_messages,
			     .nothing = "nothing is waiting\n" };

	return show(&l);
}

enum ctl_exit ctl_refused(struct ctl *ctl)
{
	struct listing l = { .ctl = ctl,
			     .page = source_refused,
			     .nothing = "nothing is on the shelf\n" };

	return show(&l);
}
