#include "common/spool/arrival.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/bytes.h"
#include "common/spool/content.h"
#include "common/spool/counters.h"
#include "common/spool/env.h"
#include "common/spool/fair.h"
#include "common/spool/room.h"
#include "common/spool/touch.h"
#include "common/spool/unit.h"

/* ---- The loop's half: encode everything into one allocation ---- */

static struct recipient_row row_of(const struct spool_rcpt *r)
{
	return (struct recipient_row){
		.r = { .path = r->path,
		       .orcpt = r->orcpt,
		       .notify = r->notify },
		.expires_ms = r->expires_ms,
		.warn_ms = r->warn_ms,
	};
}

static int by_domain(const void *pa, const void *pb)
{
	const struct spool_rcpt *a = *(const struct spool_rcpt *const *)pa;
	const struct spool_rcpt *b = *(const struct spool_rcpt *const *)pb;
	int c = span_cmp(a->domain, b->domain);

	if (c != 0)
		return c;
	return a < b ? -1 : 1; /* one array: by number */
}

/* The recipients in the order of their keys; counts units and bytes. */
static const struct spool_rcpt **sort_recipients(const struct spool_rcpt *rcpts,
						 size_t count, uint32_t *units,
						 size_t *bytes)
{
	enum { UNIT_FIXED = 2 + 8 + 8 + 8 + 1 + 4, RCPT_FIXED = 4 + 2 };
	const struct spool_rcpt **sorted =
		mx_realloc(NULL, (count + 1) * sizeof(struct spool_rcpt *));

	for (size_t i = 0; i < count; i++)
		sorted[i] = &rcpts[i];
	if (count > 1)
		qsort(sorted, count, sizeof(struct spool_rcpt *), by_domain);
	*units = 0;
	*bytes = 0;
	for (size_t i = 0; i < count; i++) {
		struct recipient_row row = row_of(sorted[i]);

		if (i == 0 ||
		    !span_eq(sorted[i]->domain, sorted[i - 1]->domain)) {
			(*units)++;
			*bytes += UNIT_FIXED + sorted[i]->domain.n;
		}
		*bytes += RCPT_FIXED + recipient_size(&row);
	}
	return sorted;
}

static char *put_unit_head(char *p, const struct spool_rcpt **sorted,
			   size_t left)
{
	const struct spool_rcpt *first = sorted[0];
	size_t n = 1;

	while (n < left && span_eq(sorted[n]->domain, first->domain))
		n++;
	p = bytes_put_span(p, first->domain);
	p = bytes_put(p, (uint64_t)first->expires_ms, 8);
	p = bytes_put(p, (uint64_t)first->warn_ms, 8);
	p = bytes_put(p, first->quota_bytes, 8);
	p = bytes_put(p, first->claim, 1);
	return bytes_put(p, n, 4);
}

static char *put_units(char *p, const struct spool_rcpt *rcpts,
		       const struct spool_rcpt **sorted, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct recipient_row row = row_of(sorted[i]);

		if (i == 0 ||
		    !span_eq(sorted[i]->domain, sorted[i - 1]->domain))
			p = put_unit_head(p, sorted + i, count - i);
		p = bytes_put(p, (uint64_t)(sorted[i] - rcpts), 4);
		p = bytes_put(p, recipient_size(&row), 2);
		p = recipient_put(p, &row);
	}
	return p;
}

static bool has_quota(const struct spool_rcpt *rcpts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (rcpts[i].quota_bytes > 0)
			return true;
	return false;
}

static bool can_be_stored(const struct envelope *env,
			  const struct spool_rcpt *rcpts, size_t count)
{
	enum { ROW_REST = 1024 };

	for (size_t i = 0; i < count; i++)
		if (!key_domain_is_valid(rcpts[i].domain) ||
		    rcpts[i].path.n + rcpts[i].orcpt.n >
			    RECORD_SPAN_MAX - ROW_REST)
			return false;
	return count > 0 && count <= UINT32_MAX && envelope_fits(env);
}

static struct arrival *encode(struct spool_draft *d, const struct envelope *env,
			      const struct spool_rcpt *rcpts, size_t count)
{
	struct envelope own = *env;
	const struct spool_rcpt **sorted;
	struct arrival *a;
	size_t units_n, message_n = envelope_size(env);
	uint32_t units;
	char *p;

	own.id = d->id;
	own.bytes = d->bytes;
	sorted = sort_recipients(rcpts, count, &units, &units_n);
	a = mx_realloc(NULL, sizeof(*a) + message_n + units_n);
	p = (char *)(a + 1);
	*a = (struct arrival){ .draft = d,
			       .id = d->id,
			       .bytes = d->bytes,
			       .arrived_ms = env->arrived_ms,
			       .units = units,
			       .has_quota = has_quota(rcpts, count),
			       .message_n = message_n,
			       .n = message_n + units_n,
			       .blob = p };
	p = envelope_put(p, &own, units);
	p = put_units(p, rcpts, sorted, count);
	MX_ASSERT(p == a->blob + a->n && units > 0 && units <= count);
	free(sorted);
	return a;
}

enum mx_err arrival_new(struct arrival **out, struct spool_draft **draft,
			const struct envelope *env,
			const struct spool_rcpt *rcpts, size_t count)
{
	struct spool_draft *d = *draft;
	enum mx_err err = d->err;

	*draft = NULL;
	*out = NULL;
	if (err == MX_OK && !can_be_stored(env, rcpts, count))
		err = MX_EINVAL;
	if (err != MX_OK) {
		draft_leave(d);
		return err;
	}
	*out = encode(d, env, rcpts, count);
	(*out)->tail = draft_tail(d);
	return MX_OK;
}

size_t arrival_bytes(const struct arrival *a)
{
	return sizeof(*a) + a->n + a->draft->prefix.n +
	       (a->tail != NULL ? a->tail->cap : 0);
}

void arrival_finish(struct arrival **arrival, enum mx_err err)
{
	struct arrival *a = *arrival;

	*arrival = NULL;
	if (a == NULL)
		return;
	piece_free(a->tail);
	draft_end(a->draft, err == MX_OK);
	free(a);
}

/* ---- The writer's half ---- */

static void skip_recipients(struct bytes_in *in)
{
	uint32_t count = (uint32_t)bytes_get(in, 4);

	for (uint32_t i = 0; i < count; i++) {
		bytes_get(in, 4);
		bytes_get_span(in);
	}
}

static enum mx_err put_recipients(struct batch *b, struct bytes_in *in,
				  uint64_t id, struct span domain)
{
	uint32_t count = (uint32_t)bytes_get(in, 4);
	enum mx_err err = MX_OK;

	for (uint32_t i = 0; i < count && err == MX_OK; i++) {
		uint32_t number = (uint32_t)bytes_get(in, 4);
		struct span row = bytes_get_span(in);
		struct key k;

		key_recipient(&k, id, domain, number);
		err = table_put(batch_table(b, T_RECIPIENT), b->txn, &k, row);
	}
	return err;
}

static enum mx_err put_unit(struct batch *b, const struct arrival *a,
			    struct bytes_in *in)
{
	const struct spool_draft *d = a->draft;
	struct found u = {
		.id = a->id,
		.state = d->is_held ? UNIT_HELD : UNIT_READY,
		.reason = buf_span(&d->hold_reason),
	};
	struct ends ends;
	enum mx_err err;

	u.domain = bytes_get_span(in);
	ends.expires_ms = (int64_t)bytes_get(in, 8);
	ends.warn_ms = (int64_t)bytes_get(in, 8);
	bytes_get_n(in, 8 + 1); /* quota and claim: judged before */
	err = put_recipients(b, in, a->id, u.domain);
	if (err == MX_OK)
		err = unit_put(b, &u, &ends, a->arrived_ms, a->bytes);
	return err;
}

/* What is stored of the content only now. */
static size_t rest_of(const struct arrival *a)
{
	return a->draft->prefix.n + (a->tail != NULL ? a->tail->n : 0);
}

static enum mx_err put_rest(struct batch *b, const struct arrival *a)
{
	const struct spool_draft *d = a->draft;
	const struct piece *tail = a->tail;
	enum mx_err err = MX_OK;

	MX_ASSERT(d->handed_bytes + rest_of(a) == a->bytes);
	b->coming += rest_of(a);
	if (d->prefix.n > 0 || d->handed_bytes > 0)
		err = env_raise_schema(batch_table(b, T_META), b->txn,
				       ENV_BASED);
	if (err == MX_OK && d->prefix.n > 0)
		err = content_put(b, a->id, CONTENT_BASE - d->prefix.n,
				  buf_span(&d->prefix));
	if (err == MX_OK && tail != NULL)
		err = content_put(b, a->id, tail->offset,
				  span_of(tail->data, tail->n));
	if (err == MX_OK && d->handed_bytes > 0)
		err = content_unname(b, GARBAGE_OPEN, a->id);
	return err;
}

/* It begins with this transaction, if no piece came before. */
static void touch_arrival(struct batch *b, const struct arrival *a)
{
	const struct spool_draft *d = a->draft;

	if (d->handed_bytes == 0)
		touch_message(b, a->id, TOUCH_FIRST);
	if (d->prefix.n > 0)
		touch_content(b, a->id, CONTENT_BASE - d->prefix.n);
	if (a->tail != NULL)
		touch_content(b, a->id, a->tail->offset);
	touch_message(b, a->id, TOUCH_WHOLE);
}

static enum mx_err put_fact(struct batch *b, const struct spool_draft *d)
{
	if (d->fact_key.n == 0)
		return MX_OK;
	return table_put_name(batch_table(b, T_FACT), b->txn,
			      buf_span(&d->fact_key), buf_span(&d->fact_value));
}

static bool is_over(uint64_t quota, const struct spool_domain *d,
		    uint64_t bytes)
{
	return quota > 0 &&
	       (bytes > quota || spool_domain_waiting(d) > quota - bytes);
}

/* Of one domain; *in stands at its unit, and behind it afterwards. */
static enum mx_err judge_unit(struct batch *b, const struct arrival *a,
			      struct bytes_in *in, enum mx_err *fault)
{
	struct span domain = bytes_get_span(in);
	struct domain_row *row;
	enum spool_claim claim;
	enum mx_err err = counters_get(b, domain, &row);
	uint64_t quota;

	if (err != MX_OK)
		return err;
	bytes_get_n(in, 8 + 8);
	quota = bytes_get(in, 8);
	claim = (enum spool_claim)bytes_get(in, 1);
	if (!fair_allows(b->sp, &row->d, a->bytes, b->coming + rest_of(a),
			 claim))
		*fault = MX_ESHARE;
	else if (is_over(quota, &row->d, a->bytes))
		*fault = MX_EQUOTA;
	skip_recipients(in);
	return MX_OK;
}

/* Has one of its domains had its share already, or its quota?  Exact: the rows
 * are those of this transaction.  Nothing is changed. */
static enum mx_err judge(struct batch *b, const struct arrival *a,
			 struct bytes_in in, enum mx_err *fault)
{
	enum mx_err err = MX_OK;

	if (a->draft->may_use_margin ||
	    (!a->has_quota && !room_is_tight(b->sp, b->coming + rest_of(a))))
		return MX_OK;
	for (uint32_t i = 0; i < a->units && err == MX_OK && *fault == MX_OK;
	     i++)
		err = judge_unit(b, a, &in, fault);
	return err;
}

enum mx_err arrival_apply(struct batch *b, struct arrival *a,
			  enum mx_err *fault)
{
	struct bytes_in in = { { a->blob, a->n }, false };
	struct span row = bytes_get_n(&in, a->message_n);
	struct key k;
	enum mx_err err = MX_OK;

	*fault = a->draft->writer_err;
	if (*fault == MX_OK)
		err = judge(b, a, in, fault);
	if (err != MX_OK || *fault != MX_OK)
		return err;
	err = put_rest(b, a);
	key_message(&k, a->id);
	if (err == MX_OK)
		err = table_put(batch_table(b, T_MESSAGE), b->txn, &k, row);
	for (uint32_t i = 0; i < a->units && err == MX_OK; i++)
		err = put_unit(b, a, &in);
	if (err == MX_OK)
		err = put_fact(b, a->draft);
	touch_arrival(b, a);
	b->state.bytes += a->bytes;
	MX_ASSERT(err != MX_OK || bytes_end(&in));
	return err;
}
