#include "common/spool/announce.h"

#include "common/base/clock.h"
#include "common/spool/lease.h"
#include "common/spool/mirror.h"

/*
 * When the lease is back, or patience over, those who did not hear of their
 * mail hear of all domains, some in each turn of the loop.
 */
enum { DOMAINS_PER_TURN = 256 };
static const double look_s = 1., turn_s = 0.001;
static const int64_t first_patience_ms = MINUTES(15);

static bool announce_one(const struct spool_domain *d, void *arg)
{
	struct spool *sp = arg;
	struct mirror_state *m = &sp->mirror;
	const struct span name = span_str(d->name);

	buf_reset(&m->announced);
	buf_add(&m->announced, name);
	if (d->ready > 0 && sp->queue.ready_cb != NULL)
		sp->queue.ready_cb(name, sp->queue.ready_arg);
	return ++m->turn < DOMAINS_PER_TURN;
}

/* Some of the domains; those that come later are announced by what comes. */
static void announce_some(struct spool *sp)
{
	struct mirror_state *m = &sp->mirror;
	struct buf after = { 0 };

	m->turn = 0;
	buf_add(&after, buf_span(&m->announced));
	if (spool_domains(sp, buf_span(&after), announce_one, sp) == MX_OK &&
	    m->turn < DOMAINS_PER_TURN)
		m->is_announcing = false;
	buf_fini(&after);
}

static void look(struct spool *sp)
{
	struct mirror_state *m = &sp->mirror;

	if (m->has_withheld && !lease_is_over(sp)) {
		m->has_withheld = false;
		m->is_announcing = true;
		buf_reset(&m->announced);
	}
	if (m->is_announcing)
		announce_some(sp);
	ev_timer_set(&m->timer, m->is_announcing ? turn_s : look_s, 0.);
	ev_timer_start(sp->queue.loop, &m->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	look(w->data);
}

void announce_start(struct spool *sp)
{
	struct mirror_state *m = &sp->mirror;

	m->is_on = true;
	m->began_ms = lease_now_ms(sp);
	lease_set(sp, m->began_ms, first_patience_ms);
	ev_timer_init(&m->timer, on_timer, look_s, 0.);
	m->timer.data = sp;
	ev_timer_start(sp->queue.loop, &m->timer);
}

void announce_stop(struct spool *sp)
{
	if (!sp->mirror.is_on)
		return;
	ev_timer_stop(sp->queue.loop, &sp->mirror.timer);
	buf_fini(&sp->mirror.announced);
}

void spool_mirror_lease(struct spool *sp, int64_t until_ms,
			int64_t patience_ms)
{
	const struct mirror_state *m = &sp->mirror;

	MX_ASSERT(m->is_on);
	lease_set(sp, until_ms > m->began_ms ? until_ms : m->began_ms,
		  patience_ms);
}

void spool_mirror_set_clock(struct spool *sp, int64_t (*boot_ms)(void))
{
	sp->mirror.clock = boot_ms;
	sp->mirror.began_ms = boot_ms();
	lease_set(sp, sp->mirror.began_ms, first_patience_ms);
}
