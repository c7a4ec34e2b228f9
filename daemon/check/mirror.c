/* The second copy: is it one, is it whole, and can others read it? */
#include "common/base/clock.h"
#include "daemon/check/exam.h"

/* What is missing for so long is not caught up with by itself. */
static const int64_t LATE_MS = MINUTES(5);

enum { SERVER_LEAST = 15 }; /* PostgreSQL */

static void judge_lag(struct findings *f, const struct check_mirror *m)
{
	const unsigned long long n = m->lag_messages;

	if (m->is_away)
		findings_add(f, CHECK_MIRROR_LAG, SEVERITY_ERROR,
			     "the database cannot be used: %.*s; the second "
			     "copy of %llu messages is missing or old",
			     SPAN_ARG(m->error), n);
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
	if (m->is_away)
		findings_remedy(f, "mx20ctl mirror");
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
}
