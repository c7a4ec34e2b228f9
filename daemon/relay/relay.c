/* A relay's life, and its turns. */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "daemon/relay/relay_priv.h"
#include "daemon/relay/said.h"

static void on_soon(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct relay *r = w->data;
	const struct relay_listener *who = r->opt.listener;
	unsigned what = r->tell & -r->tell; /* the first */

	(void)loop;
	(void)revents;
	MX_ASSERT(r->magic == RELAY_MAGIC);
	r->tell &= ~what;
	if (r->tell != 0)
		relay_tell(r, 0);
	if (what == 0)
		return; /* it was taken back */
	if (what == PUSH)
		relay_push(r, false);
	else if (what == GO_ON)
		relay_go_on(r);
	else if (what == TELL_RCPT)
		who->on_rcpt(&r->rcpt, r->opt.arg); /* r may be gone */
	else if (what == TELL_ROOM)
		who->on_room(r->opt.arg);
	else
		who->on_end(&r->end, r->opt.arg);
}

void relay_is_overdue(struct relay *r)
{
	const struct span why = SPAN_LIT("(relay) No reply in time");

	if (r->lane != NULL)
		r->opt.door->give_up(&r->lane);
	if (r->beside != NULL)
		r->opt.door->close(&r->beside);
	if (r->is_asking)
		said_made(&r->rcpt, RELAY_RCPT, PRIMARY_SILENT, why);
	if (r->at != AT_OVER) {
		said_made(&r->end, r->at == AT_END ? RELAY_DOT : RELAY_DATA,
			  PRIMARY_SILENT, why);
		relay_over(r);
	}
	if (r->is_asking)
		relay_answer_rcpt(r);
}

static void on_patience(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	relay_is_overdue(relay_of(w->data));
}

struct relay *relay_new(const struct relay_options *opt)
{
	struct relay *r = mx_alloc(sizeof(*r));

	r->magic = RELAY_MAGIC;
	r->opt = *opt;
	r->first_taken = SIZE_MAX;
	ev_init(&r->soon, on_soon);
	ev_timer_init(&r->patience, on_patience, 0., 0.);
	r->soon.data = r->patience.data = r;
	return r;
}

void relay_free(struct relay **rp)
{
	struct relay *r = *rp;

	if (r == NULL)
		return;
	*rp = NULL;
	MX_ASSERT(r->magic == RELAY_MAGIC);
	if (r->beside != NULL)
		r->opt.door->close(&r->beside);
	if (r->lane != NULL)
		r->opt.door->close(&r->lane);
	ev_clear_pending(r->opt.loop, &r->soon);
	ev_timer_stop(r->opt.loop, &r->patience);
	buf_fini(&r->pending);
	arena_reset(&r->arena);
	r->magic = 0;
	free(r);
}

void relay_facts(const struct relay *r, struct relay_facts *out)
{
	int64_t until = r->ended_ms > 0 ? r->ended_ms : clock_mono_ms();

	*out = (struct relay_facts){
		.host = r->host,
		.conn_ms = r->conn_ms,
		.ms = r->began_ms > 0 ? until - r->began_ms : 0,
	};
}
