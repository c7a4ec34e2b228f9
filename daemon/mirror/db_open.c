#include <poll.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/mirror/conninfo.h"
#include "daemon/mirror/db_priv.h"

/*
 * libpq tries several hosts by itself, but when it is used without waiting it
 * leaves the time that each may take to the caller, and has no way to say "the
 * next one".  So the list is taken apart here, and each host is a connection.
 */

/* ---- The list of hosts ---- */

enum { HOSTS_MAX = 16 };

struct hosts {
	struct buf text; /* all of them, each with NUL */
	struct {
		size_t host, addr, port; /* in text; 0: not said */
	} rows[HOSTS_MAX];
	size_t count;
};

/* The n-th part of a list, or its only one; 0: there is none. */
static size_t keep_part(struct hosts *h, const char *list, size_t n)
{
	struct span rest = span_str(list != NULL ? list : ""), part;
	size_t at = h->text.n;
	bool is_single = span_find(rest, ',') == rest.n;

	part = span_cut(&rest, ',');
	for (size_t i = 0; i < n && !is_single; i++)
		part = span_cut(&rest, ',');
	if (part.n == 0)
		return 0;
	buf_add(&h->text, part);
	buf_addc(&h->text, '\0');
	return at;
}

static size_t parts_of(const char *list)
{
	size_t n = 1;

	for (; list != NULL && *list != '\0'; list++)
		n += *list == ',';
	return n < HOSTS_MAX ? n : HOSTS_MAX;
}

static const char *value_of(const PQconninfoOption *all, const char *keyword)
{
	for (; all->keyword != NULL; all++)
		if (strcmp(all->keyword, keyword) == 0)
			return all->val;
	return NULL;
}

static bool split_hosts(const char *conninfo, struct hosts *h)
{
	char *unsaid = NULL; /* may have secrets in it */
	PQconninfoOption *all = pq()->conninfoParse(conninfo, &unsaid);
	const char *host, *addr, *port;

	if (unsaid != NULL)
		pq()->freemem(unsaid);
	if (all == NULL)
		return false;
	host = value_of(all, "host");
	addr = value_of(all, "hostaddr");
	port = value_of(all, "port");
	buf_addc(&h->text, '\0'); /* nothing is at 0 */
	h->count = parts_of(addr != NULL ? addr : host);
	for (size_t i = 0; i < h->count; i++) {
		h->rows[i].host = keep_part(h, host, i);
		h->rows[i].addr = keep_part(h, addr, i);
		h->rows[i].port = keep_part(h, port, i);
	}
	pq()->conninfoFree(all);
	return true;
}

/* ---- One connection ---- */

enum { WORDS_MAX = 16 };

struct words {
	const char *keys[WORDS_MAX + 1], *values[WORDS_MAX + 1];
	size_t n;
};

static void word(struct words *w, const char *key, const char *value)
{
	MX_ASSERT(w->n < WORDS_MAX);
	w->keys[w->n] = key;
	w->values[w->n++] = value;
}

/*
 * One warning matters: that the wait for a standby was cut short.  It has no
 * SQLSTATE of its own, and its text is in the language of the server, so it is
 * known by who says it.  Others (transaction ids that run out, a collation of
 * another version) come with each transaction.  None goes to standard error.
 */
static void on_notice(void *arg, const PGresult *notice)
{
	struct db *db = arg;
	const char *who =
		pq()->resultErrorField(notice, PG_DIAG_SOURCE_FUNCTION);

	if (who != NULL && strcmp(who, "SyncRepWaitForLSN") == 0)
		db->is_warned = true;
}

/* What stands before dbname can be overridden by it, what is behind cannot. */
static void start(struct db *db, const struct hosts *h, size_t i,
		  const char *timeout_ms)
{
	struct words w = { .n = 0 };

	word(&w, "target_session_attrs", "read-write");
	word(&w, "tcp_user_timeout", timeout_ms);
	word(&w, "keepalives_idle", "10");
	word(&w, "keepalives_interval", "5");
	word(&w, "keepalives_count", "3");
	word(&w, "application_name", db->application);
	word(&w, "dbname", db->conninfo);
	if (h->rows[i].host != 0)
		word(&w, "host", h->text.p + h->rows[i].host);
	if (h->rows[i].addr != 0)
		word(&w, "hostaddr", h->text.p + h->rows[i].addr);
	if (h->rows[i].port != 0)
		word(&w, "port", h->text.p + h->rows[i].port);
	word(&w, "client_encoding", "UTF8");
	db->conn = pq()->connectStartParams(w.keys, w.values, 1);
	if (db->conn != NULL)
		pq()->setNoticeReceiver(db->conn, on_notice, db);
}

static enum mx_err poll_on(struct db *db, int64_t until_ms)
{
	PostgresPollingStatusType what = PGRES_POLLING_WRITING;
	enum mx_err err = MX_OK;

	while (err == MX_OK && what != PGRES_POLLING_OK) {
		if (what == PGRES_POLLING_FAILED)
			return MX_ENET;
		err = db_wait(db,
			      what == PGRES_POLLING_READING ? POLLIN : POLLOUT,
			      until_ms);
		if (err == MX_OK)
			what = pq()->connectPoll(db->conn);
	}
	return err;
}

static enum mx_err connect_one(struct db *db, const struct hosts *h, size_t i,
			       int64_t host_ms)
{
	enum mx_err err = MX_ENET;
	char timeout_ms[24];

	snprintf(timeout_ms, sizeof(timeout_ms), "%lld", (long long)host_ms);
	start(db, h, i, timeout_ms);
	if (db->conn == NULL)
		return MX_ENET;
	if (pq()->status(db->conn) != CONNECTION_BAD)
		err = poll_on(db, clock_mono_ms() + host_ms);
	if (err == MX_OK)
		return MX_OK;
	if (err == MX_ETIME) {
		char text[256];
		const char *host = pq()->host(db->conn);

		snprintf(text, sizeof(text), "%s: no connection in time",
			 host != NULL ? host : "");
		db_say(db, text);
	} else {
		db_say(db, pq()->errorMessage(db->conn));
	}
	db_close(db);
	return err;
}

/* ---- The session ---- */

enum { VERSION_LEAST = 150000 };

static Oid type_of(char c)
{
	enum { OID_INT8 = 20, OID_TEXT = 25 };

	switch (c) {
	case 'i':
		return OID_INT8;
	case 't':
		return OID_TEXT;
	case 'I':
		return ARRAY_INT8;
	default:
		MX_ASSERT(c == 'B');
		return ARRAY_BYTEA;
	}
}

static void prepare(struct db *db, const struct sql *s)
{
	Oid types[DB_PARAMS];
	size_t n = strlen(s->types);

	for (size_t i = 0; i < n; i++)
		types[i] = type_of(s->types[i]);
	(void)pq()->sendPrepare(db->conn, s->name, s->text, (int)n, types);
	db->sent++;
}

enum mx_err db_prepare(struct db *db, int64_t timeout_ms)
{
	db_send_text(db, "SELECT 1");
	for (size_t i = 0; i < SQL_COUNT; i++)
		prepare(db, &sql_table[i]);
	return db_run(db, timeout_ms);
}

enum { COLUMN_STANDBYS = 13, COLUMN_COMMIT, COLUMN_FSYNC };

static void learn_durability(struct db *db)
{
	struct span names = db_column(db, 0, 0, COLUMN_STANDBYS);
	struct span commit = db_column(db, 0, 0, COLUMN_COMMIT);
	bool is_local = span_eq(commit, SPAN_LIT("local"));

	snprintf(db->synchronous, sizeof(db->synchronous), "%.*s",
		 is_local ? 0 : (int)names.n, names.p);
	db->is_durable =
		span_eq(db_column(db, 0, 0, COLUMN_FSYNC), SPAN_LIT("on"));
}

static bool is_too_old(struct db *db)
{
	const char *version = pq()->parameterStatus(db->conn, "server_version");
	char text[128];

	if (pq()->serverVersion(db->conn) >= VERSION_LEAST)
		return false;
	snprintf(text, sizeof(text),
		 "PostgreSQL %.40s is too old: 15 or later is needed",
		 version != NULL ? version : "");
	db_refuse(db, text);
	return true;
}

static enum mx_err begin_session(struct db *db, int64_t timeout_ms)
{
	enum mx_err err;

	if (is_too_old(db))
		return MX_EINVAL;
	pq()->setnonblocking(db->conn, 1);
	if (!pq()->enterPipelineMode(db->conn)) {
		db_close(db);
		return MX_ENET;
	}
	db_send_text(db, sql_session);
	err = db_run(db, timeout_ms);
	if (err == MX_OK)
		learn_durability(db);
	else if (err == MX_EBUSY)
		db_close(db);
	db->is_ready = db->conn != NULL;
	return err;
}

static bool has_no_secret(struct db *db)
{
	struct buf why = { 0 };
	bool is_wrong = conninfo_secret_is_wrong(db->conninfo, &why);

	if (is_wrong)
		db_say(db, buf_cstr(&why));
	buf_fini(&why);
	return is_wrong;
}

enum mx_err db_open(struct db *db, int64_t host_ms)
{
	struct hosts h = { .count = 0 };
	enum mx_err err = MX_ENET;

	MX_ASSERT(db->conn == NULL);
	if (has_no_secret(db))
		return MX_EACCESS;
	if (!split_hosts(db->conninfo, &h))
		db_say(db, "mirror.postgresql is no connection string");
	for (size_t i = 0; i < h.count && err != MX_OK && err != MX_ESTOP; i++)
		err = connect_one(db, &h, i, host_ms);
	if (err == MX_OK)
		err = begin_session(db, host_ms);
	buf_fini(&h.text);
	return err;
}

/* ---- What it is connected to ---- */

void db_server(struct db *db, struct buf *out)
{
	const char *version, *host;

	if (!db_is_open(db))
		return;
	version = pq()->parameterStatus(db->conn, "server_version");
	host = pq()->host(db->conn);
	if (version != NULL) {
		struct span v = span_str(version);

		buf_add(out, span_cut(&v, ' '));
	}
	if (host != NULL && *host != '\0')
		buf_addf(out, " at %s", host);
}

int db_server_number(struct db *db)
{
	return db_is_open(db) ? pq()->serverVersion(db->conn) : 0;
}

bool db_is_synchronous(const struct db *db)
{
	return db->synchronous[0] != '\0';
}

const char *db_synchronous(const struct db *db)
{
	return db->synchronous;
}

bool db_is_durable(const struct db *db)
{
	return db->is_durable;
}
