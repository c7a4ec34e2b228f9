/* The host as a whole: what stands above the domains. */
#include "common/base/clock.h"
#include "common/control/control.h"
#include "common/status/status.h"
#include "config/allow/feed.h"
#include "config/config.h"

enum { TABLES_SHOWN = 5 }; /* that fail */

/* A table that does not come for so long is an operator's matter; one that
 * comes and is not believed is one at once. */
static const int64_t AWAY_MS = HOURS(1);

static bool is_alarm(const struct feed_state *s)
{
	return s->failed_ms != 0 && (s->is_doubted || !s->has_table ||
				     clock_wall_ms() - s->failed_ms > AWAY_MS);
}

/* Of those that cannot be had or are not believed, a few. */
static json_t *failing_tables(const struct config *c)
{
	json_t *list = json_array();
	struct feed_state s;
	struct feed *feed;
	size_t at = 0;

	while (json_array_size(list) < TABLES_SHOWN &&
	       (feed = domains_feed(c->domains, &at)) != NULL) {
		feed_state(feed, SPAN_LIT(""), &s);
		if (is_alarm(&s))
			json_array_append_new(
				list,
				json_pack("{s:o, s:s, s:o, s:o, s:b}", "source",
					  control_text(
						  span_str(feed_shown(feed))),
					  "error", s.error, "since",
					  control_time(s.failed_ms), "fetched",
					  control_time(s.fetched_ms), "doubted",
					  (int)s.is_doubted));
	}
	return list;
}

json_t *status_overview(const struct config *c, const struct spool_totals *t)
{
	return json_pack("{s:b, s:o, s:s, s:b, s:o, s:o, s:o}", "ok", 1,
			 "hostname", control_text(c->hostname), "version",
			 MX_VERSION, "running", 1, "spool", status_spool(t),
			 "certificate_end",
			 control_time(config_certificate_end_ms(c)),
			 "tables_failing", failing_tables(c));
}
