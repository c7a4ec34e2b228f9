/*
 * mx20ctl queue: every message that waits, with its recipients; mx20ctl
 * refused: those that are on the shelf.
 *
 * A million messages take no memory and hold no read transaction: a page is
 * gathered, the look ends, the page is written, the next one begins behind the
 * last id.  In another order than that of arrival all of them are looked at,
 * and the first so many of that order are kept.
 */
#include <inttypes.h>

#include "common/base/assert.h"
#include "daemon/ctl/message.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/source.h"
#include "daemon/ctl/table.h"
#include "daemon/ctl/wanted.h"

struct listing {
	const struct ctl *ctl;
	const char *nothing; /* what is said when there is none */
	struct wanted wanted;
	struct best best; /* when they are sorted */
	uint64_t messages;
	bool is_cut; /* to what a terminal shows */
	struct buf lines;
	/* for people */
	struct table table;
	struct status_page reasons; /* of some domains */
};

/* ---- For people ---- */

/* clang-format off */
static const struct column columns[] = {
	{ "ID",           false, 0, 0 },
	{ "AGE",          true,  0, 2 },
	{ "SIZE",         true,  0, 1 },
	{ "FROM, TO",     false, 10, 0 },
	{ "WHY IT WAITS", false, 10, 0 },
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

/* As much as a terminal shows, unless the operator said how much. */
static void limit_to_screen(struct listing *l)
{
	struct wanted *w = &l->wanted;

	l->is_cut = l->ctl->width > 0 && !l->ctl->json && !w->is_limited &&
		    w->key == NULL;
	if (l->is_cut)
		w->limit = CTL_SCREEN_ROWS;
}

static bool is_enough(const struct listing *l)
{
	return l->messages >= l->wanted.limit;
}

static void add_page(struct listing *l, const json_t *items)
{
	for (size_t i = 0; i < json_array_size(items) && !is_enough(l); i++) {
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

/* False: nobody reads it any more. */
static bool write_page(struct listing *l, const json_t *items)
{
	add_page(l, items);
	if (!ctl_write(buf_span(&l->lines)))
		return false;
	buf_reset(&l->lines);
	/* the first page is there at once, whatever follows */
	return ctl_flush_output() == 0;
}

/* For the order that was asked for. */
static void keep_page(struct listing *l, const json_t *items)
{
	struct buf text = { 0 };

	for (size_t i = 0; i < json_array_size(items); i++) {
		json_t *m = json_array_get(items, i);
		struct best_key key = { 0 };

		buf_reset(&text);
		l->wanted.key(m, &key, &text);
		best_add(&l->best, &key, m);
	}
	buf_fini(&text);
}

static void write_sorted(struct listing *l)
{
	uint64_t seen = l->best.seen;
	json_t *items = best_take(&l->best);

	write_page(l, items);
	json_decref(items);
	if (seen > l->messages && !l->wanted.is_limited)
		ctl_complain("%" PRIu64 " more are not shown; --limit N shows"
			     " them",
			     seen - l->messages);
}

static enum mx_err list(struct listing *l, struct source *s, struct span domain)
{
	bool is_sorted = l->wanted.key != NULL, go_on = true;
	struct status_page page = { 0 };
	enum mx_err err;

	s->wanted = l->wanted.filter;
	l->best.most = (size_t)l->wanted.limit;
	do {
		err = source_messages(s, domain, &page);
		if (is_sorted)
			keep_page(l, page.items);
		else
			go_on = write_page(l, page.items) && !is_enough(l);
	} while (go_on && err == MX_OK && page.next.n > 0);
	if (is_sorted)
		write_sorted(l);
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
	if (l->is_cut && l->messages == CTL_SCREEN_ROWS)
		ctl_complain("these are the first %d; all: mx20ctl %s | less",
			     CTL_SCREEN_ROWS, l->ctl->verb);
	return source_end(s, err);
}

static enum ctl_exit show(struct listing *l)
{
	const struct ctl *ctl = l->ctl;
	struct buf name = { 0 };
	struct source s;
	enum ctl_exit rc;

	if (ctl->argument != NULL && !ctl_domain(ctl->argument, &name)) {
		wanted_fini(&l->wanted);
		return CTL_FAILED;
	}
	limit_to_screen(l);
	table_init(&l->table, columns, COUNT(columns), ctl->width);
	rc = source_open(&s, ctl, SOURCE_SPOOL);
	if (rc == CTL_DONE)
		rc = run(l, &s, buf_span(&name));
	source_close(&s);
	best_fini(&l->best);
	wanted_fini(&l->wanted);
	status_page_fini(&l->reasons);
	table_fini(&l->table);
	buf_fini(&l->lines);
	buf_fini(&name);
	return rc;
}

enum ctl_exit ctl_queue(struct ctl *ctl)
{
	struct listing l = { .ctl = ctl };

	if (!wanted_take(&l.wanted, ctl)) {
		wanted_fini(&l.wanted);
		return CTL_USAGE;
	}
	l.nothing = l.wanted.filter != NULL ? "nothing like that is waiting\n"
					    : "nothing is waiting\n";
	return show(&l);
}

enum ctl_exit ctl_refused(struct ctl *ctl)
{
	struct listing l = {
		.ctl = ctl,
		.nothing = "nothing is on the shelf\n",
		.wanted = { .filter = json_pack("{s:s}", "states", "refused"),
			    .limit = UINT64_MAX },
	};

	return show(&l);
}
