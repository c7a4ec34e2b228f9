#include "config/allow/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "config/value/text.h"

enum { BUFFER_BYTES = 128 << 10 }; /* see lines_strerror */

void lines_init(struct lines *l)
{
	*l = (struct lines){ .fd = -1, .buf = mx_alloc(BUFFER_BYTES) };
}

void lines_fini(struct lines *l)
{
	free(l->buf);
	l->buf = NULL;
}

static bool open_as(struct lines *l, const char *path, int flags)
{
	/* O_NONBLOCK: a FIFO that nobody writes to must not stop a reload. */
	l->fd = open(path,
		     O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);
	l->start = l->end = 0;
	l->eof = false;
	l->number = 0;
	l->is_utf16 = l->is_cut = false;
	l->commas = 0;
	l->error = 0;
	return l->fd >= 0;
}

bool lines_open(struct lines *l, const char *path)
{
	return open_as(l, path, 0);
}

bool lines_open_own(struct lines *l, const char *path)
{
	struct stat st;

	if (!open_as(l, path, O_NOFOLLOW))
		return false;
	if (fstat(l->fd, &st) == 0 && S_ISREG(st.st_mode))
		return true;
	lines_close(l);
	errno = EINVAL;
	return false;
}

int64_t lines_changed_ms(const struct lines *l)
{
	struct stat st;

	if (fstat(l->fd, &st) != 0)
		return 0;
	return (int64_t)st.st_mtim.tv_sec * 1000 +
	       st.st_mtim.tv_nsec / 1000000;
}

void lines_close(struct lines *l)
{
	close(l->fd);
	l->fd = -1;
}

/* Move what is left to the front and read behind it. */
static bool refill(struct lines *l)
{
	size_t left = l->end - l->start;
	ssize_t n;

	if (left > 0 && l->start > 0)
		memmove(l->buf, l->buf + l->start, left);
	l->start = 0;
	l->end = left;
	if (left == BUFFER_BYTES) {
		errno = EMSGSIZE;
		return false;
	}
	do {
		n = read(l->fd, l->buf + left, BUFFER_BYTES - left);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return false;
	l->end += (size_t)n;
	l->eof = n == 0;
	return true;
}

static size_t count_sign(const char *p, size_t n, char sign)
{
	const char *end = p + n, *at;
	size_t count = 0;

	while (p < end && (at = memchr(p, sign, (size_t)(end - p))) != NULL) {
		count++;
		p = at + 1;
	}
	return count;
}

bool lines_count(struct lines *l, size_t *count)
{
	bool whole = true; /* does the buffer hold all there is? */

	*count = 1; /* the last line may lack its LF */
	while (!l->eof) {
		if (l->end == BUFFER_BYTES) {
			l->end = 0;
			whole = false;
		}
		size_t had = l->end;
		if (!refill(l))
			return false;
		if (whole && had == 0)
			l->is_utf16 = text_is_utf16(span_of(l->buf, l->end));
		*count += count_sign(l->buf + had, l->end - had, '\n');
		l->commas += count_sign(l->buf + had, l->end - had, ',');
	}
	if (whole) /* most recipient files: not read twice */
		return true;
	l->end = 0;
	l->eof = false;
	return lseek(l->fd, 0, SEEK_SET) == 0;
}

const char *lines_strerror(const struct lines *l)
{
	return l->error == EMSGSIZE ? "a line of more than 128K"
				    : strerror(l->error);
}

bool lines_next(struct lines *l, struct span *line)
{
	for (;;) {
		const char *p = l->buf + l->start;
		size_t left = l->end - l->start;
		const char *lf = left > 0 ? memchr(p, '\n', left) : NULL;

		if (lf != NULL || (l->eof && left > 0)) {
			size_t n = lf != NULL ? (size_t)(lf - p) : left;

			l->start += n + (lf != NULL ? 1 : 0);
			if (n > 0 && p[n - 1] == '\r')
				n--;
			*line = (struct span){ p, n };
			l->is_marked = span_starts(*line, BYTE_ORDER_MARK);
			if (l->is_marked)
				*line = span_skip(*line, BYTE_ORDER_MARK.n);
			l->is_cut = lf == NULL;
			l->number++;
			return true;
		}
		if (l->eof)
			return false;
		if (!refill(l)) {
			l->error = errno;
			l->number++;
			return false;
		}
	}
}
