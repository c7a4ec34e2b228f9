#include "common/base/clock.h"
#include "daemon/mirror/days.h"
#include "daemon/mirror/mirror_priv.h"

/*
 * Nobody has to make tables by hand, nor upgrade them.  Whoever comes first
 * does it, in one transaction under an advisory lock, so that nodes that start
 * at the same time do not see half of it.  A later version keeps what an
 * earlier one needs, or raises the number, and then the earlier one stays away.
 */

/* The version of what is there; 0: nothing is.  Below 0: an error. */
static int version_of(struct db *db, int64_t timeout_ms)
{
	db_send_text(db, "SELECT count(*) FROM pg_class c JOIN pg_namespace n"
			 " ON n.oid = c.relnamespace WHERE n.nspname ="
			 " current_schema() AND c.relname = 'mx20_version'");
	if (db_run(db, timeout_ms) != MX_OK)
		return -1;
	if (db_number(db, 0, 0, 0) == 0)
		return 0;
	db_send_text(db, "SELECT version FROM mx20_version");
	if (db_run(db, timeout_ms) != MX_OK || db_rows(db, 0) == 0)
		return -1;
	return (int)db_number(db, 0, 0, 0);
}

/* Each statement for itself, as a pipeline wants them. */
static enum mx_err make_tables(struct db *db, int64_t timeout_ms)
{
	struct span rest = span_str(sql_schema);
	struct buf one = { 0 };

	while (rest.n > 0) {
		buf_reset(&one);
		buf_add(&one, span_cut(&rest, ';'));
		db_send_text(db, buf_cstr(&one));
	}
	buf_fini(&one);
	for (int64_t day = 0; day <= AHEAD_DAYS; day++)
		day_send(db, day_of(clock_wall_ms()) + day);
	db_send_text(db, "COMMIT");
	return db_run(db, timeout_ms);
}

enum mx_err schema_ready(struct db *db, int64_t timeout_ms)
{
	int version = version_of(db, timeout_ms);
	enum mx_err err = MX_OK;

	if (version == 0) {
		err = make_tables(db, timeout_ms);
		version = SQL_SCHEMA;
	} else if (version < 0) {
		err = MX_EBUSY;
	}
	if (err == MX_OK && version > SQL_SCHEMA) {
		db_refuse(db, "the tables were made by a later version of "
			      "mx20: upgrade this one");
		return MX_EINVAL;
	}
	return err == MX_OK ? db_prepare(db, timeout_ms) : err;
}

enum mx_err schema_unfreeze(struct mirror *m, struct db *db, int64_t timeout_ms)
{
	db_send(db, SQL_UNFREEZE, &PARAM_INT(atomic_load(&m->lease_ms)));
	return db_run(db, timeout_ms);
}
