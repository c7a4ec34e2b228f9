#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/arrival.h"
#include "common/spool/counters.h"
#include "common/spool/find.h"
#include "common/spool/queue.h"
#include "common/spool/unit.h"

/* What became of a unit's recipients, and the report of it, in one commit. */

struct settle {
	struct request req;
	struct span domain;
	int64_t now_ms, due_ms;
	struct arrival *report; /* NULL: none */
	bool is_warned;		/* only strike the warning off */
	struct settlement *set; /* by number */
	size_t count;
	spool_done_cb *cb;
	void *arg;
};

/* Where the recipients of the unit stand after the settlement. */
struct tally {
	size_t transient, pending, held;
	bool has_news; /* pending, and the caller does not know of it */
	int64_t expires_ms, warn_ms;
};

static int by_number(const void *pa, const void *pb)
{
	uint32_t a = ((const struct settlement *)pa)->number;
	uint32_t b = ((const struct settlement *)pb)->number;

	return a == b ? 0 : a < b ? -1 : 1;
}

static const struct settlement *find(const struct settle *s, uint32_t number)
{
	struct settlement key = { .number = number };

	if (s->count == 0)
		return NULL;
	return bsearch(&key, s->set, s->count, sizeof(key), by_number);
}

static enum mx_err rewrite(struct batch *b, const struct settle *s,
			   const struct key *k, struct recipient_row *row,
			   const struct settlement *what)
{
	char *value;
	size_t n;
	enum mx_err err;

	row->r.attempts++;
	row->r.attempt_ms = s->now_ms;
	row->r.last_reply = what->reply;
	row->r.last_host = what->host;
	row->r.is_held = what->outcome == OUTCOME_HELD;
	n = recipient_size(row);
	value = mx_realloc(NULL, n);
	recipient_put(value, row);
	err = table_put(batch_table(b, T_RECIPIENT), b->txn, k,
			span_of(value, n));
	free(value);
	return err;
}

static enum mx_err settle_one(struct batch *b, const struct settle *s,
			      struct recipient_row *row, struct tally *t)
{
	const struct settlement *what = find(s, row->r.number);
	enum outcome outcome = what != NULL ? what->outcome : OUTCOME_UNTRIED;
	struct key k;

	key_recipient(&k, s->req.id, s->domain, row->r.number);
	switch (outcome) {
	case OUTCOME_DELIVERED:
	case OUTCOME_PERMANENT:
		return table_del(batch_table(b, T_RECIPIENT), b->txn, &k);
	case OUTCOME_TRANSIENT:
		t->transient++;
		return rewrite(b, s, &k, row, what);
	case OUTCOME_HELD:
		t->held++;
		return rewrite(b, s, &k, row, what);
	case OUTCOME_WAITING:
		t->transient++;
		return MX_OK;
	case OUTCOME_UNTRIED:
		break;
	}
	if (row->r.is_held) {
		t->held++;
		return MX_OK;
	}
	t->pending++;
	/* released while the caller had the unit in hand */
	t->has_news = t->has_news || what == NULL;
	return MX_OK;
}

static enum mx_err settle_all(struct batch *b, const struct settle *s,
			      struct tally *t)
{
	uint32_t number = 0;
	enum mx_err err = MX_OK;

	while (err == MX_OK) {
		struct recipient_row row;

		err = unit_recipient(b->sp, b->txn, s->req.id, s->domain,
				     number, &row);
		if (err != MX_OK)
			break;
		t->expires_ms = row.expires_ms;
		t->warn_ms = row.warn_ms;
		number = row.r.number + 1;
		err = settle_one(b, s, &row, t);
		if (number == 0)
			break;
	}
	return err == MX_ENOENT ? MX_OK : err;
}

static enum mx_err place_unit(struct batch *b, const struct settle *s,
			      const struct tally *t)
{
	uint64_t id = s->req.id;
	enum unit_state state;
	int64_t due_ms;
	enum mx_err err =
		unit_state_get(b->sp, b->txn, id, s->domain, &state, &due_ms);

	if (err != MX_OK)
		return err;
	/* held by the operator while it was tried: it stays held */
	if (state == UNIT_HELD && t->transient + t->pending > 0)
		return MX_OK;
	if (t->transient > 0)
		return unit_move(b, id, s->domain, UNIT_DEFERRED, s->due_ms);
	if (t->pending > 0) {
		err = unit_move(b, id, s->domain, UNIT_READY, 0);
		if (err == MX_OK && t->has_news)
			counters_announce(b, s->domain);
		return err;
	}
	if (t->held == 0)
		return unit_drop(b, id, s->domain, t->expires_ms, t->warn_ms);
	err = unit_move(b, id, s->domain, UNIT_HELD, 0);
	return err == MX_OK ? unit_expiry_del(b, id, s->domain, t->expires_ms,
					      t->warn_ms)
			    : err;
}

/* MX_ENOENT: the warning was struck off before, and its report is made. */
static enum mx_err strike_warning(struct batch *b, const struct settle *s,
				  const struct recipient_row *row)
{
	struct key k;

	key_expiry(&k, row->warn_ms, s->req.id, s->domain, EXPIRY_WARNING);
	return table_del(batch_table(b, T_EXPIRY), b->txn, &k);
}

static enum mx_err apply_settle(struct batch *b, struct request *r)
{
	struct settle *s = CONTAINER_OF(r, struct settle, req);
	struct recipient_row row;
	struct tally t = { 0 };
	enum mx_err err;

	/* first whatever may fail without a trace */
	err = unit_recipient(b->sp, b->txn, r->id, s->domain, 0, &row);
	if (err == MX_OK && s->report != NULL)
		r->err = s->report->draft->writer_err;
	if (err == MX_OK && r->err == MX_OK && s->is_warned)
		err = strike_warning(b, s, &row);
	if (err == MX_ENOENT) {
		r->err = err;
		return MX_OK;
	}
	if (err != MX_OK || r->err != MX_OK)
		return err;
	if (s->report != NULL)
		err = arrival_apply(b, s->report, &r->err);
	if (err != MX_OK || s->is_warned)
		return err;
	err = settle_all(b, s, &t);
	return err == MX_OK ? place_unit(b, s, &t) : err;
}

static void finish_settle(struct spool *sp, struct request *r)
{
	struct settle *s = CONTAINER_OF(r, struct settle, req);

	(void)sp;
	if (s->report != NULL) {
		arrival_finish(s->report, r->err);
		free(s->report);
	}
	if (s->cb != NULL)
		s->cb(r->err, s->arg);
	free(s);
}

static const struct request_ops settle_ops = {
	.name = "settle",
	.order = ORDER_ANY,
	.bounded = true, /* daemon/drain/risk.c */
	.apply = apply_settle,
	.finish = finish_settle,
};

/* One allocation: the request, the settlements, their texts. */
static struct settle *settle_new(uint64_t id, struct span domain,
				 const struct settlement *set, size_t count)
{
	size_t n = domain.n;
	struct settle *s;
	char *p;

	MX_ASSERT(key_domain_is_valid(domain));
	for (size_t i = 0; i < count; i++)
		n += set[i].reply.n + set[i].host.n;
	s = mx_alloc(sizeof(*s) + count * sizeof(*set) + n);
	s->req.ops = &settle_ops;
	s->req.id = id;
	s->req.bytes = sizeof(*s) + count * sizeof(*set) + n;
	s->set = (struct settlement *)(void *)(s + 1);
	s->count = count;
	p = (char *)(s->set + count);
	s->domain = (struct span){ p, domain.n };
	memcpy(p, domain.p, domain.n);
	p += domain.n;
	for (size_t i = 0; i < count; i++) {
		struct span *texts[2] = { &s->set[i].reply, &s->set[i].host };

		s->set[i] = set[i];
		for (size_t t = 0; t < COUNT(texts); t++) {
			if (texts[t]->n > 0)
				memcpy(p, texts[t]->p, texts[t]->n);
			texts[t]->p = p;
			p += texts[t]->n;
		}
	}
	if (count > 1)
		qsort(s->set, count, sizeof(*set), by_number);
	return s;
}

/* Take the report over; false: it cannot be stored, s->req.err says why. */
static bool take_report(struct settle *s, struct spool_report *report)
{
	struct spool_draft *d = report->draft;
	void *at;

	report->draft = NULL;
	s->req.err = d->err;
	if (s->req.err == MX_OK) {
		s->report = arrival_new(0, d, &report->envelope, &report->rcpt,
					1, &at);
		if (s->report != NULL) {
			s->req.bytes += s->report->n;
			return true;
		}
		s->req.err = MX_EINVAL;
	}
	spool_draft_discard(&d);
	return false;
}

static void push(struct spool *sp, struct settle *s,
		 struct spool_report *report, spool_done_cb *cb, void *arg)
{
	s->cb = cb;
	s->arg = arg;
	if (report != NULL && !take_report(s, report))
		queue_answer(sp, &s->req);
	else
		queue_push(sp, &s->req);
}

void spool_settle(struct spool *sp, uint64_t id, struct span domain,
		  const struct settlement *set, size_t count, int64_t now_ms,
		  int64_t due_ms, struct spool_report *report,
		  spool_done_cb *cb, void *arg)
{
	struct settle *s = settle_new(id, domain, set, count);

	s->now_ms = now_ms;
	s->due_ms = due_ms;
	push(sp, s, report, cb, arg);
}

void spool_warned(struct spool *sp, uint64_t id, struct span domain,
		  int64_t now_ms, struct spool_report *report,
		  spool_done_cb *cb, void *arg)
{
	struct settle *s = settle_new(id, domain, NULL, 0);

	s->now_ms = now_ms;
	s->is_warned = true;
	push(sp, s, report, cb, arg);
}
