/* The second copy: is it one, is it whole, and can others read it? */
#include <string.h>

#include "common/base/clock.h"
#include "daemon/check/exam.h"

/* What is missing for so long is not caught up with by itself. */
static const int64_t LATE_MS = MINUTES(5);

enum { SERVER_LEAST = 15 }; /* PostgreSQL */

/* Words of libpq and of the server, and what mends that. */
static const struct {
	const char *words, *remedy;
} causes[] = {
	{ "Connection refused", "systemctl start postgresql, on its host; or "
				"mend host= and port= of mirror.postgresql" },
	{ "in time", "a firewall, a route, or a host that is down" },
	{ "could not translate", "host= of mirror.postgresql" },
	{ "password", "the file of passfile=, of mode 600 and of the daemon's "
		      "user: HOST:PORT:DATABASE:USER:PASSWORD" },
	{ "pg_hba.conf", "in pg_hba.conf: hostssl DATABASE USER ADDRESS/32 "
			 "scram-sha-256" },
	{ "role", "createuser --pwprompt USER" },
	{ "database \"", "createdb DATABASE" },
	{ "permission denied", "psql -d DATABASE -c \"CREATE SCHEMA mx20 "
			       "AUTHORIZATION USER\"" },
	{ "schema", "psql -d DATABASE -c \"CREATE SCHEMA mx20 AUTHORIZATION "
		    "USER\"" },
	{ "read-only", "no host of mirror.postgresql can be written to: promote "
		       "the standby" },
	{ "too old", "PostgreSQL 15 or later" },
	{ "", "journalctl -u mx20 | grep 'mirror '" },
};

static const char *remedy_of(struct span error)
{
	size_t i = 0;

	while (memmem(error.p, error.n, causes[i].words,
		      strlen(causes[i].words)) == NULL &&
	       causes[i].words[0] != '\0')
		i++;
	return causes[i].remedy;
}

static void judge_away(struct findings *f, const struct check_mirror *m)
{
	findings_add(f, CHECK_MIRROR_LAG, SEVERITY_ERROR,
		     "the database cannot be used: %.*s; new mail is %s",
		     SPAN_ARG(m->error),
		     m->refuses ? "refused with 451"
				: "accepted with one copy");
	findings_remedy(f, "%s", remedy_of(m->error));
}

static void judge_lag(struct findings *f, const struct check_mirror *m)
{
	const unsigned long long n = m->lag_messages;

	if (m->is_away)
		judge_away(f, m);
	else if (m->has_left)
		findings_add(f, CHECK_MIRROR_LAG, SEVERITY_INFO,
			     "this node has left: it accepts no mail before it "
			     "is started again");
	else if (n > 0 && m->lag_ms > LATE_MS)
		findings_add(f, CHECK_MIRROR_LAG, SEVERITY_WARNING,
			     "the second copy of %llu messages is missing or "
			     "old, for %lld minutes",
			     n, (long long)(m->lag_ms / MINUTES(1)));
	else if (!m->is_in_step)
		findings_add(f, CHECK_MIRROR_LAG, SEVERITY_INFO,
			     "%llu messages are on their way to the database",
			     n);
	else
		findings_ok(f, CHECK_MIRROR_LAG,
			    "every message is in both copies");
}

static void judge_synchronous(struct findings *f, const struct check_mirror *m)
{
	if (m->is_synchronous) {
		findings_ok(f, CHECK_MIRROR_SYNCHRONOUS,
			    "what the database commits is on a standby, too");
		return;
	}
	/* no more: each message is on two disks all the same */
	findings_add(f, CHECK_MIRROR_SYNCHRONOUS, SEVERITY_INFO,
		     "what the database commits is on no synchronous standby: "
		     "two copies, not three");
	findings_remedy(f, "postgresql.conf: synchronous_standby_names = "
			   "'ANY 1 (*)'");
}

/* The number a version begins with. */
static int major(struct span version)
{
	int n = 0;

	for (; version.n > 0 && *version.p >= '0' && *version.p <= '9' &&
	       n < 1000;
	     version = span_skip(version, 1))
		n = 10 * n + (*version.p - '0');
	return n;
}

static void judge_version(struct findings *f, const struct check_mirror *m)
{
	const int server = major(m->server);

	if (server > 0 && server < SERVER_LEAST) {
		findings_add(f, CHECK_MIRROR_VERSION, SEVERITY_ERROR,
			     "PostgreSQL %.*s is too old", SPAN_ARG(m->server));
		findings_remedy(f, "PostgreSQL %d or later", SERVER_LEAST);
	}
	if (m->others.n > 0) {
		findings_add(f, CHECK_MIRROR_VERSION, SEVERITY_WARNING,
			     "nodes of other versions than this one's (%s): "
			     "%.*s",
			     MX_VERSION, SPAN_ARG(m->others));
		findings_remedy(f, "the same version of mx20 on every node");
	}
	findings_ok(f, CHECK_MIRROR_VERSION, "PostgreSQL %.*s; mx20 %s",
		    SPAN_ARG(m->server), MX_VERSION);
}

static void judge_nodes(struct findings *f, const struct check_mirror *m)
{
	if (m->ills.n > 0)
		findings_add(f, CHECK_MIRROR_NODES, SEVERITY_WARNING, "%.*s",
			     SPAN_ARG(m->ills));
	else
		findings_ok(f, CHECK_MIRROR_NODES,
			    "every node lives, or was stopped in good order");
}

void mirror_judge(struct findings *f, const struct check_mirror *m)
{
	if (!m->is_set)
		return;
	if (!m->is_known) {
		findings_add(f, CHECK_MIRROR_LAG, SEVERITY_INFO,
			     "not known: mx20d cannot be asked");
		return;
	}
	judge_lag(f, m);
	if (m->is_away)
		return; /* nothing was heard of the rest */
	judge_synchronous(f, m);
	judge_version(f, m);
	judge_nodes(f, m);
}
