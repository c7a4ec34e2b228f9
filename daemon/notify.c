#include "daemon/notify.h"

#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "common/base/clock.h"
#include "config/allow/compare.h"

static ev_timer watchdog;
static char status[400];  /* what we are; empty until we are ready */
static char trouble[200]; /* what is the matter with it */

void notify_ready(const struct config *c)
{
	struct buf counts = { 0 };

	change_count(&counts, c->domain_count, "domain");
	buf_adds(&counts, ", ");
	change_count(&counts, c->recipient_count, "recipient");
	snprintf(status, sizeof(status), "Backup MX %.*s for %s listed",
		 SPAN_ARG(c->hostname), buf_cstr(&counts));
	buf_fini(&counts);
	sd_notifyf(0, "READY=1\nSTATUS=%s%s", status, trouble);
}

void notify_trouble(struct span words)
{
	snprintf(trouble, sizeof(trouble), "%.*s", SPAN_ARG(words));
	if (status[0] != '\0')
		sd_notifyf(0, "STATUS=%s%s", status, trouble);
}

void notify_reloading(void)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=Reloading",
		   (long long)clock_mono_us());
}

void notify_stopping(void)
{
	sd_notify(0, "STOPPING=1\nSTATUS=Finishing commits");
}

static void on_watchdog(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	sd_notify(0, "WATCHDOG=1");
}

void notify_watchdog_start(struct ev_loop *loop)
{
	uint64_t usec = 0;

	if (sd_watchdog_enabled(0, &usec) <= 0)
		return;
	/* twice in each period, as sd_watchdog_enabled(3) advises */
	double period = (double)usec / 2e6;

	ev_timer_init(&watchdog, on_watchdog, period, period);
	ev_timer_start(loop, &watchdog);
}

void notify_watchdog_stop(struct ev_loop *loop)
{
	ev_timer_stop(loop, &watchdog);
}
