#include "daemon/mirror/days.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "common/base/clock.h"

enum { ID_SHIFT = 20 };

const char *const day_tables[DAY_TABLES] = { "message", "unit", "content" };

int64_t day_of(int64_t wall_ms)
{
	return wall_ms / DAYS(1);
}

void day_name(char out[static DAY_NAME], int64_t day)
{
	time_t t = (time_t)(day * DAYS(1) / 1000);
	struct tm tm;

	gmtime_r(&t, &tm);
	(void)strftime(out, DAY_NAME, "%Y%m%d", &tm);
}

static void send_one(struct db *db, const char *table, int64_t day)
{
	char text[512], name[DAY_NAME];

	day_name(name, day);
	snprintf(text, sizeof(text),
		 "CREATE TABLE IF NOT EXISTS %s_%s PARTITION OF %s"
		 " FOR VALUES FROM (%" PRId64 ") TO (%" PRId64 ") WITH ("
		 "autovacuum_vacuum_scale_factor = 0.05,"
		 " autovacuum_analyze_scale_factor = 0.2)",
		 table, name, table, (day * DAYS(1)) << ID_SHIFT,
		 ((day + 1) * DAYS(1)) << ID_SHIFT);
	db_send_text(db, text);
}

void day_send(struct db *db, int64_t day)
{
	for (size_t i = 0; i < DAY_TABLES; i++)
		send_one(db, day_tables[i], day);
}
