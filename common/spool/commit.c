#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/arrive.h"
#include "common/spool/bytes.h"

/* The loop's half of a commit: encode everything into one allocation. */

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
	size_t n = a->domain.n < b->domain.n ? a->domain.n : b->domain.n;
	int c = n > 0 ? memcmp(a->domain.p, b->domain.p, n) : 0;

	if (c != 0)
		return c;
	if (a->domain.n != b->domain.n)
		return a->domain.n < b->domain.n ? -1 : 1;
	return a < b ? -1 : 1; /* one array: by number */
}

/* The recipients in the order of their keys; counts units and bytes. */
static const struct spool_rcpt **sort_recipients(const struct spool_rcpt *rcpts,
						 size_t count, uint32_t *units,
						 size_t *bytes)
{
	enum { UNIT_FIXED = 2 + 8 + 8 + 1 + 4, RCPT_FIXED = 4 + 2 };
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

struct arrival *arrival_new(size_t extra, struct spool_draft *d,
			    const struct envelope *env,
			    const struct spool_rcpt *rcpts, size_t count,
			    void **at)
{
	struct envelope own = *env;
	const struct spool_rcpt **sorted;
	struct arrival *a;
	size_t units_n, message_n = envelope_size(env);
	uint32_t units;
	char *p;

	*at = NULL;
	if (!can_be_stored(env, rcpts, count))
		return NULL;
	own.id = d->id;
	own.bytes = d->bytes;
	sorted = sort_recipients(rcpts, count, &units, &units_n);
	*at = mx_realloc(NULL, extra + sizeof(*a) + message_n + units_n);
	memset(*at, 0, extra);
	a = (void *)((char *)*at + extra);
	p = (char *)(a + 1);
	*a = (struct arrival){ .draft = d,
			       .id = d->id,
			       .bytes = d->bytes,
			       .arrived_ms = env->arrived_ms,
			       .units = units,
			       .message_n = message_n,
			       .n = message_n + units_n,
			       .blob = p };
	p = envelope_put(p, &own, units);
	p = put_units(p, rcpts, sorted, count);
	MX_ASSERT(p == a->blob + a->n);
	free(sorted);
	a->tail = draft_tail(d);
	return a;
}

/* ---- the request ---- */

struct seal {
	struct request req;
	struct arrival *arrival;
	spool_commit_cb *cb;
	void *arg;
};

static enum mx_err apply_seal(struct batch *b, struct request *r)
{
	struct seal *s = CONTAINER_OF(r, struct seal, req);

	return arrival_apply(b, s->arrival, &r->err);
}

static void finish_seal(struct spool *sp, struct request *r)
{
	struct seal *s = CONTAINER_OF(r, struct seal, req);

	(void)sp;
	if (s->arrival != NULL)
		arrival_finish(s->arrival, r->err);
	if (s->cb != NULL)
		s->cb(r->err, r->id, s->arg);
	free(s);
}

static const struct request_ops seal_ops = {
	.name = "seal",
	.order = ORDER_ARRIVAL,
	.fills = true,
	.apply = apply_seal,
	.finish = finish_seal,
};

/* The draft failed before: only the callback is due, and not yet. */
static void refuse(struct spool *sp, uint64_t id, enum mx_err err,
		   spool_commit_cb *cb, void *arg)
{
	struct seal *s = mx_alloc(sizeof(*s));

	s->req.ops = &seal_ops;
	s->req.id = id;
	s->req.err = err;
	s->cb = cb;
	s->arg = arg;
	writer_answer(sp, &s->req);
}

void spool_commit(struct spool_draft **draft, const struct envelope *env,
		  const struct spool_rcpt *rcpts, size_t count,
		  spool_commit_cb *cb, void *arg)
{
	struct spool_draft *d = *draft;
	struct spool *sp = d->sp;
	enum mx_err err = d->err;
	struct arrival *a = NULL;
	struct seal *s;
	void *at;

	if (err == MX_OK) {
		a = arrival_new(sizeof(*s), d, env, rcpts, count, &at);
		if (a == NULL)
			err = MX_EINVAL;
	}
	if (err != MX_OK) {
		uint64_t id = d->id;

		spool_draft_discard(draft);
		refuse(sp, id, err, cb, arg);
		return;
	}
	*draft = NULL;
	s = at;
	s->req.ops = &seal_ops;
	s->req.id = a->id;
	s->req.bytes = sizeof(*s) + a->n + (a->tail != NULL ? a->tail->cap : 0);
	s->arrival = a;
	s->cb = cb;
	s->arg = arg;
	writer_push(sp, &s->req);
}
