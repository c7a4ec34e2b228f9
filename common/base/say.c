#include "common/base/say.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

/* Standard error that nobody reads must not keep us. */
enum { SAY_MS = 1000 };

/* Can it take PIPE_BUF bytes?  Not before so many ms: false. */
static bool is_writable(int wait_ms)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	int n;

	do
		n = poll(&p, 1, wait_ms);
	while (n < 0 && errno == EINTR);
	return n > 0;
}

bool say_some(struct span *s, size_t most)
{
	ssize_t n = write(STDERR_FILENO, s->p, s->n < most ? s->n : most);

	if (n < 0 && errno == EAGAIN) /* somebody else made it like that */
		return is_writable(-1);
	if (n < 0)
		return errno == EINTR;
	*s = span_skip(*s, (size_t)n);
	return true;
}

void say_now(struct span s)
{
	while (s.n > 0 && is_writable(SAY_MS) && say_some(&s, PIPE_BUF))
		;
}
