/*
 * mx20ctl queue: every message that waits, with its recipients.
 *
 * A million messages take no memory and hold no read transaction: a page is
 * gathered, the transaction ends, the page is written, the next one begins
 * behind the last id.
 */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/msgid.h"
#include "daemon/ctl/message.h"
#include "daemon/ctl/print.h"
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
	struct states_page *reasons; /* of some domains; NULL: none */
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

static void message_row(struct listing *l, const struct envelope *e)
{
	struct buf b = { 0 };

	msg_id_add(&b, e->id);
	table_cell(&l->table, buf_span(&b));
	buf_reset(&b);
	print_age(&b, l->ctl->now_ms - e->arrived_ms);
	table_cell(&l->table, buf_span(&b));
	buf_reset(&b);
	human_size(&b, e->bytes);
	table_cell(&l->table, buf_span(&b));
	table_cell(&l->table, e->from.n > 0 ? e->from : SPAN_LIT("<>"));
	table_cell(&l->table,
		   e->is_dsn ? SPAN_LIT("(a report of ours)") : SPAN_LIT(""));
	buf_fini(&b);
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
		message_why(&b, u, &u->rcpts[i], l->ctl->now_ms, l->reasons);
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
		l->object = message_object(u);
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
		message_recipients(l->object, u);
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

/*
 * Mail that was never tried waits for its destination, and the reason is
 * there: for the domain asked for, else for the first page of domains, which
 * is all of them in most places.
 */
static void find_reasons(struct listing *l, struct spool *sp,
			 const struct buf *name)
{
	struct states_page *p = mx_alloc(sizeof(*p));
	struct states states;
	struct buf why = { 0 };
	enum mx_err err;

	states_open(&states, l->ctl, sp, &why);
	if (name->n == 0) {
		(void)states_next_page(&states, p, &err);
	} else if (spool_domain_get(sp, buf_span(name), &p->rows[0]) == MX_OK) {
		p->count = 1;
		states_get(&states, p->rows, 1, p->states);
	}
	states_close(&states);
	buf_fini(&why);
	l->reasons = p;
}

/* Nothing waits, and the domain is not even listed: it was mistyped. */
static bool is_typo(const struct ctl *ctl, struct spool *sp,
		    const struct buf *name)
{
	struct spool_domain row = { 0 };
	struct states states;
	struct buf why = { 0 };
	json_t *state;
	bool is_unlisted;

	if (name->n == 0)
		return false;
	snprintf(row.name, sizeof(row.name), "%.*s", SPAN_ARG(buf_span(name)));
	states_open(&states, ctl, sp, &why);
	states_get(&states, &row, 1, &state);
	is_unlisted = json_is_false(json_object_get(state, "listed"));
	json_decref(state);
	states_close(&states);
	buf_fini(&why);
	return is_unlisted;
}

static enum mx_err say_nothing(const struct ctl *ctl, struct spool *sp,
			       const struct buf *name)
{
	if (ctl->json) /* no line is the answer */
		return MX_OK;
	if (is_typo(ctl, sp, name)) {
		ctl_complain("no such domain: it is not in the allowlist, and"
			     " no mail is here for it");
		return MX_ENOENT;
	}
	ctl_write(SPAN_LIT("nothing is waiting\n"));
	return MX_OK;
}

static void listing_fini(struct listing *l)
{
	if (l->reasons != NULL)
		states_release_page(l->reasons);
	free(l->reasons);
	table_fini(&l->table);
	buf_fini(&l->lines);
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
		if (!ctl->json)
			find_reasons(&l, sp, &name);
		err = list(&l, sp, buf_span(&name));
		if (err != MX_OK)
			ctl_complain("the spool cannot be read: %s",
				     mx_strerror(err));
		else if (l.messages == 0)
			err = say_nothing(ctl, sp, &name);
		spool_close(&sp);
	}
	listing_fini(&l);
	buf_fini(&name);
	return err == MX_OK ? CTL_DONE : CTL_FAILED;
}
