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
	enum step (*got)(struct delivery *d, struct expect *e);
};

/* clang-format off */
static const struct stage_row stages[ST_COUNT] = {
	/* name in log and status, deadline, what to do with the reply */
	[ST_CONNECT]  = { "connect",  SECONDS(30), NULL },
	[ST_GREETING] = { "greeting", MINUTES(5),  got_greeting },
	[ST_EHLO]     = { "ehlo",     MINUTES(5),  got_ehlo },
	[ST_HELO]     = { "helo",     MINUTES(5),  got_helo },
	[ST_STARTTLS] = { "starttls", MINUTES(5),  got_starttls },
	[ST_TLS]      = { "tls",      MINUTES(2),  NULL },
	[ST_RSET]     = { "rset",     MINUTES(5),  got_rset },
	[ST_MAIL]     = { "mail",     MINUTES(5),  got_mail },
	[ST_RCPT]     = { "rcpt",     MINUTES(5),  got_rcpt },
	[ST_DATA]     = { "data",     MINUTES(2),  got_data },
	[ST_CONTENT]  = { "content",  MINUTES(3),  NULL },
	[ST_DOT]      = { "dot",      MINUTES(10), got_content },
	[ST_BDAT]     = { "bdat",     MINUTES(10), got_content },
	[ST_SYNC]     = { "sync",     MINUTES(5),  got_sync },
	[ST_QUIT]     = { "quit",     SECONDS(5),  got_quit },
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

int64_t stage_timeout_ms(const struct delivery *d, enum stage s)
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

static struct expect expect_pop(struct expect_ring *r)
{
	struct expect e = r->slots[r->head];

	r->head = (r->head + 1) & (r->cap - 1);
	r->count--;
	return e;
}

struct tx *expect_tx(const struct delivery *d)
{
	const struct expect_ring *r = &d->expects;

	return r->count > 0 ? r->slots[r->head].tx : d->sending;
}

/*
 * Content on its way outweighs the reply at the head: the server may be
 * busy reading, and each piece it takes is progress (section 4.5.3.2.5).
 */
void expect_arm(struct delivery *d)
{
	const struct expect_ring *r = &d->expects;

	if (d->conn == NULL || d->life == LIFE_OVER || !d->has_moved)
		return;
	d->has_moved = false;
	if (conn_output_pending(d->conn) > 0)
		conn_deadline(d->conn, stage_timeout_ms(d, ST_CONTENT));
	else if (r->count > 0)
		conn_deadline(d->conn,
			      stage_timeout_ms(d, r->slots[r->head].stage));
	else if (d->life == LIFE_OPENING)
		conn_deadline(d->conn, stage_timeout_ms(d, d->waiting));
	else
		conn_deadline(d->conn, 0);
}

static enum step dispatch(struct delivery *d)
{
	struct expect e;
	enum step step;

	d->has_moved = true;
	if (d->expects.count == 0) {
		d->blamed = expect_tx(d);
		return got_unasked(d);
	}
	d->replied_ms = clock_mono_ms();
	e = expect_pop(&d->expects);
	if (e.tx != NULL)
		e.tx->pending--;
	step = stages[e.stage].got(d, &e);
	if (step == STEP_ON && e.tx != NULL && e.tx->pending == 0 &&
	    e.tx->at == TX_SENT)
		trust_answered(d, e.tx);
	return d->is_freed ? STEP_END : step;
}

/*
 * Words before a reply, sent along with it: they belong to it.  Were they an
 * answer of their own, it would show by what comes next.
 */
static bool is_preface(struct delivery *d)
{
	enum { PREFACE_MAX = 1024 };
	struct span text = buf_span(&d->reply.text);

	if (!d->reply.is_bare || conn_input(d->conn).n == 0 ||
	    d->preface.n > PREFACE_MAX)
		return false;
	buf_addc(&d->preface, '\n');
	buf_add(&d->preface, text);
	return true;
}

static void add_preface(struct delivery *d)
{
	if (d->life != LIFE_OPENING && d->preface.n > 0)
		buf_add(&d->reply.text, buf_span(&d->preface));
	buf_fini(&d->preface);
}

enum step expect_read(struct delivery *d)
{
	enum step step = STEP_ON;

	while (step == STEP_ON) {
		struct span in = conn_input(d->conn);
		size_t had = in.n;
		enum smtp_reply_state st;

		if (had == 0)
			break;
		st = smtp_reply_feed(&d->parser, &in, &d->reply);
		conn_consume(d->conn, had - in.n);
		if (st == SMTP_REPLY_MORE)
			break;
		if (st == SMTP_REPLY_BAD) {
			enum stage at =
				d->expects.count > 0
					? d->expects.slots[d->expects.head]
						  .stage
					: ST_MAIL;

			d->blamed = expect_tx(d);
			return delivery_end_made(d, DELIVERY_LOST, at, 451,
						 "4.5.0",
						 SPAN_LIT("Reply is not SMTP"));
		}
		if (is_preface(d))
			continue;
		add_preface(d);
		step = dispatch(d);
		smtp_reply_reset(&d->reply);
	}
	return step;
}
