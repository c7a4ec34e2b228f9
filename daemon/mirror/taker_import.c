#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/mirror/moved.h"
#include "daemon/mirror/taker_priv.h"

/*
 * What is ours in the database and not yet here (incoming) is brought into the
 * spool: small messages many at a time, a large one in pieces.  The spool makes
 * it durable and then tells the mirror, by which it is incoming no more.  Who
 * crashes in between finds it incoming again, and the spool knows it.
 *
 * Only in step, and only as long as it is the same step as when the rows were
 * read: otherwise what was delivered and removed since might come again.
 */

enum { PAGE = 200, PIECE_BYTES = 1 << 20, PIECES = 16, BUSY_MS = 20 };

/* ---- Small ones, on the loop ---- */

struct adopt {
	struct call call;
	struct taker *t; /* waits while the call is made, and then not */
	size_t pending;
	enum mx_err err;
	bool is_busy;
	uint64_t known[PAGE];
	size_t known_count;
	size_t unit, piece; /* rows of the results that are next */
};

enum { MESSAGES, UNITS, CONTENT }; /* the results */

static void end_one(struct adopt *a, enum mx_err err)
{
	if (err != MX_OK && a->err == MX_OK)
		a->err = err;
	if (--a->pending == 0)
		call_done(&a->call, a->err, 0);
}

/* One that cannot be read keeps none of the others back. */
static void leave_illegible(struct taker *t, uint64_t id)
{
	if (t->illegible_count < COUNT(t->illegible))
		t->illegible[t->illegible_count++] = id;
	log_error(EV_TAKEN, LOG_ID("mid", id), LOG_STR("by", t->m->node),
		  LOG_STR("error", "the database has it in a form that cannot "
				   "be read: it stays there"));
}

static bool is_illegible(const struct taker *t, uint64_t id)
{
	for (size_t i = 0; i < t->illegible_count; i++)
		if (t->illegible[i] == id)
			return true;
	return false;
}

/* What it was called where it came from. */
struct origin {
	uint64_t was;
	char node[MIRROR_NAME];
};

struct adopted {
	struct adopt *a;
	uint64_t id;
	struct origin origin;
};

static void fill_origin(struct db *db, size_t row, struct origin *o)
{
	struct span name = db_column(db, MESSAGES, row, 3);

	o->was = (uint64_t)db_number(db, MESSAGES, row, 2);
	snprintf(o->node, sizeof(o->node), "%.*s", SPAN_ARG(name));
}

static void tell_origin(struct mirror *m, uint64_t id, const struct origin *o)
{
	if (o->was != 0)
		moved_here(m, id, o->was, o->node);
}

static void on_adopted(enum mx_err err, void *arg)
{
	struct adopted *one = arg;

	if (err == MX_EINVAL) {
		leave_illegible(one->a->t, one->id);
		err = MX_OK;
	} else if (err == MX_OK) {
		tell_origin(one->a->call.arg, one->id, &one->origin);
	}
	end_one(one->a, err);
	free(one);
}

static void on_noted(enum mx_err err, uint64_t count, void *arg)
{
	(void)count;
	end_one(arg, err);
}

/* Rows of these results are in the order of ids. */
static bool is_of(struct db *db, size_t result, size_t row, int64_t id)
{
	return row < db_rows(db, result) && db_number(db, result, row, 0) == id;
}

static void fill_unit(struct db *db, size_t result, size_t row, int first,
		      struct spool_adopted *u)
{
	struct span held = db_column(db, result, row, first + 3);

	*u = (struct spool_adopted){
		.domain = db_column(db, result, row, first),
		.state = db_column(db, result, row, first + 1),
		.row = db_column(db, result, row, first + 2),
		.is_held = held.n > 0,
		.hold_reason = held,
	};
}

static size_t count_units(struct db *db, size_t result, size_t row, int64_t id)
{
	size_t n = 0;

	while (is_of(db, result, row + n, id))
		n++;
	return n;
}

static void commit(struct adopt *a, size_t row, struct spool_adoption **d)
{
	struct db *db = a->t->db;
	int64_t id = db_number(db, MESSAGES, row, 0);
	size_t n = count_units(db, UNITS, a->unit, id);
	struct spool_adopted *units = mx_alloc_array(n + 1, sizeof(*units));
	struct adopted *one = mx_alloc(sizeof(*one));

	for (size_t i = 0; i < n; i++)
		fill_unit(db, UNITS, a->unit + i, 1, &units[i]);
	*one = (struct adopted){ .a = a, .id = (uint64_t)id };
	fill_origin(db, row, &one->origin);
	a->pending++;
	spool_adopt_commit(d, db_column(db, MESSAGES, row, 1), units, n,
			   on_adopted, one);
	free(units);
}

/* Just started, it does not know yet what it has. */
static enum mx_err begin_adoption(struct mirror *m, uint64_t id,
				  struct spool_adoption **d)
{
	enum mx_err err = spool_adopt_new(m->opt.spool, id, d);

	return err == MX_ETIME ? MX_ESHARE : err;
}

static void adopt_one(struct adopt *a, size_t row)
{
	struct mirror *m = a->call.arg;
	struct db *db = a->t->db;
	int64_t id = db_number(db, MESSAGES, row, 0);
	struct spool_adoption *d = NULL;
	enum mx_err err = begin_adoption(m, (uint64_t)id, &d);

	for (; is_of(db, CONTENT, a->piece, id); a->piece++)
		if (err == MX_OK)
			spool_adopt_content(
				d, db_column(db, CONTENT, a->piece, 2));
	if (err == MX_OK)
		commit(a, row, &d);
	else if (err == MX_EBUSY)
		a->known[a->known_count++] = (uint64_t)id;
	else if (a->err == MX_OK)
		a->err = err;
	while (is_of(db, UNITS, a->unit, id))
		a->unit++;
}

static void run_adopt(struct call *c)
{
	struct adopt *a = (struct adopt *)c;
	struct mirror *m = c->arg;

	a->is_busy = spool_is_busy(m->opt.spool);
	if (a->is_busy || !board_is(m, &a->t->id)) {
		call_done(c, a->is_busy ? MX_OK : MX_EBUSY, 0);
		return;
	}
	a->pending = 1;
	for (size_t i = 0; i < db_rows(a->t->db, MESSAGES) && a->err == MX_OK;
	     i++)
		adopt_one(a, i);
	if (a->known_count > 0) {
		a->pending++;
		spool_mirror_note(m->opt.spool, a->known, a->known_count, false,
				  on_noted, a);
	}
	end_one(a, MX_OK);
}

/* Until the spool has room in its queue. */
static enum mx_err adopt_all(struct taker *t)
{
	enum mx_err err;
	bool is_busy;

	do {
		struct adopt *a = call_new(run_adopt, NULL, sizeof(*a));

		a->t = t;
		err = calls_wait(t->m->calls, &a->call);
		is_busy = err == MX_OK && a->is_busy;
		call_release(&a->call);
	} while (is_busy && !mirror_sleep(t->m, BUSY_MS));
	return is_busy ? MX_ESTOP : err;
}

static enum mx_err import_small(struct taker *t, struct array *ids)
{
	struct param p[] = { PARAM_INT(t->id.owner), PARAM_ARRAY(ids) };
	enum mx_err err;

	if (ids->count == 0)
		return MX_OK;
	db_send(t->db, SQL_MESSAGES_OF, p);
	db_send(t->db, SQL_UNITS_OF, p);
	db_send(t->db, SQL_CONTENT_OF, p);
	err = db_run(t->db, taker_timeout(t));
	if (err == MX_OK)
		err = adopt_all(t);
	buf_fini(&ids->bytes);
	array_init(ids, ARRAY_INT8);
	return err;
}

/* ---- A large one, in pieces ---- */

struct part {
	struct call call;
	struct taker *t;
	int64_t id;
	enum { BEGIN, MORE, END } what;
	struct origin origin;
};

static void on_ended(enum mx_err err, void *arg)
{
	struct part *p = arg;

	if (err == MX_OK)
		tell_origin(p->call.arg, (uint64_t)p->id, &p->origin);
	call_done(&p->call, err, 0);
}

static void end_large(struct part *p)
{
	struct mirror *m = p->call.arg;
	struct db *db = p->t->db;
	size_t n = db_rows(db, UNITS);
	struct spool_adopted *units = mx_alloc_array(n + 1, sizeof(*units));

	for (size_t i = 0; i < n; i++)
		fill_unit(db, UNITS, i, 1, &units[i]);
	if (db_rows(db, MESSAGES) == 1) {
		fill_origin(db, 0, &p->origin);
		spool_adopt_commit(&m->adoption, db_column(db, MESSAGES, 0, 1),
				   units, n, on_ended, p);
	} else { /* it was taken over, from us */
		call_done(&p->call, MX_EBUSY, 0);
	}
	free(units);
}

static void run_part(struct call *c)
{
	struct part *p = (struct part *)c;
	struct mirror *m = c->arg;
	struct db *db = p->t->db;
	uint64_t id = (uint64_t)p->id;
	enum mx_err err = board_is(m, &p->t->id) ? MX_OK : MX_EBUSY;

	if (p->what == BEGIN && err == MX_OK) {
		spool_adopt_discard(&m->adoption);
		err = begin_adoption(m, id, &m->adoption);
		if (err == MX_EBUSY) {
			spool_mirror_note(m->opt.spool, &id, 1, false,
					  call_counted, c);
			return;
		}
	}
	if (err == MX_OK && p->what == END) {
		end_large(p);
		return;
	}
	for (size_t i = 0;
	     err == MX_OK && p->what == MORE && i < db_rows(db, 0); i++)
		spool_adopt_content(m->adoption, db_column(db, 0, i, 1));
	call_done(c, err, m->adoption != NULL);
}

/* *is_open: there is an adoption to go on with. */
static enum mx_err tell_part(struct taker *t, int64_t id, int what,
			     bool *is_open)
{
	struct part *p = call_new(run_part, NULL, sizeof(*p));
	enum mx_err err;

	p->t = t;
	p->id = id;
	p->what = what;
	err = calls_wait(t->m->calls, &p->call);
	*is_open = err == MX_OK && p->call.count != 0;
	call_release(&p->call);
	return err;
}

static enum mx_err import_content(struct taker *t, int64_t id, bool *is_open)
{
	int64_t after = -1;
	enum mx_err err = MX_OK;
	size_t n = 1;

	while (err == MX_OK && n > 0 && *is_open) {
		struct param p[] = { PARAM_INT(t->id.owner), PARAM_INT(id),
				     PARAM_INT(after), PARAM_INT(PIECES) };

		db_send(t->db, SQL_CONTENT_NEXT, p);
		err = db_run(t->db, taker_timeout(t));
		n = err == MX_OK ? db_rows(t->db, 0) : 0;
		if (n == 0)
			break;
		after = db_number(t->db, 0, n - 1, 0);
		err = tell_part(t, id, MORE, is_open);
	}
	return err;
}

static enum mx_err import_large(struct taker *t, int64_t id)
{
	bool is_open;
	enum mx_err err = tell_part(t, id, BEGIN, &is_open);
	struct array ids;

	if (err != MX_OK || !is_open)
		return err;
	err = import_content(t, id, &is_open);
	if (err != MX_OK)
		return err;
	array_init(&ids, ARRAY_INT8);
	array_add_int(&ids, id);
	struct param p[] = { PARAM_INT(t->id.owner), PARAM_ARRAY(&ids) };

	db_send(t->db, SQL_MESSAGES_OF, p);
	db_send(t->db, SQL_UNITS_OF, p);
	err = db_run(t->db, taker_timeout(t));
	buf_fini(&ids.bytes);
	return err == MX_OK ? tell_part(t, id, END, &is_open) : err;
}

/* ---- All ---- */

struct wanted {
	int64_t id;
	uint64_t bytes;
};

static enum mx_err next_page(struct taker *t, int64_t after, struct wanted *all,
			     size_t *n)
{
	struct param p[] = { PARAM_INT(t->id.owner), PARAM_INT(after),
			     PARAM_INT(PAGE) };
	enum mx_err err;

	db_send(t->db, SQL_INCOMING, p);
	err = db_run(t->db, taker_timeout(t));
	*n = err == MX_OK ? db_rows(t->db, 0) : 0;
	for (size_t i = 0; i < *n; i++)
		all[i] = (struct wanted){
			db_number(t->db, 0, i, 0),
			(uint64_t)db_number(t->db, 0, i, 1),
		};
	return err;
}

static enum mx_err import_page(struct taker *t, const struct wanted *all,
			       size_t n)
{
	enum mx_err err = MX_OK;
	uint64_t bytes = 0;
	struct array ids;

	array_init(&ids, ARRAY_INT8);
	for (size_t i = 0; i < n && err == MX_OK; i++) {
		if (is_illegible(t, (uint64_t)all[i].id))
			continue;
		if (all[i].bytes > PIECE_BYTES) {
			err = import_large(t, all[i].id);
			if (err == MX_EINVAL) {
				leave_illegible(t, (uint64_t)all[i].id);
				err = MX_OK;
			}
			continue;
		}
		bytes += all[i].bytes;
		if (bytes > PIECE_BYTES) {
			err = import_small(t, &ids);
			bytes = all[i].bytes;
		}
		array_add_int(&ids, all[i].id);
	}
	if (err == MX_OK)
		err = import_small(t, &ids);
	buf_fini(&ids.bytes);
	return err;
}

enum mx_err taker_import(struct taker *t)
{
	struct wanted all[PAGE];
	enum mx_err err = MX_OK;
	size_t n = 1;

	while (err == MX_OK && n > 0) {
		err = next_page(t, t->imported, all, &n);
		if (err == MX_OK && n > 0) {
			t->imported = all[n - 1].id;
			err = import_page(t, all, n);
		}
	}
	return err;
}
