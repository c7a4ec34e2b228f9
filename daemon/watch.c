#include "daemon/watch.h"

#include "common/base/clock.h"
#include "common/base/human.h"
#include "common/base/log.h"
#include "daemon/notify.h"

/* A look costs some loads.  What stays wrong is said again each hour. */
enum { LOOK_S = 1, SAY_AGAIN_MS = HOURS(1) };

static struct {
	struct ev_loop *loop;
	struct spool *spool;
	ev_timer timer;
	enum spool_pressure said;
	int64_t said_ms; /* monotonic */
} watch;

static const char *remedy_of(const struct spool_space *s)
{
	switch (s->pressure) {
	case SPOOL_ROOMY:
		break;
	case SPOOL_FAILED:
		return "mend the disk, then restart mx20d";
	case SPOOL_TIGHT:
	case SPOOL_FULL:
		return s->is_disk ? "free disk space, or lower spool.reserve"
				  : "raise spool.size; what waits: "
				    "mx20ctl status";
	}
	return "";
}

static const char *effect_of(enum spool_pressure p)
{
	static const char *const texts[] = {
		[SPOOL_ROOMY] = "mail is taken",
		[SPOOL_TIGHT] = "more than 80 % is used: a domain may hold no "
				"more than is left",
		[SPOOL_FULL] = "new mail is refused with 452",
		[SPOOL_FAILED] = "new mail is refused with 451, and none "
				 "is delivered",
	};

	return texts[p];
}

static enum log_level level_of(enum spool_pressure p)
{
	static const enum log_level levels[] = {
		[SPOOL_ROOMY] = LOG_LEVEL_INFO,
		[SPOOL_TIGHT] = LOG_LEVEL_WARN,
		[SPOOL_FULL] = LOG_LEVEL_ERROR,
		[SPOOL_FAILED] = LOG_LEVEL_ERROR,
	};

	return levels[p];
}

static void say(const struct spool_space *s)
{
	log_at(level_of(s->pressure), EV_SPOOL,
	       LOG_STR("state", spool_pressure_name(s->pressure)),
	       LOG_STR("limit", s->is_disk ? "disk" : "quota"),
	       LOG_INT("used", s->used_bytes), LOG_INT("size", s->size_bytes),
	       LOG_INT("disk_free", s->disk_bytes),
	       LOG_INT("reserve", s->reserve_bytes),
	       LOG_STR("effect", effect_of(s->pressure)),
	       LOG_STR("remedy", remedy_of(s)));
}

/* "; SPOOL full: new mail is refused with 452, 63G of 64G used, ..." */
static void tell(const struct spool_space *s)
{
	struct buf out = { 0 };

	if (s->pressure != SPOOL_ROOMY) {
		buf_addf(&out, "; SPOOL %s: %s, ",
			 spool_pressure_name(s->pressure),
			 effect_of(s->pressure));
		human_size(&out, s->used_bytes);
		buf_adds(&out, " of ");
		human_size(&out, s->size_bytes);
		buf_adds(&out, " used, ");
		human_size(&out, s->disk_bytes);
		buf_adds(&out, " free on the disk");
	}
	notify_trouble(buf_span(&out));
	buf_fini(&out);
}

static void on_look(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct spool_space s;
	int64_t now = clock_mono_ms();

	(void)loop;
	(void)w;
	(void)revents;
	spool_space_get(watch.spool, &s);
	if (s.pressure == watch.said &&
	    (s.pressure == SPOOL_ROOMY || now - watch.said_ms < SAY_AGAIN_MS))
		return;
	say(&s);
	watch.said = s.pressure;
	watch.said_ms = now;
	tell(&s);
}

void watch_start(struct ev_loop *loop, struct spool *sp)
{
	watch.loop = loop;
	watch.spool = sp;
	watch.said = SPOOL_ROOMY;
	ev_timer_init(&watch.timer, on_look, 0., LOOK_S);
	ev_timer_start(loop, &watch.timer);
}

void watch_stop(void)
{
	if (watch.loop != NULL)
		ev_timer_stop(watch.loop, &watch.timer);
	watch.loop = NULL;
}
