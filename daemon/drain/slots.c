/*
 * How many connections go out, of all destinations together.
 *
 * Each takes a descriptor, and some memory; clients have a share of their own
 * (daemon/main_prepare.c), so those that deliver cannot run short of them
 * whatever clients do.  Destinations that serve no domain of ours, where only
 * reports go, are chosen by strangers: hosts that accept and stay silent would
 * take every connection there is.  They have a few between them, two each, with
 * little patience, and wait for each other in turn.
 *
 *   wants one --room--> connects
 *        \--none--> waiting --one has ended, and it is the first--> run
 */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/drain/drain_priv.h"

enum {
	LINKS_MOST = 1024,   /* unless the system gives less */
	STRANGERS_MOST = 32, /* of these */
	STRANGERS_SHARE = 8, /* a part of so few at least */
	STRANGERS_EACH = 2,
	CONNECT_MS = 10000,
	GREETING_MS = 20000,
	REPLY_MS = 60000,
};

/* Named by DNS, and no domain of ours is served there. */
bool slots_is_strangers(const struct dest *dst)
{
	return dst->listed == 0 && (dst->route->source == ROUTE_FROM_MX ||
				    dst->route->source == ROUTE_FROM_ADDRESS);
}

static struct slots *slots_of(const struct dest *dst)
{
	return &dst->drain->slots[slots_is_strangers(dst)];
}

bool slots_have_room(const struct dest *dst)
{
	const struct slots *s = slots_of(dst);

	return s->links < s->most;
}

void slots_forget(struct dest *dst)
{
	if (dst->waits_in == NULL)
		return;
	TAILQ_REMOVE(&dst->waits_in->waiting, dst, slot);
	dst->waits_in = NULL;
}

/* Said when it begins: then again an hour later. */
static void say(struct slots *s, bool is_strangers)
{
	int64_t now = clock_mono_ms();

	if (s->said_ms != 0 && now - s->said_ms < HOURS(1))
		return;
	s->said_ms = now;
	log_warn(EV_PROBE, LOG_STR("result", "not tried"),
		 LOG_INT("connections", s->most),
		 LOG_STR("reason", is_strangers ? "all that reports may use "
						  "are in use"
						: "all are in use"));
}

void slots_wait(struct dest *dst)
{
	struct slots *s = slots_of(dst);

	if (dst->waits_in == s)
		return;
	slots_forget(dst);
	dst->waits_in = s;
	TAILQ_INSERT_TAIL(&s->waiting, dst, slot);
	say(s, slots_is_strangers(dst));
}

void slots_take(struct link *l)
{
	l->slots = slots_of(l->dest);
	MX_ASSERT(l->slots->links < l->slots->most);
	l->slots->links++;
}

/* In the next turn of the loop: the link is being taken apart. */
void slots_give_back(struct link *l)
{
	struct drain *d = l->dest->drain;

	MX_ASSERT(l->slots->links > 0);
	l->slots->links--;
	if (TAILQ_EMPTY(&l->slots->waiting) || ev_is_active(&d->slots_timer))
		return;
	ev_timer_set(&d->slots_timer, 0., 0.);
	ev_timer_start(d->loop, &d->slots_timer);
}

/* One that still has no room waits behind the others again. */
static void serve(struct slots *s)
{
	struct dest *dst, *last = TAILQ_LAST(&s->waiting, dest_queue);
	bool is_last;

	while (s->links < s->most && (dst = TAILQ_FIRST(&s->waiting)) != NULL) {
		is_last = dst == last;
		slots_forget(dst);
		dst->drain->turns.run(dst);
		if (is_last)
			return;
	}
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct drain *d = w->data;

	(void)loop;
	(void)revents;
	for (size_t i = 0; i < COUNT(d->slots); i++)
		serve(&d->slots[i]);
}

/* ---- How a stranger's host is spoken to ---- */

static int64_t at_most(int64_t ms, int64_t most_ms)
{
	return ms > 0 && ms < most_ms ? ms : most_ms;
}

void slots_limit(const struct dest *dst, struct delivery_options *opt)
{
	if (!slots_is_strangers(dst))
		return;
	opt->connect_timeout_ms = at_most(opt->connect_timeout_ms, CONNECT_MS);
	opt->greeting_timeout_ms =
		at_most(opt->greeting_timeout_ms, GREETING_MS);
	opt->reply_timeout_ms = at_most(opt->reply_timeout_ms, REPLY_MS);
}

unsigned slots_each(const struct dest *dst)
{
	unsigned most = dst->drain->config->drain.connections;

	return slots_is_strangers(dst) && most > STRANGERS_EACH ? STRANGERS_EACH
								: most;
}

void slots_start(struct drain *d, unsigned most)
{
	if (most == 0 || most > LINKS_MOST)
		most = LINKS_MOST;
	for (size_t i = 0; i < COUNT(d->slots); i++)
		TAILQ_INIT(&d->slots[i].waiting);
	d->slots[1].most = most / STRANGERS_SHARE < STRANGERS_MOST
				   ? most / STRANGERS_SHARE + 1
				   : STRANGERS_MOST;
	d->slots[0].most = most - most / STRANGERS_SHARE;
	ev_timer_init(&d->slots_timer, on_timer, 0., 0.);
	d->slots_timer.data = d;
}

void slots_stop(struct drain *d)
{
	for (size_t i = 0; i < COUNT(d->slots); i++)
		MX_ASSERT(d->slots[i].links == 0);
	ev_timer_stop(d->loop, &d->slots_timer);
}
