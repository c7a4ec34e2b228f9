#include <string.h>
#include <sys/stat.h>

#include "common/base/assert.h"
#include "daemon/mirror/db_priv.h"

/*
 * A file of passwords that others may read is not read by libpq, which says so
 * on standard error, each time, and then has no password.  We look first.
 */
bool db_secret_is_open(struct db *db)
{
	char *unsaid = NULL;
	PQconninfoOption *all = pq()->conninfoParse(db->conninfo, &unsaid);
	struct stat st;
	bool is_open = false;

	for (PQconninfoOption *o = all; o != NULL && o->keyword != NULL; o++) {
		char text[256];

		if (strcmp(o->keyword, "passfile") != 0 || o->val == NULL ||
		    stat(o->val, &st) != 0 ||
		    (st.st_mode & (S_IRWXG | S_IRWXO)) == 0)
			continue;
		snprintf(text, sizeof(text),
			 "%s: others may read it: chmod 600", o->val);
		db_say(db, text);
		is_open = true;
	}
	pq()->conninfoFree(all);
	pq()->freemem(unsaid);
	return is_open;
}
