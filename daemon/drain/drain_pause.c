/* When the drain pauses, and goes on. */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/drain/drain_priv.h"

enum { SIGHT_S = 1 };

static void touch(struct dest *dst, struct span name)
{
	(void)name;
	turns_touch(dst);
}

bool drain_is_full(struct drain *d)
{
	if (d->unsettled >= UNSETTLED_MAX)
		d->is_full = true;
	return d->unsettled >= UNSETTLED_MAX;
}

void drain_go_on(struct drain *d)
{
	static const struct visit_ops everyone = { NULL, touch };

	d->is_full = false;
	turns_visit(d, &everyone, SPAN_LIT(""));
	drain_reap(d);
}

void drain_is_unreadable(struct drain *d, struct span domain, enum mx_err err)
{
	int64_t now = clock_mono_ms();

	if (d->blind_said_ms == 0 || now - d->blind_said_ms >= MINUTES(1)) {
		d->blind_said_ms = now;
		log_error(EV_SPOOL, LOG_SPAN("domain", domain),
			  LOG_STR("error", "cannot be read, tried again: "
					   "mail waits for that"),
			  LOG_STR("cause", mx_strerror(err)));
	}
	if (err == MX_ECORRUPT || d->is_blind)
		return; /* what is damaged stays so */
	d->is_blind = true;
	ev_timer_set(&d->sight, SIGHT_S, 0.);
	ev_timer_start(d->loop, &d->sight);
}

void drain_reap(struct drain *d)
{
	turns_visit(d, d->reap, SPAN_LIT(""));
}
