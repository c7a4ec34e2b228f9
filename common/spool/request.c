#include "common/spool/request.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"

void *request_new(const struct request_ops *ops, size_t size,
		  struct span *texts, size_t count)
{
	struct request *r;
	size_t n = size;
	char *p;

	MX_ASSERT(size >= sizeof(*r));
	for (size_t i = 0; i < count; i++)
		n += texts[i].n;
	r = mx_alloc(n);
	r->ops = ops;
	r->bytes = n;
	p = (char *)r + size;
	for (size_t i = 0; i < count; i++) {
		if (texts[i].n > 0)
			memcpy(p, texts[i].p, texts[i].n);
		texts[i].p = p;
		p += texts[i].n;
	}
	return r;
}

struct request *request_ask(const struct request_ops *ops, size_t size,
			    struct span *texts, size_t count,
			    spool_count_cb *cb, void *arg)
{
	struct request *r = request_new(ops, size, texts, count);

	r->cb = cb;
	r->arg = arg;
	return r;
}

void request_finish(struct spool *sp, struct request *r)
{
	(void)sp;
	if (r->cb != NULL)
		r->cb(r->err, r->count, r->arg);
	free(r);
}
