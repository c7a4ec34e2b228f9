#include "daemon/ctl/link.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"

enum {
	HELLO_MS = 5000, /* a daemon that lives answers in milliseconds */
	SEND_TIMEOUT_S = 10,
	READ_SIZE = 64 * 1024,
};

static enum ctl_exit unreachable(struct link *l, struct buf *why,
				 struct span path, const char *what)
{
	buf_addf(why, "%s (%.*s)", what, SPAN_ARG(path));
	link_close(l);
	return CTL_UNREACHABLE;
}

/* It is there, and has no ear for us. */
static enum ctl_exit refuse(struct link *l, struct buf *why, struct span path,
			    struct span what)
{
	buf_addf(why, "%.*s (%.*s)", SPAN_ARG(what), SPAN_ARG(path));
	link_close(l);
	return CTL_FAILED;
}

static const char *connect_problem(int errnum)
{
	switch (errnum) {
	case ENOENT:
	case ECONNREFUSED:
		return "mx20d is not running";
	case EAGAIN:
		return "mx20d does not answer";
	default:
		return strerrordesc_np(errnum);
	}
}

/* Who may not ask is told so before anything was read: what cannot be sent any
 * more is no reason not to listen. */
static enum ctl_exit shake_hands(struct link *l, struct buf *why,
				 struct span path)
{
	enum ctl_exit rc = CTL_DONE;
	json_t *hello;

	(void)link_send(l, json_pack("{s:s}", "verb", "hello"));
	hello = link_read(l, HELLO_MS);
	l->hangs = hello == NULL;
	if (hello == NULL)
		return unreachable(l, why, path, "mx20d does not answer");
	if (control_get_bool(hello, "ok"))
		snprintf(l->version, sizeof(l->version), "%.*s",
			 SPAN_ARG(control_get_text(hello, "version")));
	else
		rc = refuse(l, why, path, control_get_text(hello, "error"));
	json_decref(hello);
	return rc;
}

enum ctl_exit link_open(struct link *l, const struct ctl *ctl, struct buf *why)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct span path = ctl->config->control_path;
	const struct timeval limit = { .tv_sec = SEND_TIMEOUT_S };

	*l = (struct link){ .fd = -1 };
	if (path.n >= sizeof(at.sun_path))
		return unreachable(l, why, path,
				   "the socket's name is too long");
	memcpy(at.sun_path, path.p, path.n);
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return unreachable(l, why, path, "no socket");
	/* also bounds connect, which waits while the backlog is full */
	setsockopt(l->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(l->fd, (const struct sockaddr *)&at, sizeof(at)) == 0)
		return shake_hands(l, why, path);
	if (errno == EACCES || errno == EPERM)
		return refuse(l, why, path, SPAN_LIT(CONTROL_NOT_PERMITTED));
	l->hangs = errno == EAGAIN;
	return unreachable(l, why, path, connect_problem(errno));
}

void link_close(struct link *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	buf_fini(&l->in);
	l->taken = 0;
}

static bool link_write(struct link *l, struct span lines)
{
	while (lines.n > 0 && l->fd >= 0) {
		ssize_t n = send(l->fd, lines.p, lines.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		lines = span_skip(lines, (size_t)n);
	}
	return l->fd >= 0;
}

bool link_send(struct link *l, json_t *request)
{
	struct buf line = { 0 };
	bool sent;

	control_encode(&line, request);
	sent = link_write(l, buf_span(&line));
	buf_fini(&line);
	return sent;
}

/* Wait for input; false when the time is over. */
static bool wait_input(int fd, int64_t until_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (;;) {
		int64_t left_ms =
			until_ms == 0 ? -1 : until_ms - clock_mono_ms();
		int n;

		if (until_ms != 0 && left_ms <= 0)
			return false;
		n = poll(&p, 1, (int)left_ms);
		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
	}
}

/* More bytes; false at the end or when the time is over. */
static bool fill(struct link *l, int64_t until_ms)
{
	ssize_t n;

	if (!wait_input(l->fd, until_ms))
		return false;
	buf_consume(&l->in, l->taken);
	l->taken = 0;
	n = read(l->fd, buf_reserve(&l->in, READ_SIZE), READ_SIZE);
	if (n <= 0)
		return n < 0 && errno == EINTR;
	l->in.n += (size_t)n;
	return true;
}

bool link_waits(const struct link *l, int64_t timeout_ms)
{
	return l->in.n > l->taken || l->fd < 0 ||
	       wait_input(l->fd, clock_mono_ms() + timeout_ms);
}

json_t *link_read(struct link *l, int64_t timeout_ms)
{
	int64_t until_ms = timeout_ms == 0 ? 0 : clock_mono_ms() + timeout_ms;
	json_t *object;

	while (l->fd >= 0) {
		struct span rest = span_skip(buf_span(&l->in), l->taken);
		enum mx_err err = control_decode(&rest, &object);

		l->taken = l->in.n - rest.n;
		if (err == MX_OK)
			return object;
		if (err != MX_EBUSY || !fill(l, until_ms))
			break;
	}
	return NULL;
}

enum ctl_exit link_need(struct link *l, const struct ctl *ctl)
{
	struct buf why = { 0 };
	enum ctl_exit rc = link_open(l, ctl, &why);

	if (rc != CTL_DONE)
		ctl_complain("%s", buf_cstr(&why));
	buf_fini(&why);
	return rc;
}

json_t *link_ask(struct link *l, json_t *request, link_part_cb *each, void *arg)
{
	json_t *line;

	if (!link_send(l, request)) {
		ctl_complain("mx20d hung up");
		return NULL;
	}
	while ((line = link_read(l, 0)) != NULL) {
		if (json_object_get(line, "ok") != NULL)
			return line;
		if (each != NULL)
			each(line, arg);
		json_decref(line);
	}
	ctl_complain("mx20d hung up before it answered: whether it was done"
		     " is not known");
	return NULL;
}
