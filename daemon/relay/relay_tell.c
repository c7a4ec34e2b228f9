/* What the listener of a relay is told: in a turn of its own, in order. */
#include "common/base/clock.h"
#include "daemon/relay/relay_priv.h"

void relay_tell(struct relay *r, unsigned what)
{
	r->tell |= what;
	ev_feed_event(r->opt.loop, &r->soon, EV_CUSTOM);
}

void relay_arm(struct relay *r, int64_t ms)
{
	ev_timer_stop(r->opt.loop, &r->patience);
	if (ms == 0)
		return;
	ev_timer_set(&r->patience, (double)ms / 1000., 0.);
	ev_timer_start(r->opt.loop, &r->patience);
}

void relay_answer_rcpt(struct relay *r)
{
	MX_ASSERT(r->is_asking);
	r->is_asking = r->is_given = false;
	r->tell &= ~(unsigned)GO_ON;
	relay_arm(r, 0);
	relay_tell(r, TELL_RCPT);
}

/* Nobody takes content any more. */
static void drop_pending(struct relay *r)
{
	buf_fini(&r->pending);
	r->sent = 0;
	if (r->is_waited)
		relay_tell(r, TELL_ROOM);
	r->is_waited = false;
}

void relay_over(struct relay *r)
{
	bool is_awaited = r->at == AT_END;

	r->at = AT_OVER;
	r->ended_ms = clock_mono_ms();
	r->tell &= ~(unsigned)PUSH;
	drop_pending(r);
	if (!is_awaited)
		return;
	relay_arm(r, 0);
	relay_tell(r, TELL_END);
}
