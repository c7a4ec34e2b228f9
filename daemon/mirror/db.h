/*
 * A connection to the database, used by one thread: statements go out together
 * and their results come back in one round trip (libpq's pipeline mode).  Every
 * wait has a deadline, and ends when stop_fd can be read.
 */
#ifndef MX_MIRROR_DB_H
#define MX_MIRROR_DB_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "daemon/mirror/array.h"
#include "daemon/mirror/pq.h"
#include "daemon/mirror/sql.h"

struct db;

struct db_options {
	const char *conninfo;	 /* mirror.postgresql; both are copied */
	const char *application; /* what the database shows of us */
	int stop_fd;
};
struct db *db_new(const struct db_options *opt);
void db_free(struct db **db);

/*
 * Connect, host by host, each with so long; then the schema is chosen.  An
 * error is in db_error.
 */
enum mx_err db_open(struct db *db, int64_t host_ms);
/* All statements, when the tables are there. */
enum mx_err db_prepare(struct db *db, int64_t timeout_ms);
/* It is the end, and what is still to be said is waited for all the same. */
void db_outlast(struct db *db);
/* Also with statements under way: then nobody knows what became of them, and
 * they are cancelled. */
void db_close(struct db *db);
bool db_is_open(const struct db *db);
/* To be looked at when it can be read and nothing is under way: the server may
 * have ended it. */
int db_socket(const struct db *db); /* -1: none */
void db_look(struct db *db);

/* Say why it is of no use, and close it. */
void db_refuse(struct db *db, const char *text);
/* The last error, a sentence, never with a secret; empty: none. */
const char *db_error(struct db *db);
/* "15.14 at db1.example.net"; of the connection there is. */
void db_server(struct db *db, struct buf *out);
int db_server_number(struct db *db); /* 150014 */
/* Does a standby have each commit?  Does the server's disk?  As it was when we
 * connected; the names are those of synchronous_standby_names. */
bool db_is_synchronous(const struct db *db);
const char *db_synchronous(const struct db *db);
bool db_is_durable(const struct db *db);

/* ---- One round trip ---- */

/* A parameter: a number or a value in binary; borrowed until db_run. */
struct param {
	struct span value;
	int64_t number; /* when value.p is NULL */
};
#define PARAM_INT(v) ((struct param){ { NULL, 0 }, (int64_t)(v) })
#define PARAM_SPAN(s) ((struct param){ (s), 0 })
#define PARAM_ARRAY(a) ((struct param){ array_value(a), 0 })

/* Add a statement to what is to be run. */
void db_send(struct db *db, enum sql_id id, const struct param *params);
/* The same of any other text without parameters. */
void db_send_text(struct db *db, const char *sql);

/*
 * Run what was added: MX_OK when all of it is done.
 *   MX_EBUSY  the database refused one (db_state), nothing happened
 *   MX_ETIME  it did not answer in time, MX_ENET the connection is lost,
 *   MX_ESTOP  stop_fd: it is closed, and nobody knows what happened
 */
enum mx_err db_run(struct db *db, int64_t timeout_ms);
/* SQLSTATE of what was refused, or "". */
const char *db_state(const struct db *db);

/* The result of the n-th statement of the last run; until the next one. */
size_t db_rows(const struct db *db, size_t n);
struct span db_column(const struct db *db, size_t n, size_t row, int column);
int64_t db_number(const struct db *db, size_t n, size_t row, int column);
/* How many rows it changed. */
uint64_t db_changed(const struct db *db, size_t n);

/* BEGIN, what was added since, COMMIT: as one transaction.  A refusal is
 * followed by ROLLBACK.  A commit of which the database says that not every
 * standby has it is MX_ETIME. */
void db_begin(struct db *db);
enum mx_err db_commit(struct db *db, int64_t timeout_ms);

#endif
