#include "daemon/control/walk.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/log.h"
#include "common/base/msgid.h"
#include "common/spool/scope.h"

enum {
	ROWS_PER_STEP = 512, /* domains looked at */
	LOG_WAIT_MS = 20,    /* while lines wait to be written */
	AGAIN_MS = 50,
};

/* ---- Units ---- */

static bool on_unit(const struct unit *u, void *arg)
{
	struct walk *w = arg;

	if (u->envelope.id > w->until_id)
		return false;
	if (w->request->scope != SCOPE_ID &&
	    w->taken >= w->ops->units_per_step) {
		w->is_full = true;
		return false;
	}
	w->taken++;
	w->after = u->envelope.id;
	w->ops->unit(w, u);
	return true;
}

static void list_some(struct walk *w)
{
	enum mx_err err = MX_OK;

	w->is_full = false;
	if (w->ops->unit != NULL)
		err = spool_list(w->spool, span_str(w->domain), w->after,
				 on_unit, w);
	if (err != MX_OK && err != MX_ENOENT)
		w->err = err;
	w->in_domain = w->is_full;
	if (!w->in_domain && w->err == MX_OK && w->ops->left != NULL)
		w->ops->left(w);
}

/* The ids were found when the order came; one may have gone since. */
static void next_message(struct walk *w)
{
	const struct request *r = w->request;
	enum mx_err err;

	if (w->at == r->id_count) {
		w->is_over = true;
		return;
	}
	err = spool_message(w->spool, r->ids[w->at++], on_unit, w);
	if (err != MX_OK && err != MX_ENOENT)
		w->err = err;
}

/* ---- Domains ---- */

struct finding {
	struct walk *w;
	struct spool_domain *row;
	bool found;
};

static bool is_meant(const struct walk *w, const struct spool_domain *row)
{
	const struct request *r = w->request;
	struct span name = span_str(row->name);

	if (scope_is_destination(name) || scope_is_pattern(name))
		return false;
	return r->scope == SCOPE_PATTERN ? scope_covers(r->sel.domain, name)
					 : drain_goes_to(r->control->opt.drain,
							 row, r->destination);
}

static bool on_row(const struct spool_domain *row, void *arg)
{
	struct finding *s = arg;
	struct walk *w = s->w;

	snprintf(w->row, sizeof(w->row), "%s", row->name);
	w->rows++;
	s->found = is_meant(w, row);
	if (s->found)
		*s->row = *row;
	return !s->found && w->rows < ROWS_PER_STEP;
}

/* The next domain of many; false: not in this step. */
static bool find_next(struct walk *w, struct spool_domain *row)
{
	struct finding s = { .w = w, .row = row };
	size_t before = w->rows;
	enum mx_err err = spool_domains(w->spool, span_str(w->row), on_row, &s);

	if (err != MX_OK)
		w->err = err;
	else if (!s.found && (w->rows == before || w->rows < ROWS_PER_STEP))
		w->is_over = true;
	return s.found;
}

static bool find_only(struct walk *w, struct spool_domain *row)
{
	struct span name = w->request->sel.domain;
	enum mx_err err;

	if (w->row[0] != '\0') { /* it was looked at */
		w->is_over = true;
		return false;
	}
	err = spool_domain_get(w->spool, name, row);
	if (err != MX_OK && err != MX_ENOENT)
		w->err = err;
	snprintf(w->row, sizeof(w->row), "%.*s", SPAN_ARG(name));
	w->rows++;
	return err == MX_OK;
}

static void next_domain(struct walk *w)
{
	struct spool_domain row = { 0 };
	bool found = w->request->scope == SCOPE_DOMAIN ? find_only(w, &row)
						       : find_next(w, &row);

	if (!found)
		return;
	memcpy(w->domain, w->row, sizeof(w->domain));
	w->after = 0;
	w->in_domain = w->ops->domain == NULL || w->ops->domain(w, &row);
}

/* ---- Steps ---- */

static void free_walk(struct walk *w)
{
	if (w->ops->forget != NULL)
		w->ops->forget(w);
	ev_timer_stop(w->loop, &w->turn);
	free(w);
}

static void finish(struct walk *w)
{
	if (w->request->control == NULL && w->err == MX_OK)
		w->err = MX_ESTOP;
	MX_ASSERT(w->pending == 0);
	w->request->walk = NULL;
	w->ops->end(w);
	free_walk(w);
}

static void schedule(struct walk *w, int64_t wait_ms)
{
	if (wait_ms == 0 && log_is_congested())
		wait_ms = LOG_WAIT_MS;
	ev_timer_stop(w->loop, &w->turn);
	ev_timer_set(&w->turn, (double)wait_ms / 1000., 0.);
	ev_timer_start(w->loop, &w->turn);
}

static void go_on(struct walk *w)
{
	bool stops = w->err != MX_OK || w->request->control == NULL;

	if (!stops && !w->is_over) {
		schedule(w, 0);
	} else if (!stops && w->ops->again != NULL && w->ops->again(w)) {
		w->is_over = w->in_domain = false;
		w->row[0] = '\0';
		w->at = 0;
		schedule(w, AGAIN_MS);
	} else {
		finish(w);
	}
}

static void advance(struct walk *w)
{
	if (w->in_domain)
		list_some(w);
	else if (w->request->scope == SCOPE_ID)
		next_message(w);
	else
		next_domain(w);
}

static bool may_go_on(const struct walk *w)
{
	return w->err == MX_OK && !w->is_over &&
	       w->taken < w->ops->units_per_step && w->rows < ROWS_PER_STEP;
}

static void step(struct walk *w)
{
	w->taken = w->rows = 0;
	while (may_go_on(w))
		advance(w);
	if (w->pending == 0)
		go_on(w);
}

static void on_turn(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop;
	(void)revents;
	step(t->data);
}

void walk_start(struct request *r, const struct walk_ops *ops, bool was_held)
{
	struct walk *w = mx_alloc(sizeof(*w));

	w->request = r;
	w->ops = ops;
	w->spool = r->control->opt.spool;
	w->loop = r->control->opt.loop;
	w->until_id = spool_last_id(w->spool);
	w->was_held = was_held;
	ev_timer_init(&w->turn, on_turn, 0., 0.);
	w->turn.data = w;
	r->walk = w;
	step(w);
}

void walk_begin(struct walk *w)
{
	MX_ASSERT(w->request->walk == w);
	w->pending++;
}

void walk_end(struct walk *w, enum mx_err err)
{
	MX_ASSERT(w->pending > 0);
	if (err != MX_OK && err != MX_ENOENT && w->err == MX_OK)
		w->err = err;
	if (--w->pending == 0)
		go_on(w);
}

bool walk_is_stopped(const struct walk *w)
{
	return w->request->control == NULL;
}

bool walk_stop(struct walk *w)
{
	ev_timer_stop(w->loop, &w->turn);
	if (w->pending > 0)
		return false;
	free_walk(w);
	return true;
}

/* One message is named; of more, what the order was about, or as many as there
 * is room for. */
static void keep_alone(struct walk *w, uint64_t id)
{
	const struct request *r = w->request;
	struct buf text = { 0 };

	if (w->kept_id != 0 && r->scope == SCOPE_DESTINATION) {
		buf_addf(&text, "--all --destination '%.*s'",
			 SPAN_ARG(r->destination));
	} else if (w->kept_id != 0 && r->name[0] != '\0') {
		buf_addf(&text, "--all --domain '%s'", r->name);
	} else if (w->kept_id != id) { /* else of another domain */
		buf_addf(&text, "%s%s", w->release, w->kept_id != 0 ? " " : "");
		msg_id_add(&text, id);
	}
	w->kept_id = id;
	if (text.n > 0 && text.n < sizeof(w->release))
		memcpy(w->release, buf_cstr(&text), text.n + 1);
	buf_fini(&text);
}

/* The first is said: there is seldom more than one. */
void walk_keep(struct walk *w, uint64_t units, uint64_t id,
	       const struct spool_domain *row, struct span domain)
{
	bool is_held = row != NULL && row->is_held;
	struct status_destination st;
	struct buf text = { 0 };

	w->kept += units;
	if (units == 0 || (w->release[0] != '\0' && w->kept_id == 0))
		return;
	if (id != 0 && !is_held)
		keep_alone(w, id);
	if (w->kept_id != 0)
		return;
	if (is_held)
		buf_addf(&text, "--domain '%s'",
			 row->hold_pattern[0] != '\0' ? row->hold_pattern
						      : row->name);
	else if (drain_status(w->request->control->opt.drain, domain, &st) &&
		 st.hold_name != NULL)
		buf_addf(&text, "--destination '%s'", st.hold_name);
	else if (st.braked != NULL)
		buf_addf(&text, "--domain %.*s", SPAN_ARG(domain));
	else
		buf_addf(&text, "--all --domain %.*s", SPAN_ARG(domain));
	snprintf(w->release, sizeof(w->release), "%s", buf_cstr(&text));
	buf_fini(&text);
}

json_t *walk_answer(const struct walk *w)
{
	json_t *answer = json_pack("{s:b, s:I}", "ok", w->err == MX_OK, "count",
				   (json_int_t)w->done);

	if (w->under_way > 0)
		json_object_set_new(answer, "under_way",
				    json_integer((json_int_t)w->under_way));
	if (w->kept > 0)
		json_object_set_new(answer, "still_held",
				    json_integer((json_int_t)w->kept));
	if (w->kept > 0)
		json_object_set_new(answer, "release",
				    control_text(span_str(w->release)));
	if (w->err != MX_OK)
		json_object_set_new(answer, "error",
				    json_string(mx_strerror(w->err)));
	return answer;
}
