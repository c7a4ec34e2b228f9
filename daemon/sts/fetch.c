#include "daemon/sts/fetch.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"

enum {
	FETCH_MAGIC = 0x0fe7c400,
	BODY_MAX = 65536,
};

/*
 * libcurl says which sockets it watches and when it wants to be woken; we call
 * curl_multi_socket_action only from our own watchers, never from within its
 * callbacks (it is not re-entrant: curl issue 3537).
 */
struct fetcher {
	struct ev_loop *loop;
	CURLM *multi;
	ev_timer timer;
	struct fetch_limits limits;
	struct tls_client_ctx *tls;
	LIST_HEAD(, fetch) fetches;
	LIST_HEAD(, watch) watches;
};

/* A socket of curl's on the loop. */
struct watch {
	LIST_ENTRY(watch) link;
	ev_io io;
	struct fetcher *fetcher;
};

struct fetch {
	unsigned magic;
	LIST_ENTRY(fetch) link;
	struct fetcher *fetcher;
	CURL *easy;
	struct curl_slist *resolve;
	struct buf body;
	char *url;
	char error[CURL_ERROR_SIZE];
	fetch_cb *cb;
	void *arg;
};

/* ---- Ends ---- */

static void fetch_free(struct fetch *f)
{
	curl_multi_remove_handle(f->fetcher->multi, f->easy);
	curl_easy_cleanup(f->easy);
	curl_slist_free_all(f->resolve);
	buf_fini(&f->body);
	LIST_REMOVE(f, link);
	f->magic = 0;
	free(f->url);
	free(f);
}

/* A server that says something else than text/plain serves something else;
 * one that says nothing may well be a small one (RFC 8461 section 3.3). */
static const char *judge(struct fetch *f, CURLcode code, char *text,
			 size_t size)
{
	char *type = NULL;
	long status = 0;

	if (code != CURLE_OK) {
		(void)snprintf(text, size, "%s",
			       f->error[0] != '\0' ? f->error
						   : curl_easy_strerror(code));
		return text;
	}
	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(f->easy, CURLINFO_CONTENT_TYPE, &type);
	if (status != 200) {
		(void)snprintf(text, size, "HTTP status %ld", status);
		return text;
	}
	if (type != NULL &&
	    !span_istarts(span_str(type), SPAN_LIT("text/plain"))) {
		(void)snprintf(text, size, "content type %.60s", type);
		return text;
	}
	return NULL;
}

static void finish(struct fetch *f, CURLcode code)
{
	char text[CURL_ERROR_SIZE];
	const char *why = judge(f, code, text, sizeof(text));
	struct buf body = f->body;
	fetch_cb *cb = f->cb;
	void *arg = f->arg;

	f->body = (struct buf){ 0 };
	fetch_free(f);
	cb(buf_span(&body), why, arg);
	buf_fini(&body);
}

static void reap(struct fetcher *f)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(f->multi, &left)) != NULL) {
		char *private = NULL;
		CURLcode code = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private);
		MX_ASSERT(((struct fetch *)(void *)private)->magic ==
			  FETCH_MAGIC);
		finish((struct fetch *)(void *)private, code);
	}
}

/* ---- The loop ---- */

static void on_socket(EV_P_ ev_io *w, int revents)
{
	struct fetcher *f = w->data;
	int what = (revents & EV_READ ? CURL_CSELECT_IN : 0) |
		   (revents & EV_WRITE ? CURL_CSELECT_OUT : 0);
	int running;

	(void)loop;
	/* w may be gone afterwards */
	curl_multi_socket_action(f->multi, w->fd, what, &running);
	reap(f);
}

static void on_timer(EV_P_ ev_timer *w, int revents)
{
	struct fetcher *f = w->data;
	int running;

	(void)loop;
	(void)revents;
	curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	reap(f);
}

static int set_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct fetcher *f = arg;

	(void)multi;
	ev_timer_stop(f->loop, &f->timer);
	if (timeout_ms >= 0) {
		ev_timer_set(&f->timer, (double)timeout_ms / 1000., 0.);
		ev_timer_start(f->loop, &f->timer);
	}
	return 0;
}

static void watch_free(struct watch *w)
{
	ev_io_stop(w->fetcher->loop, &w->io);
	LIST_REMOVE(w, link);
	free(w);
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
		      void *socket_arg)
{
	struct fetcher *f = arg;
	struct watch *w = socket_arg;
	int events = (what & CURL_POLL_IN ? EV_READ : 0) |
		     (what & CURL_POLL_OUT ? EV_WRITE : 0);

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w != NULL)
			watch_free(w);
		return 0;
	}
	if (w == NULL) {
		w = mx_alloc(sizeof(*w));
		w->fetcher = f;
		LIST_INSERT_HEAD(&f->watches, w, link);
		curl_multi_assign(f->multi, fd, w);
	} else {
		ev_io_stop(f->loop, &w->io);
	}
	ev_io_init(&w->io, on_socket, fd, events);
	w->io.data = f;
	ev_io_start(f->loop, &w->io);
	return 0;
}

/* ---- The module ---- */

struct fetcher *fetcher_new(struct ev_loop *loop, struct tls_client_ctx *tls,
			    struct fetch_limits limits)
{
	struct fetcher *f = mx_alloc(sizeof(*f));

	MX_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
	f->loop = loop;
	f->limits = limits;
	f->multi = curl_multi_init();
	MX_ASSERT(f->multi != NULL);
	f->tls = tls_client_ctx_ref(tls);
	LIST_INIT(&f->fetches);
	LIST_INIT(&f->watches);
	ev_timer_init(&f->timer, on_timer, 0., 0.);
	f->timer.data = f;
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
			  (long)limits.at_once);
	return f;
}

void fetcher_free(struct fetcher **fp)
{
	struct fetcher *f = *fp;
	struct fetch *fetch;
	struct watch *w;

	*fp = NULL;
	if (f == NULL)
		return;
	while ((fetch = LIST_FIRST(&f->fetches)) != NULL)
		fetch_free(fetch);
	curl_multi_cleanup(f->multi);
	while ((w = LIST_FIRST(&f->watches)) != NULL)
		watch_free(w);
	ev_timer_stop(f->loop, &f->timer);
	curl_global_cleanup();
	tls_client_ctx_unref(&f->tls);
	free(f);
}

static size_t take_body(char *p, size_t size, size_t count, void *arg)
{
	struct fetch *f = arg;

	if (f->body.n + size * count > BODY_MAX)
		return 0; /* ends the transfer: CURLE_WRITE_ERROR */
	buf_add(&f->body, span_of(p, size * count));
	return size * count;
}

/* "host:port:addr,addr": all that curl knows of names. */
static void set_resolve(struct fetch *f, const struct fetch_request *req)
{
	struct buf text = { 0 };

	buf_addf(&text, "%.*s:%u:", SPAN_ARG(req->host), req->port);
	for (size_t i = 0; i < req->addr_count; i++) {
		if (i > 0)
			buf_addc(&text, ',');
		if (req->addrs[i].family == AF_INET6)
			buf_addc(&text, '[');
		net_addr_add(&text, &req->addrs[i]);
		if (req->addrs[i].family == AF_INET6)
			buf_addc(&text, ']');
	}
	f->resolve = curl_slist_append(NULL, buf_cstr(&text));
	MX_ASSERT(f->resolve != NULL);
	buf_fini(&text);
	curl_easy_setopt(f->easy, CURLOPT_RESOLVE, f->resolve);
}

static CURLcode set_tls(CURL *easy, void *ssl_ctx, void *arg)
{
	struct fetch *f = arg;

	(void)easy;
	tls_client_ctx_lend(f->fetcher->tls, ssl_ctx);
	return CURLE_OK;
}

static void set_options(struct fetch *f)
{
	CURL *e = f->easy;

	curl_easy_setopt(e, CURLOPT_URL, f->url);
	curl_easy_setopt(e, CURLOPT_PRIVATE, f);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, f->error);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, f);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_PROXY, ""); /* nor from the environment */
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS,
			 (long)f->fetcher->limits.total_ms);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
			 (long)f->fetcher->limits.connect_ms);
	curl_easy_setopt(e, CURLOPT_MAXFILESIZE, (long)BODY_MAX);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(e, CURLOPT_USERAGENT, "mx20/" MX_VERSION);
	curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
	/* the roots are in set_tls, read once and not for each connection */
	curl_easy_setopt(e, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(e, CURLOPT_SSL_CTX_DATA, f);
	MX_ASSERT(curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, set_tls) ==
		  CURLE_OK); /* or libcurl is not the one with OpenSSL */
}

struct fetch *fetch_start(struct fetcher *fetcher,
			  const struct fetch_request *req, fetch_cb *cb,
			  void *arg)
{
	struct fetch *f = mx_alloc(sizeof(*f));
	struct buf url = { 0 };

	f->magic = FETCH_MAGIC;
	f->fetcher = fetcher;
	f->cb = cb;
	f->arg = arg;
	f->easy = curl_easy_init();
	MX_ASSERT(f->easy != NULL);
	buf_addf(&url, "https://%.*s:%u%s", SPAN_ARG(req->host), req->port,
		 req->path);
	f->url = mx_strdup(buf_cstr(&url));
	buf_fini(&url);
	LIST_INSERT_HEAD(&fetcher->fetches, f, link);
	set_resolve(f, req);
	set_options(f);
	/* Only arms the timer: the work begins on the loop. */
	curl_multi_add_handle(fetcher->multi, f->easy);
	return f;
}

void fetch_cancel(struct fetch **fp)
{
	struct fetch *f = *fp;

	*fp = NULL;
	if (f == NULL)
		return;
	MX_ASSERT(f->magic == FETCH_MAGIC);
	fetch_free(f);
}
