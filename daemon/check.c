#include "daemon/check.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "config/allow/compare.h"
#include "config/value/error.h"
#include "config/value/value.h"
#include "daemon/guard.h"
#include "daemon/privileges.h"

struct check {
	const struct config *c;
	struct privileges p;
	struct config_errors errors;
};

#define FAIL(k, ...) config_fail(&(k)->errors, (k)->c->path, 0, __VA_ARGS__)

static void fail_path(struct check *k, const char *key, struct span path,
		      int errnum)
{
	FAIL(k, "%s: %.*s: %s", key, SPAN_ARG(path), strerror(errnum));
}

/* ---- Of the host, whoever asks ---- */

/* To any port: whether this one is free is not for a daemon that runs.
 * Returns 0 or errno. */
static int try_bind(struct net_addr at)
{
	struct sockaddr_storage ss;
	int fd, errnum = 0;

	at.port = 0;
	socklen_t len = net_addr_to_sockaddr(&at, &ss);
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	if (bind(fd, (const struct sockaddr *)&ss, len) != 0)
		errnum = errno;
	close(fd);
	return errnum;
}

static void check_address(struct check *k, const struct config_listen *l)
{
	struct net_addr at;

	if (net_addr_parse(l->address, &at) != MX_OK)
		return; /* "*" */
	if (try_bind(at) == EADDRNOTAVAIL)
		FAIL(k, "listen: %.*s: not an address of this host",
		     SPAN_ARG(l->address));
}

static void check_socket(struct check *k, const char *key, struct span path)
{
	struct stat st;

	if (lstat(path.p, &st) == 0 && !S_ISSOCK(st.st_mode))
		FAIL(k, "%s: %.*s: exists and is no socket", key,
		     SPAN_ARG(path));
}

static void check_web(struct check *k)
{
	struct span listen = k->c->web.listen;
	struct net_addr at;

	if (listen.n > 0 && !value_is_endpoint(listen))
		check_socket(k, "web.listen", listen);
	if (value_is_endpoint(listen) &&
	    net_endpoint_parse(listen, ':', 0, &at) == MX_OK &&
	    try_bind(at) == EADDRNOTAVAIL)
		FAIL(k, "web.listen: %.*s: not an address of this host",
		     SPAN_ARG(listen));
}

static bool is_our_name(const struct config *c, struct span name)
{
	bool found = name.n > 0 && span_ieq(name, c->hostname);

	for (size_t i = 0; i < c->alias_count; i++)
		found |= name.n > 0 && span_ieq(name, c->aliases[i]);
	return found;
}

/* Where we listen ourselves.  What a name leads to is DNS's to say: a start
 * does not wait for that, and the first delivery finds it out. */
static bool is_this_host(const struct config *c, const struct config_hop *hop)
{
	for (size_t i = 0; i < c->listen_count; i++) {
		struct net_addr at;

		if (c->listen[i].port != hop->port)
			continue;
		if (is_our_name(c, hop->host))
			return true;
		if (hop->host.n == 0 &&
		    (net_addr_parse(c->listen[i].address, &at) == MX_OK
			     ? net_addr_eq(&at, &hop->addr)
			     : try_bind(hop->addr) == 0))
			return true;
	}
	return false;
}

static bool check_primary(const struct config_domain *row, void *arg)
{
	struct check *k = arg;

	for (size_t i = 0; i < row->primary_count; i++)
		if (is_this_host(k->c, &row->primary[i]))
			config_fail(&k->errors, k->c->domains_path, 0,
				    "%.*s: primary=%.*s leads to this host "
				    "itself",
				    SPAN_ARG(row->name),
				    SPAN_ARG(row->primary_text));
	return true;
}

/* ---- Of the user ---- */

static void missing(struct check *k, const char *key, struct span path,
		    int errnum)
{
	if (errnum != ENOENT)
		fail_path(k, key, path, errnum);
	else if (span_eq(path, k->c->spool.path))
		config_doubt(&k->errors, k->c->path, 0,
			     "%s: %.*s: not there: a start makes an empty "
			     "spool",
			     key, SPAN_ARG(path));
}

/*
 * Root makes what is missing and gives it to the user, and systemd does so
 * for /var/spool and /run: only what is there can be wrong.
 * True: it can be looked into.
 */
static bool check_folder(struct check *k, const char *key, struct span path)
{
	struct stat st;

	if (stat(path.p, &st) != 0) {
		missing(k, key, path, errno);
	} else if (!S_ISDIR(st.st_mode)) {
		fail_path(k, key, path, ENOTDIR);
	} else if (access(path.p, R_OK | W_OK | X_OK) == 0) {
		return true;
	} else if (!k->p.drops || errno != EACCES) {
		fail_path(k, key, path, errno);
	} else {
		/* root makes the socket, but not the spool */
		(span_eq(path, k->c->spool.path) ? config_fail : config_doubt)(
			&k->errors, k->c->path, 0,
			"%s: %.*s: not writable by %s, and a start does not "
			"change that: chown %s %.*s",
			key, SPAN_ARG(path), k->p.name, k->p.name,
			SPAN_ARG(path));
	}
	return false;
}

/* Root was here by hand, and the daemon's user cannot open what it left. */
static void check_files(struct check *k)
{
	static const char *const names[] = { "data.mdb", "lock.mdb" };
	struct buf path = { 0 };

	for (size_t i = 0; i < COUNT(names); i++) {
		buf_reset(&path);
		buf_addf(&path, "%s/%s", k->c->spool.path.p, names[i]);
		if (access(buf_cstr(&path), R_OK | W_OK) != 0 &&
		    errno != ENOENT)
			fail_path(k, "spool.path", buf_span(&path), errno);
	}
	buf_fini(&path);
}

static void check_rights(struct check *k)
{
	struct buf folder = { 0 };
	struct span control = k->c->control_path;

	while (control.n > 0 && control.p[control.n - 1] != '/')
		control.n--;
	buf_add(&folder, control.n > 0 ? control : SPAN_LIT("."));
	buf_cstr(&folder);
	check_folder(k, "control", buf_span(&folder));
	if (check_folder(k, "spool.path", k->c->spool.path))
		check_files(k);
	buf_fini(&folder);
}

/* As whom can it be checked?  False: as nobody who counts. */
static bool is_the_user(struct check *k)
{
	const struct passwd *pw = NULL;

	if (k->p.drops || geteuid() == 0 || k->c->user.n == 0)
		return true;
	pw = getpwnam(k->c->user.p);
	if (pw != NULL && pw->pw_uid == geteuid())
		return true;
	config_doubt(&k->errors, k->c->path, 0,
		     "user: checked as another user than %.*s: what that one "
		     "may read and write is not known",
		     SPAN_ARG(k->c->user));
	return false;
}

/* Everything again, with the user's eyes. */
static void load_as_user(struct check *k)
{
	struct config_errors errors = { 0 };
	struct config *again = config_load(k->c->path.p, &errors);
	struct span rest = buf_span(&errors.text);

	config_unref(&again);
	k->errors.count += errors.count;
	while (rest.n > 0) {
		buf_add(&k->errors.text, span_cut(&rest, '\n'));
		buf_addf(&k->errors.text, " (as %s)\n", k->p.name);
	}
	config_errors_fini(&errors);
}

/* There is no way back from here.  False: there is no such user. */
static bool become_user(struct check *k)
{
	struct buf why = { 0 };
	bool ok = privileges_plan(&k->p, k->c, &why) == MX_OK &&
		  (!k->p.drops || privileges_drop(&k->p, &why) == MX_OK);

	if (!ok)
		FAIL(k, "%s", buf_cstr(&why));
	buf_fini(&why);
	return ok;
}

/* In the words and the form of mx20ctl reload. */
static void say_doubts(struct span lines)
{
	while (lines.n > 0) {
		struct span line = span_cut(&lines, '\n');

		fprintf(stderr, "warning: %.*s\n", SPAN_ARG(line));
	}
}

static void warn_unreadable(const struct config *c, const char *key,
			    struct span path)
{
	struct buf text = { 0 };

	if (path.n == 0 || access(path.p, R_OK) == 0)
		return;
	buf_addf(&text, "%.*s: %s: %.*s: %s for %.*s: a reload will fail",
		 SPAN_ARG(c->path), key, SPAN_ARG(path), strerror(errno),
		 SPAN_ARG(c->user));
	log_warn(EV_CONFIG, LOG_SPAN("warning", buf_span(&text)));
	buf_fini(&text);
}

void check_reload(const struct config *c)
{
	warn_unreadable(c, "(file)", c->path);
	warn_unreadable(c, "domains", c->domains_path);
	warn_unreadable(c, "tls.ca_file", c->tls.ca_file);
	for (size_t i = 0; i < c->tls.pair_count; i++) {
		warn_unreadable(c, "tls.certificate", c->tls.certificates[i]);
		warn_unreadable(c, "tls.key", c->tls.keys[i]);
	}
}

void check_and_exit(struct config *c)
{
	struct check k = { .c = c };
	int status = EX_OK;
	bool is_user;

	say_doubts(c->doubts); /* what is legal, and still better known */
	for (size_t i = 0; i < c->listen_count; i++)
		check_address(&k, &c->listen[i]);
	check_web(&k);
	check_socket(&k, "control", c->control_path);
	domains_each(c->domains, check_primary, &k);
	is_user = become_user(&k);
	guard_check(c); /* reads what the user may have written */
	if (is_user && is_the_user(&k)) {
		if (k.p.drops)
			load_as_user(&k);
		check_rights(&k);
	}
	say_doubts(buf_span(&k.errors.doubts));
	if (k.errors.count > 0) {
		fwrite(k.errors.text.p, 1, k.errors.text.n, stderr);
		status = EX_CONFIG;
	} else {
		struct buf text = { 0 };

		change_count(&text, c->domain_count, "domain");
		buf_adds(&text, ", ");
		change_count(&text, c->recipient_count, "recipient");
		printf("%.*s: no errors, %s\n", SPAN_ARG(c->path),
		       buf_cstr(&text));
		buf_fini(&text);
	}
	config_errors_fini(&k.errors);
	config_unref(&c);
	exit(status);
}
