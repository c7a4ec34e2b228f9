#include "daemon/mirror/conninfo.h"

#include <errno.h>
#include <sys/stat.h>

#include "daemon/mirror/pq.h"

static void add_line(struct buf *why, const char *text)
{
	buf_add(why, span_trim((struct span){ text, strcspn(text, "\n") }));
}

/* Of what cannot be read at all libpq shows a part, whatever that is: only the
 * name of a word that it does not know is passed on. */
static bool is_unreadable(const char *conninfo, struct buf *why)
{
	char *said = NULL;
	PQconninfoOption *all = pq()->conninfoParse(conninfo, &said);
	bool is_word = said != NULL &&
		       span_starts(span_str(said),
				   SPAN_LIT("invalid connection option "));

	if (all != NULL)
		pq()->conninfoFree(all);
	else if (is_word)
		add_line(why, said);
	else
		buf_adds(why, "expected words such as \"host=db1 dbname=mx20 "
			      "user=mx20\", or postgresql://...");
	pq()->freemem(said);
	return all == NULL;
}

/* Where to, is left out: a list of hosts has to fit one of ports. */
static bool is_place(const char *keyword)
{
	return strcmp(keyword, "host") == 0 ||
	       strcmp(keyword, "hostaddr") == 0 || strcmp(keyword, "port") == 0;
}

/* libpq looks at the values when it begins to connect: to nowhere, here. */
static bool has_bad_value(const char *conninfo, struct buf *why)
{
	enum { WORDS_MAX = 64 };
	const char *words[WORDS_MAX + 2] = { "host" };
	const char *values[WORDS_MAX + 2] = { "/nowhere" };
	PQconninfoOption *all = pq()->conninfoParse(conninfo, NULL);
	size_t n = 1;
	PGconn *conn;
	bool is_bad;

	for (PQconninfoOption *o = all;
	     o != NULL && o->keyword != NULL && n <= WORDS_MAX; o++) {
		if (o->val == NULL || is_place(o->keyword))
			continue;
		words[n] = o->keyword;
		values[n++] = o->val;
	}
	conn = pq()->connectStartParams(words, values, 0);
	is_bad = conn != NULL && span_starts(span_str(pq()->errorMessage(conn)),
					     SPAN_LIT("invalid "));
	if (is_bad)
		add_line(why, pq()->errorMessage(conn));
	pq()->finish(conn); /* NULL is fine */
	pq()->conninfoFree(all);
	return is_bad;
}

static bool passfile_is_wrong(const char *path, struct buf *why)
{
	struct stat st;

	if (stat(path, &st) != 0)
		buf_addf(why, "passfile %s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		buf_addf(why, "passfile %s: not a file", path);
	else if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		buf_addf(why, "passfile %s: others may read it: chmod 600",
			 path);
	else
		return false;
	return true;
}

bool conninfo_secret_is_wrong(const char *conninfo, struct buf *why)
{
	PQconninfoOption *all = pq()->conninfoParse(conninfo, NULL);
	bool is_wrong = false;

	for (PQconninfoOption *o = all;
	     o != NULL && o->keyword != NULL && !is_wrong; o++)
		if (strcmp(o->keyword, "passfile") == 0 && o->val != NULL &&
		    *o->val != '\0')
			is_wrong = passfile_is_wrong(o->val, why);
	pq()->conninfoFree(all);
	return is_wrong;
}

bool conninfo_is_wrong(const char *conninfo, struct buf *why)
{
	return is_unreadable(conninfo, why) || has_bad_value(conninfo, why) ||
	       conninfo_secret_is_wrong(conninfo, why);
}
