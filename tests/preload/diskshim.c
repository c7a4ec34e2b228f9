/*
 * diskshim: an LD_PRELOAD library that makes a disk fail while a file says so.
 *
 *   DISKSHIM=FILE   one line: what fails and how, "write EIO", "write ENOSPC",
 *                   "sync EIO"; empty or missing: the disk is well again
 *
 * Only regular files are concerned: sockets and the log go on.  A sync that
 * fails leaves the data in the page cache, as the kernel does.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) \
	static __typeof__(name) *real; \
	if (real == NULL) \
		*(void **)&real = dlsym(RTLD_NEXT, #name)

static const char *file;

__attribute__((constructor)) static void start(void)
{
	file = getenv("DISKSHIM");
}

/* Does this kind of call fail now?  Then errno is set. */
static bool fails(int fd, const char *kind)
{
	char order[32] = "";
	struct stat st;
	int kept = errno;

	if (file == NULL || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	int f = open(file, O_RDONLY | O_CLOEXEC);

	if (f < 0) {
		errno = kept;
		return false;
	}
	if (read(f, order, sizeof(order) - 1) < 0)
		order[0] = '\0';
	close(f);
	errno = kept;
	if (strncmp(order, kind, strlen(kind)) != 0)
		return false;
	errno = strstr(order, "ENOSPC") != NULL ? ENOSPC : EIO;
	return true;
}

int fsync(int fd)
{
	REAL(fsync);
	return fails(fd, "sync") ? -1 : real(fd);
}

int fdatasync(int fd)
{
	REAL(fdatasync);
	return fails(fd, "sync") ? -1 : real(fd);
}

/* LMDB writes its meta page through a descriptor opened O_DSYNC; that page is
 * overwritten, which takes no room. */
static bool write_fails(int fd)
{
	bool is_meta = (fcntl(fd, F_GETFL) & O_DSYNC) != 0;

	if (is_meta && fails(fd, "sync"))
		return true;
	return fails(fd, "write") && !(is_meta && errno == ENOSPC);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	REAL(pwrite64);
	return write_fails(fd) ? -1 : real(fd, p, n, at);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	REAL(pwrite);
	return write_fails(fd) ? -1 : real(fd, p, n, at);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	REAL(writev);
	return write_fails(fd) ? -1 : real(fd, v, n);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	REAL(pwritev);
	return write_fails(fd) ? -1 : real(fd, v, n, at);
}
