/* The content of a relayed message: what is fed, on its way to the primary. */
#include "daemon/relay/relay_priv.h"
#include "daemon/relay/said.h"

enum {
	ROOM_FROM = RELAY_PENDING_MAX / 2, /* the client goes on */
	SIZE_LEAST = 64 * 1024, /* a limit below that is a slip: RFC 5321
				   section 4.5.3.1.7 */
};

/* From offset on there is what has not been read yet. */
enum mx_err relay_read(void *arg, const struct delivery_job *job,
		       uint64_t offset, size_t most, struct buf *out)
{
	struct relay *r = relay_of(arg);
	size_t left = r->pending.n - r->sent;
	size_t n = left < most ? left : most;

	(void)job;
	MX_ASSERT(offset + left == r->fed);
	buf_add(out, span_of(r->pending.p + r->sent, n));
	r->sent += n;
	if (r->sent == r->pending.n) {
		buf_reset(&r->pending);
		r->sent = 0;
	}
	if (r->is_waited && left - n <= ROOM_FROM) {
		r->is_waited = false;
		relay_tell(r, TELL_ROOM);
	}
	return MX_OK;
}

void relay_push(struct relay *r, bool is_all)
{
	r->tell &= ~(unsigned)PUSH;
	r->opt.door->more_content(r->lane, r->fed, is_all);
}

void relay_feed(struct relay *r, struct span s)
{
	if (r->at != AT_CONTENT || s.n == 0)
		return;
	r->fed += s.n;
	if (r->size_most >= SIZE_LEAST && r->fed > r->size_most) {
		r->opt.door->close(&r->lane);
		said_too_big(&r->end, r->is_only);
		relay_over(r);
		return;
	}
	if (r->sent > 0) { /* the rest of before goes to the front */
		r->pending.n -= r->sent;
		memmove(r->pending.p, r->pending.p + r->sent, r->pending.n);
		r->sent = 0;
	}
	buf_add(&r->pending, s);
	relay_tell(r, PUSH);
}

bool relay_is_full(struct relay *r)
{
	if (r->at != AT_CONTENT || r->pending.n - r->sent < RELAY_PENDING_MAX)
		return false;
	r->is_waited = true;
	return true;
}

void relay_data(struct relay *r)
{
	MX_ASSERT(!r->is_asking && r->first_taken != SIZE_MAX);
	if (r->at != AT_ENVELOPE)
		return;
	r->at = AT_CONTENT;
	r->opt.door->more_content(r->lane, 0, false);
}

void relay_end(struct relay *r)
{
	MX_ASSERT(!r->is_asking && r->at != AT_END);
	if (r->at != AT_CONTENT) {
		MX_ASSERT(r->at == AT_OVER);
		relay_tell(r, TELL_END);
		return;
	}
	r->at = AT_END;
	relay_arm(r, RELAY_END_MS);
	relay_push(r, true);
}
