/*
 * powershim: an LD_PRELOAD library that writes down, in order, what a process
 * does to the spool's data file: every write before it is made, every flush
 * when it begins and when it has succeeded.  From that the images can be built
 * that a power cut at any instant may leave (tests/powercut).
 *
 *   POWERSHIM_LOG=FILE   the events, see powershim.h
 *   POWERSHIM_SEQ=FILE   how many there are so far, a mapped 64-bit counter:
 *                        who reads it after an answer knows an instant that
 *                        is later than all the answer rests on
 */
#include "powershim.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) \
	static __typeof__(name) *real; \
	if (real == NULL) \
		*(void **)&real = dlsym(RTLD_NEXT, #name)

enum { FDS = 65536 };
enum { OURS = 1, SYNCED = 2 }; /* the data file; opened O_DSYNC */

static unsigned char kind[FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int out = -1;
static bool has_begun;
static _Atomic uint64_t *seq;

static void stop(const char *why)
{
	if (write(STDERR_FILENO, why, strlen(why)) < 0)
		_exit(99);
	_exit(98);
}

__attribute__((constructor)) static void start(void)
{
	const char *log = getenv("POWERSHIM_LOG");
	const char *count = getenv("POWERSHIM_SEQ");
	int fd;

	if (log == NULL || count == NULL)
		return;
	out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fd = open(count, O_RDWR | O_CLOEXEC);
	if (out < 0 || fd < 0)
		stop("powershim: cannot open its files\n");
	seq = mmap(NULL, sizeof(*seq), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   0);
	close(fd);
	if ((void *)seq == MAP_FAILED)
		stop("powershim: cannot map its counter\n");
}

static void put(const void *p, size_t n)
{
	REAL(write);
	const char *from = p;

	while (n > 0) {
		ssize_t done = real(out, from, n);

		if (done <= 0)
			stop("powershim: cannot write its log\n");
		from += done;
		n -= (size_t)done;
	}
}

static void note(enum powershim_kind what, uint64_t at,
		 const struct iovec *iov, int count)
{
	struct powershim_event e = { .kind = what, .at = at };

	for (int i = 0; i < count; i++)
		e.bytes += iov[i].iov_len;
	pthread_mutex_lock(&lock);
	put(&e, sizeof(e));
	for (int i = 0; i < count; i++)
		put(iov[i].iov_base, iov[i].iov_len);
	atomic_fetch_add(seq, 1);
	pthread_mutex_unlock(&lock);
}

static bool is_ours(int fd)
{
	return out >= 0 && fd >= 0 && fd < FDS && (kind[fd] & OURS) != 0;
}

/* The file as it was found: durable, as far as this test goes. */
static void note_first(const char *path)
{
	struct stat st;
	struct iovec iov;
	void *p;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)
		stop("powershim: cannot read the file\n");
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		stop("powershim: cannot map the file\n");
	iov = (struct iovec){ p, (size_t)st.st_size };
	note(POWER_FIRST, 0, &iov, 1);
	munmap(p, (size_t)st.st_size);
	close(fd);
}

static int opened(int fd, const char *path, int flags)
{
	size_t n = strlen(path);
	static const char name[] = "/data.mdb", making[] = "/new/data.mdb";

	if (out < 0 || fd < 0 || fd >= FDS)
		return fd;
	kind[fd] = 0;
	if (n < sizeof(name) || strcmp(path + n - sizeof(name) + 1, name) != 0)
		return fd;
	if (n >= sizeof(making) &&
	    strcmp(path + n - sizeof(making) + 1, making) == 0)
		return fd;
	if ((flags & O_ACCMODE) == O_RDONLY)
		return fd;
	if (!has_begun) {
		has_begun = true;
		note_first(path);
	}
	kind[fd] = (unsigned char)(OURS | (flags & O_DSYNC ? SYNCED : 0));
	return fd;
}

int open(const char *path, int flags, ...)
{
	REAL(open);
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return opened(real(path, flags, mode), path, flags);
}

int open64(const char *path, int flags, ...)
{
	REAL(open64);
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return opened(real(path, flags, mode), path, flags);
}

int close(int fd)
{
	REAL(close);

	if (fd >= 0 && fd < FDS)
		kind[fd] = 0;
	return real(fd);
}

/* A write to an O_DSYNC descriptor is durable when it returns. */
static void written(int fd, ssize_t n)
{
	if (n >= 0 && (kind[fd] & SYNCED) != 0)
		note(POWER_WRITE_SYNCED, 0, NULL, 0);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	REAL(pwrite);
	struct iovec iov = { (void *)(uintptr_t)p, n };
	ssize_t done;

	if (!is_ours(fd))
		return real(fd, p, n, at);
	note(POWER_WRITE, (uint64_t)at, &iov, 1);
	done = real(fd, p, n, at);
	written(fd, done);
	return done;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	return pwrite(fd, p, n, at);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
	REAL(writev);
	ssize_t done;

	if (!is_ours(fd))
		return real(fd, iov, count);
	note(POWER_WRITE, (uint64_t)lseek(fd, 0, SEEK_CUR), iov, count);
	done = real(fd, iov, count);
	written(fd, done);
	return done;
}

ssize_t write(int fd, const void *p, size_t n)
{
	REAL(write);

	if (!is_ours(fd))
		return real(fd, p, n);
	struct iovec iov = { (void *)(uintptr_t)p, n };

	return writev(fd, &iov, 1);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
	REAL(pwritev);

	if (is_ours(fd))
		stop("powershim: pwritev is not written down\n");
	return real(fd, iov, count, at);
}

static void flushing(int fd)
{
	if (is_ours(fd))
		note(POWER_FLUSH, 0, NULL, 0);
}

static int flushed(int fd, int rc)
{
	if (is_ours(fd) && rc == 0)
		note(POWER_FLUSHED, 0, NULL, 0);
	return rc;
}

int fsync(int fd)
{
	REAL(fsync);
	flushing(fd);
	return flushed(fd, real(fd));
}

int fdatasync(int fd)
{
	REAL(fdatasync);
	flushing(fd);
	return flushed(fd, real(fd));
}

int msync(void *p, size_t n, int flags)
{
	REAL(msync);

	if (has_begun)
		stop("powershim: msync is not written down\n");
	return real(p, n, flags);
}

int ftruncate(int fd, off_t n)
{
	REAL(ftruncate);

	if (is_ours(fd))
		note(POWER_TRUNCATE, (uint64_t)n, NULL, 0);
	return real(fd, n);
}
