#include "daemon/mirror/db.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/mirror/db_priv.h"

/* ---- Results ---- */

static void db_forget(struct db *db)
{
	for (size_t i = 0; i < db->count; i++)
		pq()->clear(db->results[i]); /* NULL is fine */
	db->count = 0;
	db->sent = 0;
}

size_t db_rows(const struct db *db, size_t n)
{
	MX_ASSERT(n < db->count);
	return (size_t)pq()->ntuples(db->results[n]);
}

struct span db_column(const struct db *db, size_t n, size_t row, int column)
{
	const PGresult *r = db->results[n];

	MX_ASSERT(n < db->count && row < db_rows(db, n) &&
		  column < pq()->nfields(r));
	return span_of(pq()->getvalue(r, (int)row, column),
		       (size_t)pq()->getlength(r, (int)row, column));
}

int64_t db_number(const struct db *db, size_t n, size_t row, int column)
{
	return wire_get_int(db_column(db, n, row, column));
}

uint64_t db_changed(const struct db *db, size_t n)
{
	uint64_t v = 0;

	MX_ASSERT(n < db->count);
	(void)span_u64(span_str(pq()->cmdTuples(db->results[n])), &v);
	return v;
}

/* ---- Waiting ---- */

/* Until the socket is ready, or whatever else is more urgent. */
enum mx_err db_wait(struct db *db, short events, int64_t until_ms)
{
	struct pollfd fds[] = {
		{ .fd = pq()->socket(db->conn), .events = events },
		{ .fd = db->stop_fd, .events = POLLIN },
	};
	int64_t left_ms = until_ms - clock_mono_ms();

	if (poll(fds, COUNT(fds), left_ms > 0 ? (int)left_ms : 0) < 0)
		return MX_OK; /* EINTR: look again */
	if (fds[1].revents != 0)
		return MX_ESTOP;
	return fds[0].revents != 0 ? MX_OK : MX_ETIME;
}

static enum mx_err lost(struct db *db)
{
	db_say(db, pq()->errorMessage(db->conn));
	return MX_ENET;
}

/* Send what is left to be sent; read what has come. */
static enum mx_err move(struct db *db, int64_t until_ms)
{
	int more = pq()->flush(db->conn);
	enum mx_err err;

	if (more < 0)
		return lost(db);
	err = db_wait(db, more > 0 ? POLLIN | POLLOUT : POLLIN, until_ms);
	if (err == MX_OK && !pq()->consumeInput(db->conn))
		return lost(db);
	return err;
}

/* ---- What comes back ---- */

/* The first refusal counts: the others are for its sake. */
static void take_refusal(struct db *db, const PGresult *r)
{
	const char *state = pq()->resultErrorField(r, PG_DIAG_SQLSTATE);
	const char *text = pq()->resultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);

	if (db->is_refused)
		return;
	db->is_refused = true;
	snprintf(db->state, sizeof(db->state), "%s", state ? state : "");
	db_say(db, text != NULL ? text : "refused");
}

/* NULL stands between statements; true: the end of all. */
static bool take_result(struct db *db, PGresult *r)
{
	ExecStatusType status = r != NULL ? pq()->resultStatus(r) : 0;

	if (r == NULL)
		return false;
	if (status == PGRES_PIPELINE_SYNC) {
		pq()->clear(r);
		return true;
	}
	if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE)
		take_refusal(db, r);
	if (db->count < DB_RESULTS)
		db->results[db->count++] = r;
	else
		pq()->clear(r);
	return false;
}

/* What is here already; MX_EBUSY: more is to come. */
static enum mx_err take_all(struct db *db)
{
	enum { NOTHING_MORE = 8 }; /* one stands behind each statement */
	int none = 0;

	while (!pq()->isBusy(db->conn)) {
		PGresult *r = pq()->getResult(db->conn);

		none = r != NULL ? 0 : none + 1;
		if (take_result(db, r))
			return MX_OK;
		if (pq()->status(db->conn) != CONNECTION_OK ||
		    none > NOTHING_MORE)
			return lost(db);
	}
	return MX_EBUSY;
}

static enum mx_err receive(struct db *db, int64_t until_ms)
{
	for (;;) {
		enum mx_err err = take_all(db);

		if (err == MX_OK)
			return db->is_refused ? MX_EBUSY : MX_OK;
		if (err == MX_EBUSY)
			err = move(db, until_ms);

		if (err != MX_OK)
			return err;
	}
}

/* ---- Giving up ---- */

static void *run_cancel(void *arg)
{
	char unused[256];

	(void)pq()->cancel(arg, unused, sizeof(unused));
	pq()->freeCancel(arg);
	return NULL;
}

/*
 * A statement may go on after its connection has gone, and keep its locks: one
 * that waits for a standby never looks at the connection.  On a thread of its
 * own, since libpq's cancel waits for the network as long as that pleases.
 */
static void cancel_statement(struct db *db)
{
	PGcancel *handle = pq()->getCancel(db->conn);
	sigset_t all, old;
	pthread_t thread;

	if (handle == NULL)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&thread, NULL, run_cancel, handle) == 0)
		pthread_detach(thread);
	else
		pq()->freeCancel(handle);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* ---- What goes out ---- */

static void begin_run(struct db *db)
{
	if (db->sent > 0)
		return;
	db_forget(db);
	db->is_refused = false;
	db->state[0] = '\0';
}

static const char value_none[1];

void db_send(struct db *db, enum sql_id id, const struct param *params)
{
	const struct sql *s = &sql_table[id];
	const char *values[DB_PARAMS];
	int lengths[DB_PARAMS], formats[DB_PARAMS];
	char numbers[DB_PARAMS][8];
	size_t n = strlen(s->types);

	MX_ASSERT(n <= DB_PARAMS);
	begin_run(db);
	db->sent++;
	if (db->conn == NULL)
		return;
	for (size_t i = 0; i < n; i++) {
		bool is_number = s->types[i] == 'i';

		if (is_number)
			wire_put_int8(numbers[i], params[i].number);
		values[i] = is_number		    ? numbers[i]
			    : params[i].value.n > 0 ? params[i].value.p
						    : value_none;
		lengths[i] = is_number ? 8 : (int)params[i].value.n;
		formats[i] = 1;
	}
	(void)pq()->sendQueryPrepared(db->conn, s->name, (int)n, values,
				      lengths, formats, 1);
}

void db_send_text(struct db *db, const char *sql)
{
	begin_run(db);
	db->sent++;
	if (db->conn != NULL)
		(void)pq()->sendQueryParams(db->conn, sql, 0, NULL, NULL, NULL,
					    NULL, 1);
}

enum mx_err db_run(struct db *db, int64_t timeout_ms)
{
	enum mx_err err = MX_ENET;

	if (db->conn != NULL && pq()->pipelineSync(db->conn))
		err = receive(db, clock_mono_ms() + timeout_ms);
	else if (db->conn != NULL)
		err = lost(db);
	db->sent = 0;
	if (err == MX_ETIME)
		db_say(db, "no answer in time");
	if (err == MX_ETIME || err == MX_ESTOP)
		cancel_statement(db);
	if (err != MX_OK && err != MX_EBUSY)
		db_close(db);
	return err;
}

/* ---- Transactions ---- */

void db_begin(struct db *db)
{
	db_send_text(db, "BEGIN");
}

/*
 * A warning to a commit says that it is not on the standby, since the wait for
 * that was cut short (PostgreSQL: SyncRepWaitForLSN).
 */
enum mx_err db_commit(struct db *db, int64_t timeout_ms)
{
	enum mx_err err;

	db->is_warned = false;
	db_send_text(db, "COMMIT");
	err = db_run(db, timeout_ms);
	if (err == MX_OK && db->is_warned) {
		db_say(db, "a commit is not on the standby");
		db_close(db);
		return MX_ETIME;
	}
	if (err == MX_EBUSY) {
		struct buf why = { 0 };
		char state[sizeof(db->state)];

		memcpy(state, db->state, sizeof(state));
		buf_adds(&why, db_error(db));
		db_send_text(db, "ROLLBACK");
		(void)db_run(db, timeout_ms);
		memcpy(db->state, state, sizeof(state));
		db_say(db, buf_cstr(&why));
		buf_fini(&why);
	}
	return err;
}

/* ---- Life ---- */

struct db *db_new(const struct db_options *opt)
{
	struct db *db = mx_alloc(sizeof(*db));

	db->conninfo = mx_strdup(opt->conninfo);
	db->application = mx_strdup(opt->application);
	db->stop_fd = opt->stop_fd;
	return db;
}

void db_outlast(struct db *db)
{
	db->stop_fd = -1; /* poll looks at none */
}

void db_close(struct db *db)
{
	if (db->conn == NULL)
		return;
	db_forget(db);
	pq()->finish(db->conn);
	db->conn = NULL;
	db->is_ready = false;
}

void db_free(struct db **dbp)
{
	struct db *db = *dbp;

	*dbp = NULL;
	if (db == NULL)
		return;
	db_close(db);
	free(db->conninfo);
	free(db->application);
	free(db);
}

bool db_is_open(const struct db *db)
{
	return db->conn != NULL && db->is_ready;
}

void db_refuse(struct db *db, const char *text)
{
	db_say(db, text);
	db_close(db);
}

int db_socket(const struct db *db)
{
	return db->conn != NULL ? pq()->socket(db->conn) : -1;
}

void db_look(struct db *db)
{
	if (db->conn == NULL || (pq()->consumeInput(db->conn) &&
				 pq()->status(db->conn) == CONNECTION_OK))
		return;
	(void)lost(db);
	db_close(db);
}

const char *db_error(struct db *db)
{
	return db->error;
}

const char *db_state(const struct db *db)
{
	return db->state;
}

/* One line of it, and no more than fits. */
void db_say(struct db *db, const char *text)
{
	struct span rest = span_str(text), line = { NULL, 0 };

	while (rest.n > 0 && line.n == 0)
		line = span_trim(span_cut(&rest, '\n'));
	snprintf(db->error, sizeof(db->error), "%.*s", SPAN_ARG(line));
}
