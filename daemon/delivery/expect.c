/*
 * The queue of expected replies.  Commands run ahead of their replies
 * (RFC 2920); each reply belongs to the head of this ring.
 */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "daemon/delivery/delivery_priv.h"

struct stage_row {
	const char *name;
	int64_t timeout_ms; /* RFC 5321 section 4.5.3.2 */
};

/* clang-format off */
static const struct stage_row stages[ST_COUNT] = {
	/* name in log and status, deadline */
	[ST_CONNECT]  = { "connect",  SECONDS(30) },
	[ST_GREETING] = { "greeting", MINUTES(5) },
	[ST_EHLO]     = { "ehlo",     MINUTES(5) },
	[ST_HELO]     = { "helo",     MINUTES(5) },
	[ST_STARTTLS] = { "starttls", MINUTES(5) },
	[ST_TLS]      = { "tls",      MINUTES(2) },
	[ST_RSET]     = { "rset",     MINUTES(5) },
	[ST_MAIL]     = { "mail",     MINUTES(5) },
	[ST_RCPT]     = { "rcpt",     MINUTES(5) },
	[ST_DATA]     = { "data",     MINUTES(2) },
	[ST_CONTENT]  = { "content",  MINUTES(3) },
	[ST_DOT]      = { "dot",      MINUTES(10) },
	[ST_BDAT]     = { "bdat",     MINUTES(10) },
	[ST_SYNC]     = { "sync",     MINUTES(5) },
	[ST_QUIT]     = { "quit",     SECONDS(5) },
};
/* clang-format on */

const char *stage_name(enum stage s)
{
	return stages[s].name;
}

static int64_t reply_timeout_ms(const struct delivery *d, enum stage s)
{
	if (d->opt.reply_timeout_ms > 0)
		return d->opt.reply_timeout_ms;
	return stages[s].timeout_ms;
}

static int64_t stage_timeout_ms(const struct delivery *d, enum stage s)
{
	int64_t ms = reply_timeout_ms(d, s);

	if (s == ST_QUIT)
		return stages[s].timeout_ms;
	if (s == ST_CONNECT)
		return d->opt.connect_timeout_ms > 0 ? d->opt.connect_timeout_ms
						     : stages[s].timeout_ms;
	if (s == ST_GREETING && d->opt.greeting_timeout_ms > 0 &&
	    d->opt.greeting_timeout_ms < ms)
		return d->opt.greeting_timeout_ms;
	return ms;
}

static void ring_grow(struct expect_ring *r)
{
	size_t cap = r->cap > 0 ? r->cap * 2 : 8;
	struct expect *slots = mx_alloc_array(cap, sizeof(*slots));

	for (size_t i = 0; i < r->count; i++)
		slots[i] = r->slots[(r->head + i) & (r->cap - 1)];
	free(r->slots);
	*r = (struct expect_ring){ slots, cap, 0, r->count };
}

void expect_push(struct delivery *d, enum stage s, struct tx *tx, size_t index)
{
	struct expect_ring *r = &d->expects;

	if (r->count == r->cap)
		ring_grow(r);
	r->slots[(r->head + r->count++) & (r->cap - 1)] =
		(struct expect){ s, (uint32_t)index, tx };
	d->has_moved = true;
	if (tx != NULL)
		tx->pending++;
}

struct expect expect_pop(struct delivery *d)
{
	struct expect_ring *r = &d->expects;
	struct expect e;

	MX_ASSERT(r->count > 0);
	e = r->slots[r->head];
	r->head = (r->head + 1) & (r->cap - 1);
	r->count--;
	if (e.tx != NULL)
		e.tx->pending--;
	return e;
}

struct tx *expect_tx(const struct delivery *d)
{
	const struct expect_ring *r = &d->expects;

	return r->count > 0 ? r->slots[r->head].tx : d->sending;
}

static bool is_of_content(enum stage s)
{
	return s == ST_DOT || s == ST_BDAT;
}

/*
 * Content on its way outweighs the reply at the head: the server may be
 * busy reading, and each piece it takes is progress (section 4.5.3.2.5), also
 * of what the kernel has, which may be megabytes.
 */
void expect_arm(struct delivery *d)
{
	const struct expect_ring *r = &d->expects;

	if (d->conn == NULL || d->life == LIFE_OVER || !d->has_moved)
		return;
	d->has_moved = false;
	if (conn_output_pending(d->conn) > 0)
		conn_deadline_idle(d->conn, stage_timeout_ms(d, ST_CONTENT));
	else if (r->count > 0 && is_of_content(r->slots[r->head].stage))
		conn_deadline_idle(d->conn,
				   stage_timeout_ms(d, r->slots[r->head].stage));
	else if (r->count > 0)
		conn_deadline(d->conn,
			      stage_timeout_ms(d, r->slots[r->head].stage));
	else if (d->life == LIFE_OPENING)
		conn_deadline(d->conn, stage_timeout_ms(d, d->waiting));
	else
		conn_deadline(d->conn, 0);
}
