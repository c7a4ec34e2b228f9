#include "common/net/local.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 512 };

static enum mx_err bind_fail(struct buf *why, const char *path,
			     const char *what)
{
	int errnum = errno;

	buf_addf(why, "%s: %s: %s", path, what, strerrordesc_np(errnum));
	return mx_from_errno(errnum);
}

/* Does somebody answer there? */
static bool is_served(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool served;

	if (fd < 0)
		return true; /* not known: leave it alone */
	/* a full backlog (EAGAIN) is an answer, too */
	served = connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0 ||
		 errno == EAGAIN;
	close(fd);
	return served;
}

static enum mx_err remove_stale(const struct sockaddr_un *at, struct buf *why)
{
	struct stat st;

	if (lstat(at->sun_path, &st) != 0)
		return errno == ENOENT ? MX_OK
				       : bind_fail(why, at->sun_path, "stat");
	if (!S_ISSOCK(st.st_mode)) {
		buf_addf(why, "%s: exists and is no socket", at->sun_path);
		return MX_EBUSY;
	}
	if (is_served(at)) {
		buf_addf(why, "%s: another mx20d answers there", at->sun_path);
		return MX_EBUSY;
	}
	if (unlink(at->sun_path) != 0 && errno != ENOENT)
		return bind_fail(why, at->sun_path,
				 "cannot remove the old socket");
	return MX_OK;
}

/* /run is empty after a boot; systemd makes the folder, others do not. */
static void make_folder(const char *path)
{
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (slash == NULL || slash == folder)
		return;
	*slash = '\0';
	(void)mkdir(folder, 0755); /* bind says what is wrong, if anything */
}

enum mx_err local_listen(struct span path, int *fd, struct buf *why)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	enum mx_err err;
	mode_t mask;
	int s, rc;

	*fd = -1;
	if (path.n >= sizeof(at.sun_path)) {
		buf_addf(why,
			 "%.*s: longer than the %zu bytes of a socket's"
			 " name",
			 SPAN_ARG(path), sizeof(at.sun_path) - 1);
		return MX_EINVAL;
	}
	memcpy(at.sun_path, path.p, path.n);
	err = remove_stale(&at, why);
	if (err != MX_OK)
		return err;
	make_folder(at.sun_path);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s < 0)
		return bind_fail(why, at.sun_path, "socket");
	mask = umask(0111); /* for everybody to connect */
	rc = bind(s, (const struct sockaddr *)&at, sizeof(at));
	umask(mask);
	if (rc != 0 || listen(s, BACKLOG) != 0) {
		err = bind_fail(why, at.sun_path, "cannot listen");
		close(s);
		return err;
	}
	*fd = s;
	return MX_OK;
}
