/*
 * How many domains of strangers are known at a time.
 *
 * Listed domains are as many as the operator wants.  Those of senders, where
 * reports go, are as many as somebody with a wildcard in DNS likes; and a
 * domain with its destination, hosts and addresses takes ten times more memory
 * than its report takes of the disk.  So few of them have a place, and the
 * others wait in the spool alone:
 *
 *   announced --room--> known --delivered, denied--> gone
 *          \--none       |   \--it failed, and others wait--+
 *           v            v                                  |
 *         left out <----------------------------------------+
 *             \--a round through the spool finds it--> known
 *
 * A round begins five minutes after the last at the earliest: so often is one
 * tried that failed.  Without a crowd nothing of this happens, and a stranger's
 * host is probed like any other.
 */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/unlisted.h"

enum {
	KNOWN_MOST = 1000,
	TICK_MS = 100,
	LOOKED_AT_A_TICK = 500,
};
#define ROUND_MS MINUTES(5)

static void leave_out(struct drain *d)
{
	struct strangers *s = &d->strangers;
	int64_t now = clock_mono_ms();

	s->has_left_out = true;
	if (!ev_is_active(&s->timer))
		ev_timer_again(d->loop, &s->timer);
	if (s->said_ms != 0 && now - s->said_ms < HOURS(1))
		return;
	s->said_ms = now;
	log_warn(EV_DEFERRED, LOG_STR("reason", "reports to many domains"),
		 LOG_INT("domains", KNOWN_MOST),
		 LOG_STR("what", "the others wait until these are through or "
				 "have failed"));
}

bool drain_admits(struct drain *d, struct span name)
{
	if (d->strangers.count < KNOWN_MOST || domain_find(d, name) != NULL ||
	    !unlisted_has_reports_only(d, name))
		return true;
	leave_out(d);
	return false;
}

/* ---- Places are given up ---- */

/* Nothing goes on, and the last that was tried went wrong. */
static bool has_failed(const struct domain *dom)
{
	const struct dest *dst = dom->dest;

	if (dom->standing == HAS_NO_ROUTE)
		return dom->route != NULL;
	return dst != NULL && dst->machine.state == DRAIN_DOWN &&
	       LIST_EMPTY(&dst->links);
}

static bool is_free(const struct domain *dom)
{
	return dom->in_flight == 0 && dom->callouts == 0 && !dom->is_asking && !dom->wants_ask &&
	       (!dom->has_mail || has_failed(dom)) && !cap_counts(&dom->cap);
}

static void give_up(struct domain *dom)
{
	struct dest *dst = dom->dest;

	if (dom->has_mail)
		leave_out(dom->drain);
	domain_free(dom);
	if (dst != NULL)
		dest_free_unused(dst);
}

static void make_room(struct strangers *s)
{
	struct domain *dom, *next;

	for (dom = TAILQ_FIRST(&s->known); dom != NULL; dom = next) {
		next = TAILQ_NEXT(dom, stranger);
		if (is_free(dom))
			give_up(dom);
	}
}

/* ---- and taken ---- */

struct look {
	struct drain *d;
	unsigned left;
	bool is_over; /* behind the last one */
};

static bool on_row(const struct spool_domain *row, void *arg)
{
	struct look *l = arg;
	struct drain *d = l->d;
	struct span name = span_str(row->name);

	if (l->left-- == 0 || d->strangers.count >= KNOWN_MOST) {
		l->is_over = false;
		return false;
	}
	buf_reset(&d->strangers.after);
	buf_add(&d->strangers.after, name);
	if (row->ready > 0 && domain_find(d, name) == NULL)
		domain_announce(domain_need(d, name));
	return true;
}

static void go_round(struct drain *d)
{
	struct strangers *s = &d->strangers;
	struct look l = { d, LOOKED_AT_A_TICK, true };
	struct span name = SPAN_LIT("");
	enum mx_err err;

	err = spool_domains(d->spool, buf_span(&s->after), on_row, &l);
	if (err != MX_OK) {
		drain_is_unreadable(d, name, err);
		return;
	}
	if (!l.is_over)
		return;
	buf_reset(&s->after);
	s->is_under_way = false;
	if (s->has_left_out)
		return;
	ev_timer_stop(d->loop, &s->timer);
	s->began_ms = 0;
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct drain *d = w->data;
	struct strangers *s = &d->strangers;
	int64_t now = clock_mono_ms();

	(void)loop;
	(void)revents;
	if (!drain_is_at_work(d))
		return;
	make_room(s);
	if (!s->is_under_way &&
	    (s->began_ms == 0 || now - s->began_ms >= ROUND_MS)) {
		s->is_under_way = true;
		s->has_left_out = false;
		s->began_ms = now;
	}
	if (s->is_under_way)
		go_round(d);
}

void drain_strangers_start(struct drain *d)
{
	struct strangers *s = &d->strangers;

	TAILQ_INIT(&s->known);
	ev_timer_init(&s->timer, on_timer, 0., TICK_MS / 1000.);
	s->timer.data = d;
}

void drain_strangers_stop(struct drain *d)
{
	ev_timer_stop(d->loop, &d->strangers.timer);
	buf_fini(&d->strangers.after);
}
