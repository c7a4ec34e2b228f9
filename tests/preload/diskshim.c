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

/* LMDB overwrites its meta page, one of the first two, by less than a page;
 * that takes no room. */
static bool write_fails(int fd, size_t n, off_t at)
{
	enum { PAGE = 4096 };
	const bool is_meta = n < PAGE && at < 2 * PAGE;

	return fails(fd, "write") && !(is_meta && errno == ENOSPC);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	REAL(pwrite64);
	return write_fails(fd, n, at) ? -1 : real(fd, p, n, at);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	REAL(pwrite);
	return write_fails(fd, n, at) ? -1 : real(fd, p, n, at);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	REAL(writev);
	return fails(fd, "write") ? -1 : real(fd, v, n);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	REAL(pwritev);
	return fails(fd, "write") ? -1 : real(fd, v, n, at);
}
