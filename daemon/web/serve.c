#include "daemon/web/serve.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/web/exposition.h"
#include "daemon/web/response.h"
#include "daemon/web/style.h"

enum {
	MAGIC = 0x68747470,
	MEMORY = 16 * 1024, /* of a connection: its request, and our header */
};

/* One that is open. */
struct reader {
	TAILQ_ENTRY(reader) link;
	int fd; /* -1: its end was asked for */
	char from[INET6_ADDRSTRLEN]; /* "": over a Unix socket */
	int64_t since_ms; /* monotonic */
};

struct serve {
	unsigned magic;
	struct MHD_Daemon *daemon;
	struct desk *desk;
	const struct health *health;
	pthread_mutex_t lock; /* of the list */
	TAILQ_HEAD(, reader) readers; /* the oldest first */
	size_t count;		      /* that may go on */
};

/* ---- Answers ---- */

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status,
			      const char *const *body, const char *content_type)
{
	struct buf text = { 0 };
	struct MHD_Response *r;
	enum MHD_Result result;

	for (; *body != NULL; body++)
		buf_adds(&text, *body);
	r = response_new(&text, content_type);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, "Allow", "GET, HEAD");
	result = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result say(struct MHD_Connection *c, unsigned status,
			   const char *line)
{
	const char *body[] = { line, NULL };

	return answer(c, status, body, "text/plain; charset=utf-8");
}

/* ---- Requests ---- */

static const char *accept_of(struct MHD_Connection *c)
{
	return MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Accept");
}

static enum web_doc metrics_doc(struct MHD_Connection *c)
{
	return exposition_wanted(accept_of(c)) == EXPOSITION_OPENMETRICS
		       ? DOC_METRICS_OPEN
		       : DOC_METRICS_TEXT;
}

static enum web_doc status_doc(struct MHD_Connection *c)
{
	(void)c;
	return DOC_STATUS;
}

static enum web_doc outages_doc(struct MHD_Connection *c)
{
	(void)c;
	return DOC_OUTAGES;
}

static enum web_doc page_doc(struct MHD_Connection *c)
{
	(void)c;
	return DOC_PAGE;
}

/* A document is made; or it is what it is. */
static const struct place {
	const char *path;
	enum web_doc (*doc)(struct MHD_Connection *c);
	const char *const *text; /* pieces, NULL ends */
	const char *content_type;
} places[] = {
	{ "/", page_doc, NULL, NULL },
	{ "/style.css", NULL, style_css, "text/css; charset=utf-8" },
	{ "/icon.svg", NULL, style_icon, "image/svg+xml" },
	{ "/metrics", metrics_doc, NULL, NULL },
	{ "/api/status", status_doc, NULL, NULL },
	{ "/api/outages", outages_doc, NULL, NULL },
};

static enum MHD_Result tell_health(struct serve *s, struct MHD_Connection *c)
{
	const char *trouble = health_trouble(s->health, clock_mono_ms());

	if (trouble != NULL)
		return say(c, MHD_HTTP_SERVICE_UNAVAILABLE, trouble);
	return say(c, MHD_HTTP_OK, "ok\n");
}

static enum MHD_Result find(struct serve *s, struct MHD_Connection *c,
			    const char *path, bool is_again)
{
	enum MHD_Result result = MHD_YES;

	if (strcmp(path, "/healthz") == 0)
		return tell_health(s, c);
	for (size_t i = 0; i < COUNT(places); i++) {
		const struct place *p = &places[i];

		if (strcmp(path, p->path) != 0)
			continue;
		if (p->doc == NULL)
			return answer(c, MHD_HTTP_OK, p->text, p->content_type);
		if (desk_ask(s->desk, p->doc(c), is_again, c, &result) ==
		    DESK_NONE)
			return say(c, MHD_HTTP_SERVICE_UNAVAILABLE,
				   "not now\n");
		return result;
	}
	return say(c, MHD_HTTP_NOT_FOUND, "no such page\n");
}

/*
 * Called when the header is there, and again when all is; then once more for
 * who had to wait.  A body is not wanted and not kept.
 */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *c,
				  const char *path, const char *method,
				  const char *version, const char *body,
				  size_t *body_size, void **seen)
{
	static char header, whole;
	struct serve *s = arg;
	bool is_again = *seen == &whole;

	(void)version;
	(void)body;
	MX_ASSERT(s->magic == MAGIC);
	if (*seen == NULL) {
		*seen = &header;
		return MHD_YES;
	}
	if (*body_size > 0) {
		*body_size = 0;
		return MHD_YES;
	}
	*seen = &whole;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
	    strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return say(c, MHD_HTTP_METHOD_NOT_ALLOWED,
			   "here is nothing to be changed: GET or HEAD\n");
	return find(s, c, path, is_again);
}

/* ---- Connections ---- */

static size_t count_from(const struct serve *s, const char *from)
{
	const struct reader *r;
	size_t n = 0;

	TAILQ_FOREACH (r, &s->readers, link)
		n += r->fd >= 0 && strcmp(r->from, from) == 0;
	return n;
}

static void end_reader(struct serve *s, struct reader *r)
{
	shutdown(r->fd, SHUT_RDWR);
	r->fd = -1;
	s->count--;
}

/* There are enough: the one that has been there for the longest leaves, of
 * those who have most.  So whoever asks quickly gets in, however many are
 * slow. */
static void make_room(struct serve *s)
{
	struct reader *r, *leaves = NULL;
	size_t most = 0;

	TAILQ_FOREACH (r, &s->readers, link) {
		size_t n = r->fd >= 0 ? count_from(s, r->from) : 0;

		if (n <= most)
			continue;
		most = n;
		leaves = r;
	}
	if (leaves != NULL)
		end_reader(s, leaves);
}

static void note_from(struct reader *r, struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *sa = info != NULL ? info->client_addr : NULL;

	if (sa != NULL && sa->sa_family == AF_INET)
		inet_ntop(AF_INET,
			  &((const struct sockaddr_in *)(const void *)sa)
				   ->sin_addr,
			  r->from, sizeof(r->from));
	if (sa != NULL && sa->sa_family == AF_INET6)
		inet_ntop(AF_INET6,
			  &((const struct sockaddr_in6 *)(const void *)sa)
				   ->sin6_addr,
			  r->from, sizeof(r->from));
}

static void open_reader(struct serve *s, struct MHD_Connection *c, void **slot)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct reader *r = mx_alloc(sizeof(*r));

	note_from(r, c);
	r->fd = info != NULL ? info->connect_fd : -1;
	r->since_ms = clock_mono_ms();
	if (r->fd >= 0 && s->count++ >= SERVE_CROWD)
		make_room(s);
	TAILQ_INSERT_TAIL(&s->readers, r, link);
	*slot = r;
}

/* The socket is still open: nobody else has its number. */
static void on_connection(void *arg, struct MHD_Connection *c, void **slot,
			  enum MHD_ConnectionNotificationCode what)
{
	struct serve *s = arg;
	struct reader *r = *slot;

	pthread_mutex_lock(&s->lock);
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		open_reader(s, c, slot);
	} else if (r != NULL) {
		TAILQ_REMOVE(&s->readers, r, link);
		s->count -= r->fd >= 0;
		free(r);
		*slot = NULL;
	}
	pthread_mutex_unlock(&s->lock);
}

void serve_sweep(struct serve *s)
{
	int64_t before_ms = clock_mono_ms() - SECONDS(SERVE_WHOLE_S);
	struct reader *r;

	pthread_mutex_lock(&s->lock);
	TAILQ_FOREACH (r, &s->readers, link)
		if (r->since_ms < before_ms && r->fd >= 0)
			end_reader(s, r);
	pthread_mutex_unlock(&s->lock);
}

/* ---- Life ---- */

static struct MHD_Daemon *start(struct serve *s, int fd)
{
	return MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0,
		NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)DESK_READERS,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SERVE_IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
}

struct serve *serve_new(int fd, struct desk *desk, const struct health *health)
{
	struct serve *s = mx_alloc(sizeof(*s));

	s->magic = MAGIC;
	s->desk = desk;
	s->health = health;
	pthread_mutex_init(&s->lock, NULL);
	TAILQ_INIT(&s->readers);
	s->daemon = start(s, fd);
	if (s->daemon == NULL) {
		close(fd);
		serve_free(&s);
	}
	return s;
}

void serve_free(struct serve **sp)
{
	struct serve *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	if (s->daemon != NULL)
		MHD_stop_daemon(s->daemon);
	MX_ASSERT(TAILQ_EMPTY(&s->readers));
	pthread_mutex_destroy(&s->lock);
	s->magic = 0;
	free(s);
}
