/* Replies as they come in: whole ones, each to whom it answers. */
#include "common/base/clock.h"
#include "daemon/delivery/delivery_priv.h"

static enum step (*const gots[ST_COUNT])(struct delivery *d,
					 struct expect *e) = {
	[ST_GREETING] = got_greeting, [ST_EHLO] = got_ehlo,
	[ST_HELO] = got_helo,	      [ST_STARTTLS] = got_starttls,
	[ST_RSET] = got_rset,	      [ST_MAIL] = got_mail,
	[ST_RCPT] = got_rcpt,	      [ST_DATA] = got_data,
	[ST_DOT] = got_content,	      [ST_BDAT] = got_content,
	[ST_SYNC] = got_sync,	      [ST_QUIT] = got_quit,
};

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
	e = expect_pop(d);
	step = gots[e.stage](d, &e);
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

enum step replies_read(struct delivery *d)
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
			return end_made(d, DELIVERY_LOST, at, 451, "4.5.0",
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
