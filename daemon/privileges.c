#include "daemon/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/assert.h"

static enum mx_err not_dropped(struct buf *why, const char *what)
{
	int errnum = errno;

	buf_addf(why, "%s: %s", what, strerrordesc_np(errnum));
	return mx_from_errno(errnum);
}

enum mx_err privileges_plan(struct privileges *p, const struct config *c,
			    struct buf *why)
{
	struct passwd *pw;

	*p = (struct privileges){ .name = c->user.p };
	if (geteuid() != 0 || c->user.n == 0)
		return MX_OK;
	errno = 0;
	pw = getpwnam(c->user.p); /* text of the configuration ends with NUL */
	if (pw == NULL) {
		config_no_user(c, why);
		return MX_ENOENT;
	}
	p->uid = pw->pw_uid;
	p->gid = pw->pw_gid;
	p->drops = p->uid != 0;
	return MX_OK;
}

/* The directory, not what somebody put in its place meanwhile. */
static bool give_away(const struct privileges *p, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool ok = fd >= 0 && fchown(fd, p->uid, p->gid) == 0;
	int errnum = errno;

	if (fd >= 0)
		close(fd);
	errno = errnum;
	return ok;
}

enum mx_err privileges_folder(const struct privileges *p, struct span path,
			      mode_t mode, struct buf *why)
{
	char part[4096];

	if (!p->drops || path.n == 0 || path.n >= sizeof(part))
		return MX_OK; /* whoever opens it says what is wrong */
	for (size_t i = 1; i <= path.n; i++) {
		bool is_last = i == path.n;

		if (!is_last && path.p[i] != '/')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)i, path.p);
		if (mkdir(part, is_last ? mode : 0755) != 0) {
			if (errno != EEXIST)
				return not_dropped(why, part);
		} else if (is_last && !give_away(p, part)) {
			return not_dropped(why, part);
		}
	}
	return MX_OK;
}

uint64_t privileges_raise_files(uint64_t wanted)
{
	struct rlimit r = { 0 };

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return 0;
	if (r.rlim_max < wanted) {
		struct rlimit more = { wanted, wanted };

		if (setrlimit(RLIMIT_NOFILE, &more) == 0) /* root may */
			return wanted;
	}
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	return getrlimit(RLIMIT_NOFILE, &r) == 0 ? r.rlim_cur : 0;
}

enum mx_err privileges_drop(const struct privileges *p, struct buf *why)
{
	umask(0077);
	if (p->drops) {
		if (initgroups(p->name, p->gid) != 0)
			return not_dropped(why, "initgroups");
		if (setresgid(p->gid, p->gid, p->gid) != 0)
			return not_dropped(why, "setgid");
		if (setresuid(p->uid, p->uid, p->uid) != 0)
			return not_dropped(why, "setuid");
		/* it must not come back */
		MX_ASSERT(setuid(0) != 0 && seteuid(0) != 0);
		MX_ASSERT(getuid() == p->uid && geteuid() == p->uid);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return not_dropped(why, "no_new_privs");
	return MX_OK;
}
