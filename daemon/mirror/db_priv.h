/* The inside of a connection: how it is made, and how it is used. */
#ifndef MX_MIRROR_DB_PRIV_H
#define MX_MIRROR_DB_PRIV_H

#include <stdio.h>

#include "daemon/mirror/db.h"

enum { DB_RESULTS = 64, DB_PARAMS = 8 };

struct db {
	char *conninfo, *application;
	int stop_fd;
	PGconn *conn;  /* NULL: none */
	bool is_ready; /* prepared, and in pipeline mode */
	PGresult *results[DB_RESULTS];
	size_t count; /* of them */
	size_t sent;  /* statements of the run that is being made */
	bool is_refused, is_warned;
	char state[6], error[256];
	char synchronous[128]; /* synchronous_standby_names; empty: none */
	bool is_durable;       /* fsync, and synchronous_commit */
};

void db_say(struct db *db, const char *text);
/* MX_OK: look again; MX_ETIME, MX_ESTOP */
enum mx_err db_wait(struct db *db, short events, int64_t until_ms);

#endif
