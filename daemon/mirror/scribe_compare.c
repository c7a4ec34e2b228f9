#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/log.h"
#include "daemon/mirror/scribe_priv.h"

/*
 * The database is at a number that this spool does not know: it fell back to a
 * standby that lacked something, or the spool to a copy of its disk, or one of
 * two commits was cut off by a crash.  Both sides are walked by id, a page at a
 * time, and whatever differs is noted in the spool, to be sent again.
 *
 *     database: 3  5  8i 9        noted as missing:   7
 *     spool:    3' 5  7  9        noted as different: 3
 *
 * What the database alone has left the spool, and goes; but when the database is
 * ahead the spool has lost its last commits, or was put back to a former state:
 * then this is the only copy, and it is to come here, as what is taken over.
 *
 * What is on its way here (i, incoming) is not ours to have yet.  What is noted
 * already is noted again: what the note was made for may have been lost, too.
 */

enum { PAGE = 2000 };

struct page {
	struct db *db;
	size_t rows, row;
	struct array_of_ids {
		uint64_t *ids;
		size_t n;
	} missing, differs, lost;
	struct array_of_ids *only_there; /* one of these */
	uint64_t upto;
	size_t seen;
};

static void add_id(struct array_of_ids *a, uint64_t id)
{
	MX_ASSERT(a->n < 2 * PAGE);
	a->ids[a->n++] = id;
}

static uint64_t row_id(const struct page *p)
{
	return (uint64_t)db_number(p->db, 0, p->row, 0);
}

/* Rows of the database before this id are not in the spool. */
static void pass_rows(struct page *p, uint64_t id)
{
	for (; p->row < p->rows && row_id(p) < id; p->row++)
		if (db_number(p->db, 0, p->row, 1) == 0)
			add_id(p->only_there, row_id(p));
}

static bool take_id(uint64_t id, uint64_t hash, bool is_noted, void *arg)
{
	struct page *p = arg;
	bool is_there;

	pass_rows(p, id);
	is_there = p->row < p->rows && row_id(p) == id;
	if (!is_there)
		add_id(&p->missing, id);
	else if (is_noted || (uint64_t)db_number(p->db, 0, p->row, 2) != hash)
		add_id(&p->differs, id);
	p->row += is_there;
	p->upto = id;
	return ++p->seen < PAGE;
}

/* ---- What differs is noted ---- */

struct note {
	struct call call;
	struct array_of_ids what;
	bool is_missing;
};

static void run_note(struct call *c)
{
	struct note *n = (struct note *)c;
	struct mirror *m = c->arg;

	spool_mirror_note(m->opt.spool, n->what.ids, n->what.n, n->is_missing,
			  call_counted, c);
}

static void fini_note(struct call *c)
{
	free(((struct note *)c)->what.ids);
}

/* Takes the ids. */
static enum mx_err note(struct scribe *s, struct array_of_ids *what,
			bool is_missing)
{
	struct note *n;
	enum mx_err err = MX_OK;

	if (what->n == 0)
		return MX_OK;
	n = call_new(run_note, fini_note, sizeof(*n));
	n->what = *what;
	n->is_missing = is_missing;
	what->ids = NULL;
	err = calls_wait(s->m->calls, &n->call);
	call_release(&n->call);
	return err;
}

/* ---- What the spool lost is to come ---- */

static enum mx_err bring_back(struct scribe *s, const struct array_of_ids *ids)
{
	struct array all;
	enum mx_err err;

	if (ids->n == 0)
		return MX_OK;
	array_init(&all, ARRAY_INT8);
	for (size_t i = 0; i < ids->n; i++)
		array_add_int(&all, (int64_t)ids->ids[i]);
	struct param p[] = { PARAM_INT(s->id.owner), PARAM_INT(s->id.fence),
			     PARAM_ARRAY(&all) };

	db_send(s->db, SQL_OURS_AGAIN, p);
	err = db_run(s->db, scribe_timeout(s));
	buf_fini(&all.bytes);
	log_warn(EV_MIRROR, LOG_STR("node", s->m->node),
		 LOG_INT("messages", ids->n),
		 LOG_STR("what", "the spool has lost them, and gets them back "
				 "from the database"));
	return err;
}

/* ---- A page ---- */

static enum mx_err walk_spool(struct scribe *s, struct page *p, uint64_t upto)
{
	enum mx_err err = MX_ESTOP;

	pthread_mutex_lock(&s->m->view_lock);
	if (s->m->view != NULL)
		err = spool_mirror_page(s->m->view, s->after, upto, take_id, p);
	pthread_mutex_unlock(&s->m->view_lock);
	return err;
}

/* *is_last: there is nothing more on either side. */
static enum mx_err compare_page(struct scribe *s, struct page *p, bool *is_last)
{
	uint64_t upto = UINT64_MAX;
	enum mx_err err;

	p->rows = db_rows(s->db, 0);
	if (p->rows == PAGE)
		upto = (uint64_t)db_number(s->db, 0, p->rows - 1, 0);
	err = walk_spool(s, p, upto);
	if (err != MX_OK)
		return err;
	if (p->seen < PAGE) { /* it was walked up to there */
		p->upto = upto;
		pass_rows(p, upto);
		if (p->row < p->rows && row_id(p) == upto &&
		    db_number(s->db, 0, p->row, 1) == 0)
			add_id(p->only_there, upto);
	}
	*is_last = p->seen < PAGE && upto == UINT64_MAX;
	s->after = p->upto;
	err = note(s, &p->missing, true);
	if (err == MX_OK)
		err = note(s, &p->differs, false);
	return err == MX_OK ? bring_back(s, &p->lost) : err;
}

/* Content of messages that never came to their end is of no use after a
 * restart. */
static enum mx_err drop_orphans(struct scribe *s, uint64_t after)
{
	uint64_t upto = s->after < s->m->first_id ? s->after : s->m->first_id;
	struct param p[] = { PARAM_INT(s->id.owner), PARAM_INT(after),
			     PARAM_INT(upto) };

	db_send(s->db, SQL_ORPHANS, p);
	return db_run(s->db, scribe_timeout(s));
}

static enum mx_err next_page(struct scribe *s, bool *is_last)
{
	struct page p = { .db = s->db,
			  .only_there = s->is_ahead ? &p.lost : &p.differs };
	struct param params[] = { PARAM_INT(s->id.owner), PARAM_INT(s->after),
				  PARAM_INT(PAGE) };
	uint64_t after = s->after;
	enum mx_err err;

	db_send(s->db, SQL_PAGE, params);
	err = db_run(s->db, scribe_timeout(s));
	if (err != MX_OK)
		return err;
	p.missing.ids = mx_alloc_array((size_t)2 * PAGE, sizeof(uint64_t));
	p.differs.ids = mx_alloc_array((size_t)2 * PAGE, sizeof(uint64_t));
	p.lost.ids = mx_alloc_array((size_t)2 * PAGE, sizeof(uint64_t));
	err = compare_page(s, &p, is_last);
	if (err == MX_OK)
		err = drop_orphans(s, after);
	free(p.missing.ids);
	free(p.differs.ids);
	free(p.lost.ids);
	return err;
}

/* ---- The end ---- */

struct compared {
	struct call call;
	struct buf holds; /* names, each with NUL */
	uint64_t seq;
};

static void on_holds(enum mx_err err, uint64_t count, void *arg)
{
	struct compared *d = arg;
	struct mirror *m = d->call.arg;

	(void)count;
	if (err != MX_OK)
		call_done(&d->call, err, 0);
	else
		spool_mirror_compared(m->opt.spool, d->seq, call_counted, d);
}

static void run_compared(struct call *c)
{
	struct compared *d = (struct compared *)c;
	struct mirror *m = c->arg;

	spool_mirror_note_holds(m->opt.spool, buf_span(&d->holds), on_holds, d);
}

static void fini_compared(struct call *c)
{
	buf_fini(&((struct compared *)c)->holds);
}

static enum mx_err end_compare(struct scribe *s)
{
	struct compared *d;
	enum mx_err err;

	db_send(s->db, SQL_HOLDS, &PARAM_INT(s->id.owner));
	err = db_run(s->db, scribe_timeout(s));
	if (err != MX_OK)
		return err;
	d = call_new(run_compared, fini_compared, sizeof(*d));
	for (size_t i = 0; i < db_rows(s->db, 0); i++) {
		buf_add(&d->holds, db_column(s->db, 0, i, 0));
		buf_addc(&d->holds, '\0');
	}
	d->seq = s->seq;
	err = calls_wait(s->m->calls, &d->call);
	call_release(&d->call);
	return err;
}

enum turn scribe_compare(struct scribe *s)
{
	enum turn turn = scribe_renew(s);
	bool is_last = false;
	enum mx_err err;

	if (turn != TURN_NONE)
		return turn;
	err = next_page(s, &is_last);
	if (err == MX_OK && is_last)
		err = end_compare(s);
	if (err != MX_OK)
		return scribe_failed(s, err);
	if (!is_last)
		return TURN_NONE;
	s->is_touched = false;
	scribe_has_lease(s);
	return TURN_COMPARED;
}
