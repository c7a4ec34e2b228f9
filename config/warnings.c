#include "config/warnings.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "common/base/clock.h"
#include "config/allow/allowlist.h"
#include "config/value/error.h"
#include "config/value/value.h"

/* Renewal begins 30 days before the end where it is automatic: one that is
 * so near has failed for two weeks. */
enum { RENEW_DAYS = 14 };

/* ---- The certificate ---- */

static void warn_of_end(const struct config *c, struct settings *s,
			struct config_errors *e, size_t pair)
{
	int64_t end_ms = tls_server_end_ms(c->tls_server, pair);
	int64_t left_ms = end_ms - clock_wall_ms();
	struct buf end = { 0 };

	if (left_ms > DAYS(RENEW_DAYS))
		return;
	clock_rfc3339(&end, end_ms);
	settings_doubt(s, e, "tls.certificate",
		       "%.*s: %s %s: %ssenders that check it %s not deliver: "
		       "renew it, then mx20ctl reload",
		       SPAN_ARG(c->tls.certificates[pair]),
		       left_ms > 0 ? "expires" : "expired", buf_cstr(&end),
		       left_ms > 0 ? "from then on " : "",
		       left_ms > 0 ? "will" : "do");
	buf_fini(&end);
}

static void warn_of_certificates(const struct config *c, struct settings *s,
				 struct config_errors *e)
{
	if (c->tls_server == NULL) {
		settings_doubt(s, e, "tls.certificate",
			       "none: STARTTLS is not offered");
		return;
	}
	for (size_t i = 0; i < c->tls.pair_count; i++) {
		if (tls_server_hides(c->tls_server, i)) {
			settings_doubt(s, e, "tls.certificate",
				       "%.*s: never served: a later one has "
				       "the same kind of key",
				       SPAN_ARG(c->tls.certificates[i]));
			continue;
		}
		warn_of_end(c, s, e, i);
		if (!tls_server_covers(c->tls_server, i, c->hostname))
			settings_doubt(s, e, "tls.certificate",
				       "%.*s: is not for %.*s (hostname): "
				       "senders that check it do not deliver",
				       SPAN_ARG(c->tls.certificates[i]),
				       SPAN_ARG(c->hostname));
	}
}

/* ---- The spool ---- */

static void warn_of_lifetime(const struct config *c, struct settings *s,
			     struct config_errors *e)
{
	if (c->spool.lifetime_ms < DAYS(1))
		settings_doubt(
			s, e, "spool.lifetime",
			"less than a day: an outage of one night returns "
			"all mail; RFC 5321 section 4.5.4.1 asks for 4 "
			"to 5 days at least");
	else if (c->spool.lifetime_ms < DAYS(4))
		settings_doubt(s, e, "spool.lifetime",
			       "RFC 5321 section 4.5.4.1 asks for 4 to 5 days "
			       "at least");
	if (c->spool.warn_after_ms >= c->spool.lifetime_ms)
		settings_doubt(
			s, e, "spool.warn_after",
			"not before spool.lifetime is over: no sender is "
			"warned");
}

/* Before the first start the folder is not there: then it will be where the
 * nearest one above it is. */
static bool disk_of(struct span path, struct statvfs *vfs)
{
	struct buf name = { 0 };
	bool found;

	buf_add(&name, path);
	while (!(found = statvfs(buf_cstr(&name), vfs) == 0) && name.n > 1) {
		while (name.n > 1 && name.p[name.n - 1] != '/')
			name.n--;
		if (name.n > 1)
			name.n--;
	}
	buf_fini(&name);
	return found;
}

static void warn_of_disk(const struct config *c, struct settings *s,
			 struct config_errors *e)
{
	struct buf set = { 0 }, disk = { 0 }, left = { 0 };
	struct statvfs vfs;

	if (!disk_of(c->spool.path, &vfs))
		return;
	uint64_t size = (uint64_t)vfs.f_blocks * vfs.f_frsize;
	uint64_t bavail = (uint64_t)vfs.f_bavail * vfs.f_frsize;

	value_size_round(&set, (int64_t)c->spool.size_bytes);
	value_size_round(&disk, (int64_t)size);
	if (c->spool.size_bytes > size)
		settings_doubt(s, e, "spool.size",
			       "%s, but the disk of %.*s has %s: mail is "
			       "refused (452) long before",
			       buf_cstr(&set), SPAN_ARG(c->spool.path),
			       buf_cstr(&disk));
	buf_reset(&set);
	value_size_round(&set, (int64_t)c->spool.reserve_bytes);
	value_size_round(&left, (int64_t)bavail);
	if (c->spool.reserve_bytes > bavail)
		settings_doubt(s, e, "spool.reserve",
			       "%s, but only %s of the disk of %.*s are free: "
			       "all mail is refused (452)",
			       buf_cstr(&set), buf_cstr(&left),
			       SPAN_ARG(c->spool.path));
	buf_fini(&set);
	buf_fini(&disk);
	buf_fini(&left);
}

/* ---- The mirror ---- */

static void warn_of_mirror(const struct config *c, struct settings *s,
			     struct config_errors *e)
{
	struct stat st;

	if (c->mirror.when_away == AWAY_REFUSE && c->mirror.postgresql.n == 0)
		settings_doubt(s, e, "mirror.when_away",
			       "no effect without mirror.postgresql");
	/* in the arena, with NUL behind it */
	if (strcasestr(c->mirror.postgresql.p, "password=") != NULL &&
	    stat(c->path.p, &st) == 0 && (st.st_mode & S_IROTH) != 0)
		settings_doubt(s, e, "mirror.postgresql",
			       "has a password, and everybody can read this "
			       "file: chmod o-r, or passfile=");
}

void warnings_find(const struct config *c, struct settings *s,
		   struct config_errors *e)
{
	allowlist_doubts(c->domains, e);
	if (span_find(c->hostname, '.') == c->hostname.n)
		settings_doubt(s, e, "hostname",
			       "%.*s: without its domain no MX record names "
			       "this host, and servers refuse its EHLO: such as "
			       "%.*s.example.net",
			       SPAN_ARG(c->hostname), SPAN_ARG(c->hostname));
	if (c->listen_count == 0)
		settings_doubt(s, e, "listen", "nowhere: only drains");
	warn_of_certificates(c, s, e);
	warn_of_lifetime(c, s, e);
	if (c->limits.message_bytes > c->spool.size_bytes)
		settings_doubt(s, e, "limits.message_size",
			       "more than spool.size");
	warn_of_disk(c, s, e);
	warn_of_mirror(c, s, e);
}
