#include "daemon/policy/rejections.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/hash.h"
#include "daemon/policy/links.h"
#include "daemon/policy/policy.h"

struct count {
	const char *reason;
	uint64_t n;
};

/* Most lines have one reason or two; there are as many as verdict.c has. */
struct line {
	UT_hash_handle hh;
	struct count *counts; /* the most frequent first */
	size_t used, name_len;
	char name[];
};

struct rejections {
	struct line *lines;
};

struct rejections *rejections_new(void)
{
	return mx_alloc(sizeof(struct rejections));
}

void rejections_free(struct rejections **r)
{
	struct line *l, *tmp;

	if (*r == NULL)
		return;
	HASH_ITER (hh, (*r)->lines, l, tmp) {
		HASH_DEL((*r)->lines, l);
		free(l->counts);
		free(l);
	}
	free(*r);
	*r = NULL;
}

static struct line *find(const struct rejections *r, struct span name)
{
	struct line *l = NULL;

	if (r->lines != NULL)
		HASH_FIND(hh, r->lines, name.p, name.n, l);
	return l;
}

static struct line *need(struct rejections *r, struct span name)
{
	struct line *l = find(r, name);

	if (l != NULL || HASH_COUNT(r->lines) >= REJECTIONS_LINES)
		return l;
	l = mx_alloc(sizeof(*l) + name.n);
	l->name_len = name.n;
	memcpy(l->name, name.p, name.n);
	HASH_ADD_KEYPTR(hh, r->lines, l->name, l->name_len, l);
	return l;
}

static struct count *need_count(struct line *l, const char *reason)
{
	for (size_t i = 0; i < l->used; i++)
		if (strcmp(l->counts[i].reason, reason) == 0)
			return &l->counts[i];
	if (l->used == REJECTIONS_REASONS)
		return NULL;
	l->counts = mx_realloc(l->counts, (l->used + 1) * sizeof(*l->counts));
	l->counts[l->used] = (struct count){ reason, 0 };
	return &l->counts[l->used++];
}

void rejections_add(struct rejections *r, struct span name, const char *reason)
{
	struct line *l = need(r, name);
	struct count *c = l != NULL ? need_count(l, reason) : NULL;

	if (c == NULL)
		return;
	c->n++;
	for (; c > l->counts && c[-1].n < c->n; c--) {
		struct count less = c[-1];

		c[-1] = *c;
		*c = less;
	}
}

void rejections_each(const struct rejections *r, struct span name,
		     rejections_cb *cb, void *arg)
{
	const struct line *l = find(r, name);

	for (size_t i = 0; l != NULL && i < l->used; i++)
		cb(l->counts[i].reason, l->counts[i].n, arg);
}

/* ---- The link: it refuses nobody ---- */

static void count_domain(struct rejections *r, const struct gate_question *q,
			 struct span domain, const char *reason)
{
	const struct config_domain *row =
		domains_find(q->config->domains, domain);

	if (row != NULL)
		rejections_add(r, row->name, reason);
}

/* At the end the mail is refused for each of its domains; they stand one behind
 * the other. */
static void count_refused(struct gate_question *q, struct verdict *v)
{
	struct rejections *r = q->link_arg;

	if (q->is_dry)
		return;
	if (q->moment == GATE_RCPT && q->rcpt->row != NULL)
		rejections_add(r, q->rcpt->row->name, v->reason);
	for (size_t i = 0; q->moment == GATE_END && i < q->rcpt_count; i++)
		if (i == 0 || !span_eq(q->rcpts[i].domain,
				       q->rcpts[i - 1].domain))
			count_domain(r, q, q->rcpts[i].domain, v->reason);
}

const struct gate_link link_rejections = {
	.name = "rejections",
	.refused = count_refused,
};
