#include "daemon/tables/download.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/tables/origin.h"

enum {
	DOWNLOAD_MAGIC = 0x00d0a10d,
	REDIRECTS_MAX = 5,
	/* A server that sends less than an octet a second is dead. */
	STALL_SECONDS = 60,
	WAIT_MS = 60000,
};

struct downloads {
	CURLM *multi;
	struct download_limits limits;
	LIST_HEAD(, download) all;
};

struct download {
	unsigned magic;
	LIST_ENTRY(download) link;
	struct downloads *owner;
	struct download_request req;
	download_cb *cb;
	CURL *easy;
	struct curl_slist *header;
	char *url; /* where it is now: redirects */
	char *user; /* "user:password", or NULL */
	int64_t begin_ms;
	uint64_t bytes;
	unsigned redirects;
	bool has_begun, is_page;
	struct buf etag, modified, why;
	char error[CURL_ERROR_SIZE];
};

/* ---- What comes ---- */

static long status_of(const struct download *d)
{
	long status = 0;

	curl_easy_getinfo(d->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static size_t take_header(char *p, size_t size, size_t count, void *arg)
{
	struct download *d = arg;
	struct span value = span_of(p, size * count);
	struct span name = span_cut(&value, ':');
	struct buf *to = NULL;

	while (value.n > 0 && (value.p[value.n - 1] == '\r' ||
			       value.p[value.n - 1] == '\n'))
		value.n--;
	value = span_trim(value);
	if (span_ieq(name, SPAN_LIT("etag")))
		to = &d->etag;
	else if (span_ieq(name, SPAN_LIT("last-modified")))
		to = &d->modified;
	if (to != NULL && value.n < 512) {
		buf_reset(to);
		for (size_t i = 0; i < value.n; i++)
			if (value.p[i] >= ' ' && value.p[i] <= '~')
				buf_addc(to, value.p[i]);
	}
	return size * count;
}

/* A page for people has no place here, whatever it says. */
static bool is_page(struct download *d)
{
	char *type = NULL;

	curl_easy_getinfo(d->easy, CURLINFO_CONTENT_TYPE, &type);
	if (type == NULL || (!span_istarts(span_str(type),
					   SPAN_LIT("text/html")) &&
			     !span_istarts(span_str(type),
					   SPAN_LIT("application/xhtml"))))
		return false;
	d->is_page = true;
	buf_addf(&d->why, "is a page for people (%.60s): is this the login?",
		 type);
	return true;
}

static bool begin(struct download *d)
{
	if (d->has_begun)
		return true;
	d->has_begun = true;
	if (is_page(d))
		return false;
	if (d->req.begin(buf_span(&d->etag), buf_span(&d->modified),
			 d->req.arg))
		return true;
	buf_addf(&d->why, "cannot be kept: %s", strerror(errno));
	return false;
}

/* 0 ends the transfer: CURLE_WRITE_ERROR. */
static size_t take_body(char *p, size_t size, size_t count, void *arg)
{
	struct download *d = arg;
	struct span piece = span_of(p, size * count);

	if (status_of(d) != 200) /* what it says instead is for people */
		return piece.n;
	d->bytes += piece.n;
	if (d->bytes > d->owner->limits.bytes) {
		buf_addf(&d->why, "is larger than %llu bytes",
			 (unsigned long long)d->owner->limits.bytes);
		return 0;
	}
	if (!begin(d))
		return 0;
	if (!d->req.take(piece, d->req.arg)) {
		buf_addf(&d->why, "cannot be kept: %s", strerror(errno));
		return 0;
	}
	return piece.n;
}

/* ---- Asking ---- */

static CURLcode set_tls(CURL *easy, void *ssl_ctx, void *arg)
{
	struct download *d = arg;

	(void)easy;
	tls_client_ctx_lend(d->req.tls, ssl_ctx);
	return CURLE_OK;
}

static void set_conditions(struct download *d)
{
	struct buf line = { 0 };

	if (d->req.etag.n > 0) {
		buf_addf(&line, "If-None-Match: %.*s", SPAN_ARG(d->req.etag));
		d->header = curl_slist_append(d->header, buf_cstr(&line));
		buf_reset(&line);
	}
	if (d->req.modified.n > 0) {
		buf_addf(&line, "If-Modified-Since: %.*s",
			 SPAN_ARG(d->req.modified));
		d->header = curl_slist_append(d->header, buf_cstr(&line));
	}
	buf_fini(&line);
	curl_easy_setopt(d->easy, CURLOPT_HTTPHEADER, d->header);
}

static void set_limits(struct download *d)
{
	const struct download_limits *l = &d->owner->limits;
	int64_t left_ms = l->total_ms - (clock_mono_ms() - d->begin_ms);
	CURL *e = d->easy;

	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS,
			 (long)(left_ms > 1 ? left_ms : 1));
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)l->connect_ms);
	curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
}

static void set_options(struct download *d)
{
	CURL *e = d->easy;

	curl_easy_setopt(e, CURLOPT_URL, d->url);
	curl_easy_setopt(e, CURLOPT_USERPWD, d->user);
	curl_easy_setopt(e, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
	curl_easy_setopt(e, CURLOPT_PRIVATE, d);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, d->error);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, d);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, d);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L); /* see redirect */
	curl_easy_setopt(e, CURLOPT_PROXY, ""); /* nor from the environment */
	curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	/* who leaves does not wait for a resolver that hangs */
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(e, CURLOPT_USERAGENT, "mx20/" MX_VERSION);
	curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
	/* the roots are in set_tls: those of everything else */
	curl_easy_setopt(e, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(e, CURLOPT_SSL_CTX_DATA, d);
	MX_ASSERT(curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, set_tls) ==
		  CURLE_OK); /* or libcurl is not the one with OpenSSL */
}

static void ask(struct download *d)
{
	d->easy = curl_easy_init();
	MX_ASSERT(d->easy != NULL);
	d->error[0] = '\0';
	buf_reset(&d->etag);
	buf_reset(&d->modified);
	set_options(d);
	set_limits(d);
	set_conditions(d);
	curl_multi_add_handle(d->owner->multi, d->easy);
}

static void stop_asking(struct download *d)
{
	curl_multi_remove_handle(d->owner->multi, d->easy);
	curl_easy_cleanup(d->easy);
	curl_slist_free_all(d->header);
	d->easy = NULL;
	d->header = NULL;
}

/* ---- URLs ---- */

/* Take user and password out, where curl would put them into its messages. */
static void split_url(struct download *d, const char *url)
{
	struct span rest = span_skip(span_str(url), strlen("https://"));
	struct buf plain = { 0 };
	size_t end = 0, at;

	while (end < rest.n && strchr("/?#", rest.p[end]) == NULL)
		end++;
	at = end;
	while (at > 0 && rest.p[at - 1] != '@')
		at--;
	buf_adds(&plain, "https://");
	buf_add(&plain, span_skip(rest, at));
	d->url = mx_strdup(buf_cstr(&plain));
	buf_reset(&plain);
	if (at > 0) {
		buf_add(&plain, (struct span){ rest.p, at - 1 });
		d->user = curl_easy_unescape(d->easy, buf_cstr(&plain),
					     (int)plain.n, NULL);
	}
	buf_fini(&plain);
}

/* True: it goes on there.  Whoever serves the table was named by the operator;
 * another host was not, nor would it be given the password. */
static bool redirect(struct download *d)
{
	char *to = NULL;

	curl_easy_getinfo(d->easy, CURLINFO_REDIRECT_URL, &to);
	if (to == NULL)
		return false;
	if (!origin_is_same(d->url, to)) {
		buf_adds(&d->why, "redirects to another host: ");
		(void)origin_add(&d->why, to);
		return false;
	}
	if (++d->redirects > REDIRECTS_MAX) {
		buf_adds(&d->why, "redirects too often");
		return false;
	}
	free(d->url);
	d->url = mx_strdup(to);
	stop_asking(d);
	ask(d);
	return true;
}

/* ---- Ends ---- */

static void download_free(struct download *d)
{
	if (d->easy != NULL)
		stop_asking(d);
	LIST_REMOVE(d, link);
	d->magic = 0;
	curl_free(d->user);
	free(d->url);
	buf_fini(&d->etag);
	buf_fini(&d->modified);
	buf_fini(&d->why);
	free(d);
}

/* begin may not have run: a body of no octets is one, too. */
static enum download_end judge(struct download *d, CURLcode code)
{
	long status = status_of(d);

	if (code != CURLE_OK) {
		if (d->why.n == 0)
			buf_adds(&d->why, d->error[0] != '\0'
						  ? d->error
						  : curl_easy_strerror(code));
		return DOWNLOAD_FAILED;
	}
	if (status == 304 && (d->req.etag.n > 0 || d->req.modified.n > 0))
		return DOWNLOAD_SAME;
	if (status != 200 && d->why.n == 0)
		buf_addf(&d->why, "HTTP status %ld", status);
	if (status != 200 || !begin(d))
		return DOWNLOAD_FAILED;
	return DOWNLOAD_NEW;
}

static void finish(struct download *d, CURLcode code)
{
	long status = status_of(d);
	struct download_result r = { 0 };
	curl_off_t after_s = 0;

	if (code == CURLE_OK && status >= 300 && status < 400 &&
	    status != 304 && redirect(d))
		return;
	r.end = judge(d, code);
	r.why = buf_span(&d->why);
	r.is_page = d->is_page;
	curl_easy_getinfo(d->easy, CURLINFO_RETRY_AFTER, &after_s);
	r.retry_after_ms = SECONDS(after_s < 3600 ? after_s : 3600);
	d->cb(&r, d->req.arg);
	download_free(d);
}

/* True: something may have begun. */
static bool reap(struct downloads *all)
{
	CURLMsg *msg;
	bool any = false;
	int left;

	while ((msg = curl_multi_info_read(all->multi, &left)) != NULL) {
		char *private = NULL;
		CURLcode code = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private);
		MX_ASSERT(((struct download *)(void *)private)->magic ==
			  DOWNLOAD_MAGIC);
		finish((struct download *)(void *)private, code);
		any = true;
	}
	return any;
}

/* ---- The module ---- */

struct downloads *downloads_new(struct download_limits limits)
{
	struct downloads *d = mx_alloc(sizeof(*d));

	MX_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
	d->multi = curl_multi_init();
	MX_ASSERT(d->multi != NULL);
	d->limits = limits;
	LIST_INIT(&d->all);
	return d;
}

void downloads_free(struct downloads **dp)
{
	struct downloads *d = *dp;

	*dp = NULL;
	MX_ASSERT(LIST_EMPTY(&d->all));
	curl_multi_cleanup(d->multi);
	curl_global_cleanup();
	free(d);
}

struct download *download_start(struct downloads *all,
				const struct download_request *req,
				download_cb *cb)
{
	struct download *d = mx_alloc(sizeof(*d));

	d->magic = DOWNLOAD_MAGIC;
	d->owner = all;
	d->req = *req;
	d->cb = cb;
	d->begin_ms = clock_mono_ms();
	LIST_INSERT_HEAD(&all->all, d, link);
	split_url(d, req->url);
	ask(d);
	return d;
}

void download_cancel(struct download **dp)
{
	struct download *d = *dp;

	*dp = NULL;
	if (d == NULL)
		return;
	MX_ASSERT(d->magic == DOWNLOAD_MAGIC);
	download_free(d);
}

void downloads_run(struct downloads *d, int64_t wait_ms)
{
	int running;

	if (wait_ms > WAIT_MS)
		wait_ms = WAIT_MS;
	while (curl_multi_perform(d->multi, &running), reap(d))
		wait_ms = 0; /* whoever has ended may want to go on */
	curl_multi_poll(d->multi, NULL, 0, (int)(wait_ms > 0 ? wait_ms : 0),
			NULL);
}

void downloads_wake(struct downloads *d)
{
	curl_multi_wakeup(d->multi);
}
