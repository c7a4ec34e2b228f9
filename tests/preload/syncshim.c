/*
 * syncshim: an LD_PRELOAD library that counts flushes to disk, and can make
 * each one slower.
 *
 *   SYNCSHIM_DELAY_MS=2   added to every flush; -1: none is done, as on a disk
 *                         that is very fast
 *   SYNCSHIM_COUNT=FILE   "flushes bytes" as two 64-bit counters, mapped, so
 *                         that they survive whatever happens to the process
 *
 * A flush is fsync, fdatasync, or a write to a descriptor opened O_DSYNC.
 * Bytes are those of write calls to regular files.
 *
 * It also lends a long queue of connections to servers that listen with a
 * short one (OpenSMTPD: 5): a burst would measure retransmitted SYNs.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static struct {
	_Atomic uint64_t flushes, bytes;
} *count;
static long delay_ms;

__attribute__((constructor)) static void start(void)
{
	const char *file = getenv("SYNCSHIM_COUNT");
	const char *ms = getenv("SYNCSHIM_DELAY_MS");

	delay_ms = ms != NULL ? atol(ms) : 0;
	if (file == NULL)
		return;
	int fd = open(file, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	void *p = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED,
		       fd, 0);
	close(fd);
	if (p != MAP_FAILED)
		count = p;
}

static void flushed(void)
{
	struct timespec ts = { delay_ms / 1000, delay_ms % 1000 * 1000000 };

	if (count != NULL)
		atomic_fetch_add(&count->flushes, 1);
	if (delay_ms > 0)
		nanosleep(&ts, NULL);
}

static void wrote(int fd, ssize_t n)
{
	struct stat st;

	if (n <= 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	if (count != NULL)
		atomic_fetch_add(&count->bytes, (uint64_t)n);
	if ((fcntl(fd, F_GETFL) & O_DSYNC) != 0)
		flushed();
}

#define REAL(name) \
	static __typeof__(name) *real; \
	if (real == NULL) \
		*(void **)&real = dlsym(RTLD_NEXT, #name)

int listen(int fd, int backlog)
{
	enum { LONG_QUEUE = 4096 };
	REAL(listen);
	return real(fd, backlog < LONG_QUEUE ? LONG_QUEUE : backlog);
}

int fsync(int fd)
{
	REAL(fsync);
	flushed();
	return delay_ms < 0 ? 0 : real(fd);
}

int fdatasync(int fd)
{
	REAL(fdatasync);
	flushed();
	return delay_ms < 0 ? 0 : real(fd);
}

ssize_t write(int fd, const void *p, size_t n)
{
	REAL(write);
	ssize_t r = real(fd, p, n);

	wrote(fd, r);
	return r;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	REAL(pwrite64);
	ssize_t r = real(fd, p, n, at);

	wrote(fd, r);
	return r;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	REAL(pwrite);
	ssize_t r = real(fd, p, n, at);

	wrote(fd, r);
	return r;
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	REAL(writev);
	ssize_t r = real(fd, v, n);

	wrote(fd, r);
	return r;
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	REAL(pwritev);
	ssize_t r = real(fd, v, n, at);

	wrote(fd, r);
	return r;
}
