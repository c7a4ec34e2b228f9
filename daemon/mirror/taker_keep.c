#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/mirror/days.h"
#include "daemon/mirror/taker_priv.h"

/*
 * Partitions of days to come are made ahead (days.h); one whose day is over is
 * dropped when it is empty, by which all that vacuum would have to do for it is
 * done.  What no partition is for is in the default one.
 */

enum { BACK_DAYS = 40, KEEP_DAYS = 2 };

/* Nothing of it is worth a failure: what cannot be done now is done in an hour,
 * and a partition that another node has made is there. */
static enum mx_err run(struct taker *t)
{
	enum mx_err err = db_commit(t->db, taker_timeout(t));

	if (err != MX_EBUSY)
		return err;
	log_debug(EV_MIRROR, LOG_STR("node", t->m->node),
		  LOG_STR("partition", db_error(t->db)));
	return MX_OK;
}

/* ---- Days to come ---- */

/* Who waits for a lock keeps those behind him waiting. */
static void begin(struct taker *t)
{
	db_begin(t->db);
	db_send_text(t->db, "SET LOCAL lock_timeout = '500ms'");
}

static bool is_there(struct taker *t, size_t first, size_t n, int64_t day)
{
	char name[DAY_NAME];

	day_name(name, day);
	for (size_t i = first; i < first + n; i++)
		if (span_eq(db_column(t->db, 0, i, 0), span_str(name)))
			return true;
	return false;
}

/* Which days have partitions: for what follows, and no result after it. */
struct days {
	int64_t lacking[BACK_DAYS + AHEAD_DAYS + 1];
	size_t lacking_count;
	char over[BACK_DAYS][DAY_NAME]; /* names of those that may be dropped */
	size_t over_count;
};

static enum mx_err find_days(struct taker *t, struct days *d)
{
	int64_t today = day_of(clock_wall_ms()), from = today;
	int64_t oldest_ms = atomic_load(&t->m->oldest_ms);
	char last[DAY_NAME];
	enum mx_err err;

	if (oldest_ms > 0 && day_of(oldest_ms) < today)
		from = day_of(oldest_ms);
	if (from < today - BACK_DAYS)
		from = today - BACK_DAYS;
	db_send_text(t->db,
		     "SELECT substring(c.relname FROM 9) FROM pg_inherits i"
		     " JOIN pg_class c ON c.oid = i.inhrelid"
		     " WHERE i.inhparent = 'message'::regclass"
		     " AND c.relname ~ '^message_[0-9]{8}$' ORDER BY 1");
	err = db_run(t->db, taker_timeout(t));
	if (err != MX_OK)
		return err;
	for (int64_t day = from; day <= today + AHEAD_DAYS; day++)
		if (!is_there(t, 0, db_rows(t->db, 0), day))
			d->lacking[d->lacking_count++] = day;
	day_name(last, (from < today - KEEP_DAYS ? from : today - KEEP_DAYS));
	for (size_t i = 0; i < db_rows(t->db, 0); i++) {
		struct span name = db_column(t->db, 0, i, 0);

		if (name.n != 8 || memcmp(name.p, last, 8) >= 0 ||
		    d->over_count == BACK_DAYS)
			break;
		memcpy(d->over[d->over_count++], name.p, 8);
	}
	return MX_OK;
}

static enum mx_err make_day(struct taker *t, int64_t day)
{
	begin(t);
	day_send(t->db, day);
	return run(t);
}

/* ---- Days that are over ---- */

/* Looked at first without a lock, and then behind it. */
static void send_empty(struct taker *t, const char *name)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "SELECT 1 / count(*) WHERE NOT EXISTS (SELECT FROM message_%s)"
		 " AND NOT EXISTS (SELECT FROM unit_%s)"
		 " AND NOT EXISTS (SELECT FROM content_%s)",
		 name, name, name);
	db_send_text(t->db, text);
}

static enum mx_err drop_day(struct taker *t, const char *name)
{
	enum mx_err err;

	db_begin(t->db);
	send_empty(t, name);
	err = db_commit(t->db, taker_timeout(t));
	if (err != MX_OK)
		return err == MX_EBUSY ? MX_OK : err;
	begin(t);
	db_send_text(t->db, "LOCK TABLE ONLY message, ONLY unit, ONLY content"
			    " IN ACCESS EXCLUSIVE MODE");
	send_empty(t, name);
	for (size_t i = 0; i < DAY_TABLES; i++) {
		char text[64];

		snprintf(text, sizeof(text), "DROP TABLE %s_%s", day_tables[i],
			 name);
		db_send_text(t->db, text);
	}
	return run(t);
}

enum mx_err taker_keep(struct taker *t)
{
	struct days d = { .lacking_count = 0 };
	enum mx_err err = find_days(t, &d);

	for (size_t i = 0; i < d.lacking_count && err == MX_OK; i++)
		err = make_day(t, d.lacking[i]);
	for (size_t i = 0; i < d.over_count && err == MX_OK; i++)
		err = drop_day(t, d.over[i]);
	if (err != MX_OK)
		return err;
	db_begin(t->db);
	db_send(t->db, SQL_OLD_TOMBSTONES, NULL);
	db_send(t->db, SQL_OLD_NODES, NULL);
	return run(t);
}
