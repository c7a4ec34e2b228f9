#include "daemon/route/report.h"

#include "common/base/clock.h"

/* More than DNS may say: it does not end. */
enum { DNS_TTL_MOST_S = 86400 };

static bool is_news(const struct route *before, const struct route *now)
{
	return before == NULL || before->result != now->result ||
	       before->note_count != now->note_count ||
	       !span_eq(before->key, now->key) ||
	       !span_eq(before->reason, now->reason);
}

static enum log_level level_of(const struct route *route)
{
	switch (route->result) {
	case ROUTE_SELF: /* mail is held until somebody mends DNS */
		return LOG_LEVEL_ERROR;
	case ROUTE_TRANSIENT:
	case ROUTE_PERMANENT:
		return LOG_LEVEL_WARN;
	case ROUTE_OK:
	case ROUTE_NULL_MX:
	default:
		return LOG_LEVEL_INFO;
	}
}

/* Said when it changes, not each time it is looked up. */
void report_route(const struct route *before, const struct route *now)
{
	const char *via = route_source_name(now->source);
	int64_t ttl_s = (now->expires_ms - clock_mono_ms() + 999) / 1000;
	struct buf ttl = { 0 };

	if (!is_news(before, now))
		return;
	if (ttl_s <= DNS_TTL_MOST_S) /* else it does not end */
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
