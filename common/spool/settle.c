#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/arrival.h"
#include "common/spool/counters.h"
#include "common/spool/find.h"
#include "common/spool/queue.h"
#include "common/spool/unit.h"

/* What became of a unit's recipients, and the report of it, in one commit. */

/* Where the recipients of the unit stand after the settlement. */
struct tally {
	size_t transient, pending, held, parked;
	bool has_news; /* pending, and the caller does not know of it */
};

struct settling {
	struct request req;
	struct span domain;
	int64_t now_ms, due_ms;
	struct arrival *report; /* NULL: none */
	bool is_warned;		/* only strike the warning off */
	bool is_of_parked;	/* they are, or nothing is recorded */
	struct settlement *set; /* by number */
	size_t count;
	struct tally tally;
	spool_done_cb *cb;
	void *arg;
};

static int by_number(const void *pa, const void *pb)
{
	uint32_t a = ((const struct settlement *)pa)->number;
	uint32_t b = ((const struct settlement *)pb)->number;

	return a == b ? 0 : a < b ? -1 : 1;
}

static const struct settlement *find(const struct settling *s, uint32_t number)
{
	struct settlement key = { .number = number };

	if (s->count == 0)
		return NULL;
	return bsearch(&key, s->set, s->count, sizeof(key), by_number);
}

/* What is parked was not tried: its words and its count stay. */
static enum keep note(const struct settling *s, struct recipient_row *row,
		      const struct settlement *what, enum recipient_state state)
{
	if (!recipient_is_parked(&row->r)) {
		row->r.attempts++;
		row->r.attempt_ms = s->now_ms;
		row->r.last_reply = what->reply;
		row->r.last_host = what->host;
	}
	row->r.state = state;
	row->r.failure = what->failure;
	row->r.until_ms = what->until_ms > 0 ? what->until_ms : 1;
	return KEEP_CHANGED;
}

/* Not in the settlement, or not tried. */
static enum keep leave(struct tally *t, const struct recipient_row *row,
		       const struct settlement *what)
{
	if (recipient_is_parked(&row->r)) {
		t->parked++;
	} else if (row->r.state == RECIPIENT_HELD) {
		t->held++;
	} else {
		t->pending++;
		/* released while the caller had the unit in hand */
		t->has_news = t->has_news || what == NULL;
	}
	return KEEP_AS_IT_IS;
}

static enum keep settle_one(struct recipient_row *row, void *arg)
{
	struct settling *s = arg;
	struct tally *t = &s->tally;
	const struct settlement *what = find(s, row->r.number);

	switch (what != NULL ? what->outcome : OUTCOME_UNTRIED) {
	case OUTCOME_DELIVERED:
	case OUTCOME_PERMANENT:
		return KEEP_NOT;
	case OUTCOME_TRANSIENT:
		t->transient++;
		return note(s, row, what, RECIPIENT_PENDING);
	case OUTCOME_HELD:
		t->held++;
		return note(s, row, what, RECIPIENT_HELD);
	case OUTCOME_REFUSED:
		t->parked++;
		return note(s, row, what, RECIPIENT_REFUSED);
	case OUTCOME_SHELVED:
		t->parked++;
		return note(s, row, what, RECIPIENT_SHELVED);
	case OUTCOME_TAKEN:
		t->parked++;
		return note(s, row, what, RECIPIENT_TAKEN);
	case OUTCOME_WAITING:
		t->transient++;
		return KEEP_AS_IT_IS;
	case OUTCOME_UNTRIED:
		break;
	}
	return leave(t, row, what);
}

static enum mx_err place_unit(struct batch *b, const struct settling *s,
			      const struct ends *ends)
{
	const struct tally *t = &s->tally;
	struct found u;
	enum mx_err err = find_unit(b->sp, b->txn, s->req.id, s->domain, &u);

	if (err != MX_OK)
		return err;
	/* held by the operator while it was tried: it stays held */
	if (u.state == UNIT_HELD && t->transient + t->pending + t->parked > 0)
		return MX_OK;
	if (t->transient > 0)
		return unit_move(b, &u, UNIT_DEFERRED, s->due_ms);
	if (t->pending > 0) {
		if (s->is_of_parked) /* these have their own time */
			return MX_OK;
		err = unit_move(b, &u, UNIT_READY, 0);
		if (err == MX_OK && t->has_news)
			counters_announce(b, s->domain);
		return err;
	}
	if (t->held + t->parked == 0)
		return unit_drop(b, &u, ends);
	err = unit_move(b, &u, t->parked > 0 ? UNIT_REFUSED : UNIT_HELD, 0);
	return err == MX_OK ? unit_expiry_del(b, &u, ends) : err;
}

static enum mx_err settle_unit(struct batch *b, struct settling *s)
{
	const struct found u = { .id = s->req.id, .domain = s->domain };
	struct ends ends;
	enum mx_err err;

	s->tally = (struct tally){ 0 };
	err = unit_recipients(b, &u, settle_one, s, &ends);
	return err == MX_OK ? place_unit(b, s, &ends) : err;
}

/* MX_ENOENT: the warning was struck off before, and its report is made. */
static enum mx_err strike_warning(struct batch *b, const struct settling *s,
				  const struct recipient_row *row)
{
	struct key k;

	key_expiry(&k, row->warn_ms, s->req.id, s->domain, EXPIRY_WARNING);
	return table_del(batch_table(b, T_EXPIRY), b->txn, &k);
}

/* Released meanwhile, or undone: MX_ENOENT. */
static enum mx_err are_parked(struct batch *b, const struct settling *s)
{
	for (size_t i = 0; i < s->count; i++) {
		uint32_t number = s->set[i].number;
		struct recipient_row row;
		enum mx_err err = find_recipient(b->sp, b->txn, s->req.id,
						 s->domain, number, &row);

		if (err == MX_OK && (row.r.number != number ||
				     !recipient_is_parked(&row.r)))
			err = MX_ENOENT;
		if (err != MX_OK)
			return err;
	}
	return MX_OK;
}

static enum mx_err apply_settle(struct batch *b, struct request *r)
{
	struct settling *s = CONTAINER_OF(r, struct settling, req);
	struct recipient_row row;
	enum mx_err err;

	/* first whatever may fail without a trace */
	err = find_recipient(b->sp, b->txn, r->id, s->domain, 0, &row);
	if (err == MX_OK && s->report != NULL)
		r->err = s->report->draft->writer_err;
	if (err == MX_OK && s->is_of_parked)
		err = are_parked(b, s);
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
	return err != MX_OK || s->is_warned ? err : settle_unit(b, s);
}

static void finish_settle(struct spool *sp, struct request *r)
{
	struct settling *s = CONTAINER_OF(r, struct settling, req);

	arrival_finish(&s->report, r->err);
	if (s->cb != NULL)
		s->cb(r->err, s->arg);
	request_finish(sp, r);
}

static const struct request_ops settle_ops = {
	.name = "settle",
	.order = ORDER_ANY,
	.bounded = true, /* daemon/drain/risk.c */
	.apply = apply_settle,
	.finish = finish_settle,
};

/* One allocation: the request, the settlements, their texts. */
static struct settling *settle_new(uint64_t id, struct span domain,
				   const struct settlement *set, size_t count)
{
	size_t n = domain.n;
	struct settling *s;
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
	MX_ASSERT(p == (char *)s + s->req.bytes);
	if (count > 1)
		qsort(s->set, count, sizeof(*set), by_number);
	return s;
}

static void push(struct spool *sp, struct settling *s,
		 struct spool_report *report, spool_done_cb *cb, void *arg)
{
	s->cb = cb;
	s->arg = arg;
	if (report != NULL)
		s->req.err = arrival_new(&s->report, &report->draft,
					 &report->envelope, &report->rcpt, 1);
	if (s->req.err != MX_OK) {
		queue_answer(sp, &s->req);
		return;
	}
	if (s->report != NULL)
		s->req.bytes += arrival_bytes(s->report);
	queue_push(sp, &s->req);
}

void spool_settle(struct spool *sp, uint64_t id, struct span domain,
		  const struct settlement *set, size_t count, int64_t now_ms,
		  int64_t due_ms, struct spool_report *report,
		  spool_done_cb *cb, void *arg)
{
	struct settling *s = settle_new(id, domain, set, count);

	s->now_ms = now_ms;
	s->due_ms = due_ms;
	push(sp, s, report, cb, arg);
}

void spool_settle_parked(struct spool *sp, uint64_t id, struct span domain,
			 const struct settlement *set, size_t count,
			 int64_t now_ms, struct spool_report *report,
			 spool_done_cb *cb, void *arg)
{
	struct settling *s = settle_new(id, domain, set, count);

	s->now_ms = now_ms;
	s->is_of_parked = true;
	push(sp, s, report, cb, arg);
}

void spool_warned(struct spool *sp, uint64_t id, struct span domain,
		  struct spool_report *report, spool_done_cb *cb, void *arg)
{
	struct settling *s = settle_new(id, domain, NULL, 0);

	s->is_warned = true;
	push(sp, s, report, cb, arg);
}
