#include "daemon/history/traces.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"

enum { MAGIC = 0x74726163 };

struct traces {
	unsigned magic;
	void (*put)(struct span key, struct span value, void *arg);
	void *arg;
	uint64_t serial; /* of the row that fills */
	struct buf row, before;
	bool is_dirty;
};

static void put(struct traces *t, uint64_t serial, struct span value)
{
	struct buf key = { 0 };

	trace_key(&key, serial);
	t->put(buf_span(&key), value, t->arg);
	buf_fini(&key);
}

static void write_row(struct traces *t)
{
	put(t, t->serial, buf_span(&t->row));
	t->is_dirty = false;
}

/* The ring moves on: the oldest row goes. */
static void next_row(struct traces *t)
{
	struct buf full = t->row;

	write_row(t);
	t->row = t->before;
	t->before = full;
	buf_reset(&t->row);
	t->serial++;
	if (t->serial > TRACE_ROWS)
		put(t, t->serial - TRACE_ROWS, SPAN_LIT(""));
}

void traces_add(struct traces *t, const struct trace *what)
{
	size_t had = t->row.n;

	MX_ASSERT(t->magic == MAGIC);
	trace_add(&t->row, what);
	MX_ASSERT(t->row.n - had <= TRACE_LINE_MAX);
	t->is_dirty = true;
	if (t->row.n + TRACE_LINE_MAX > TRACE_ROW_BYTES)
		next_row(t);
}

void traces_tick(struct traces *t)
{
	if (t->is_dirty)
		write_row(t);
}

void traces_recent(const struct traces *t, struct trace_recent *out)
{
	MX_ASSERT(t->magic == MAGIC);
	*out = (struct trace_recent){
		.rows = { buf_span(&t->row), buf_span(&t->before) },
		.serial = t->before.n > 0 ? t->serial - 1 : t->serial,
	};
}

struct traces *traces_new(uint64_t last,
			  void (*put_row)(struct span key, struct span value,
					  void *arg),
			  void *arg)
{
	struct traces *t = mx_alloc(sizeof(*t));

	t->magic = MAGIC;
	t->put = put_row;
	t->arg = arg;
	t->serial = last + 1;
	return t;
}

void traces_free(struct traces **tp)
{
	struct traces *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	traces_tick(t);
	buf_fini(&t->row);
	buf_fini(&t->before);
	t->magic = 0;
	free(t);
}
