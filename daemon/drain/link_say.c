/* What the log has of a connection. */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/link_priv.h"

void link_say_probe(const struct link *l, const char *result, const char *stage,
		    const char *reply)
{
	const struct tls_facts *tls = delivery_tls(l->delivery);

	log_info(EV_PROBE, LOG_STR("host", l->host), LOG_STR("result", result),
		 LOG_STR("stage", stage), LOG_STR("reply", reply),
		 LOG_STR("tls", tls != NULL ? tls->version : ""),
		 LOG_INT("ms", clock_mono_ms() - l->started_ms));
}

/* The same again is not said again, but each hour, and how often it was. */
void link_say_failure(const struct link *l, const char *stage,
		      const char *reply)
{
	int64_t now = clock_mono_ms();
	unsigned left_out = 0;
	bool is_news = l->target == MACHINE_NONE ||
		       target_is_news(&l->dest->targets[l->target], stage,
				      reply, now, &left_out);

	log_at(is_news ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, EV_PROBE,
	       LOG_STR("host", l->host), LOG_STR("result", "failed"),
	       LOG_STR("stage", stage), LOG_STR("reply", reply),
	       LOG_INT("repeated", left_out),
	       LOG_INT("ms", now - l->started_ms));
}

/* Every destination may be at it: one line a second. */
static void say_starved(const struct link *l, const struct smtp_reply *reply)
{
	struct drain *d = l->dest->drain;
	int64_t now = clock_mono_ms();

	if (now < d->starved_said_ms + SECONDS(1))
		return;
	d->starved_said_ms = now;
	log_error(EV_PROBE, LOG_STR("host", l->host),
		  LOG_STR("result", "not tried"),
		  LOG_SPAN("error", buf_span(&reply->text)));
}

void link_say_end(struct link *l, const struct delivery_end *end)
{
	struct dest *dst = l->dest;

	if (end->why == DELIVERY_STARVED) {
		say_starved(l, &end->reply);
	} else if (end->why != DELIVERY_CLOSED ||
		   !(l->is_ready || l->is_trial || l->kind == LINK_SINGLE)) {
		dest_note(dst, l->target, &end->reply);
		if (!l->is_leaving && l->is_ready)
			link_say_probe(l, "lost", end->stage, dst->last_reply);
		else if (!l->is_leaving)
			link_say_failure(l, end->stage, dst->last_reply);
	}
	if (end->why == DELIVERY_SELF)
		log_error(EV_ROUTE, LOG_STR("host", l->host),
			  LOG_STR("result", "it greets with our own name: "
					    "mail would loop and is kept"));
}
