#include "daemon/route/report.h"

#include "common/base/clock.h"

enum {
	DNS_TTL_MOST_S = 86400, /* more than DNS may say: it does not end */
	LINES_AN_HOUR = 1000,
};

static bool is_news(const struct route *before, const struct route *now)
{
	return before == NULL || before->result != now->result ||
	       before->note_count != now->note_count ||
	       !span_eq(before->key, now->key) ||
	       !span_eq(before->reason, now->reason);
}

/* Error: mail waits until somebody mends DNS. */
static enum log_level level_of(const struct route *route)
{
	switch (route->result) {
	case ROUTE_SELF:
		return LOG_LEVEL_ERROR;
	case ROUTE_TRANSIENT:
		return LOG_LEVEL_WARN;
	case ROUTE_PERMANENT:
		return route->is_final ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR;
	case ROUTE_NULL_MX:
		return route->is_final ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR;
	case ROUTE_OK:
	default:
		return LOG_LEVEL_INFO;
	}
}

/* A failure that goes on is asked about every few seconds: name servers that
 * take turns with their excuses are quoted once a minute. */
static bool is_due(const struct route *before, const struct route *now,
		   int64_t said_ms)
{
	int64_t since_ms = clock_mono_ms() - said_ms;

	if (now->result == ROUTE_OK || before == NULL ||
	    before->result != now->result)
		return is_news(before, now);
	return since_ms >= HOURS(1) ||
	       (since_ms >= MINUTES(1) && is_news(before, now));
}

static bool may_say(struct report_budget *b)
{
	int64_t now_ms = clock_mono_ms();

	if (b->said == 0 || now_ms - b->hour_ms >= HOURS(1))
		*b = (struct report_budget){ .hour_ms = now_ms };
	if (++b->said == LINES_AN_HOUR + 1)
		log_error(EV_ROUTE,
			  LOG_STR("error", "more domains without a route: not "
					   "said one by one for an hour"));
	return b->said <= LINES_AN_HOUR;
}

static void say(const struct route *now)
{
	const char *via = route_source_name(now->source);
	int64_t ttl_s = (now->expires_ms - clock_mono_ms() + 999) / 1000;
	struct buf ttl = { 0 };

	if (now->result == ROUTE_OK && ttl_s <= DNS_TTL_MOST_S)
		buf_addf(&ttl, "%lld", (long long)ttl_s);
	log_at(level_of(now), EV_ROUTE, LOG_SPAN("domain", now->domain),
	       LOG_STR("result", route_result_name(now->result)),
	       LOG_STR("via", via), LOG_SPAN("route", now->key),
	       LOG_STR("dnssec", route_dnssec_name(now->mx_dnssec)),
	       LOG_SPAN("ttl_s", buf_span(&ttl)),
	       LOG_SPAN("reason", now->reason));
	buf_fini(&ttl);
	for (size_t i = 0; i < now->note_count; i++)
		log_info(EV_ROUTE, LOG_SPAN("domain", now->domain),
			 LOG_SPAN("host", now->notes[i].host),
			 LOG_SPAN("note", now->notes[i].text));
}

void report_route(struct report_budget *b, const struct route *before,
		  const struct route *now, int64_t *said_ms)
{
	if (!is_due(before, now, *said_ms))
		return;
	*said_ms = clock_mono_ms();
	if (now->result == ROUTE_OK || may_say(b))
		say(now);
}
