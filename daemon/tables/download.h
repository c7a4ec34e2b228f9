/*
 * Files over HTTPS by libcurl, on a thread that has nothing else to do: to a
 * descriptor, with limits, over HTTPS alone, without a proxy, and redirected
 * within one host only.  Not thread-safe but for downloads_wake.
 */
#ifndef MX_TABLES_DOWNLOAD_H
#define MX_TABLES_DOWNLOAD_H

#include "common/base/buf.h"
#include "common/net/tls.h"

struct downloads;
struct download; /* one under way */

struct download_limits {
	unsigned total_ms, connect_ms;
	uint64_t bytes;
};

struct downloads *downloads_new(struct download_limits limits);
void downloads_free(struct downloads **d); /* no download is under way */

struct download_request {
	const char *url;
	struct span etag, modified; /* of what there is; empty: none */
	struct tls_client_ctx *tls; /* until the end */
	/* The body comes, in pieces, after begin with what the server says of
	 * it.  False ends the download, which fails; errno says why. */
	bool (*begin)(struct span etag, struct span modified, void *arg);
	bool (*take)(struct span piece, void *arg);
	void *arg;
};

enum download_end {
	DOWNLOAD_NEW,	 /* all of it has come */
	DOWNLOAD_SAME,	 /* it is what there is (304) */
	DOWNLOAD_FAILED, /* why says so */
};
struct download_result {
	enum download_end end;
	struct span why;	/* for people; nothing of user and password */
	bool is_page;		/* a page for people came instead */
	int64_t retry_after_ms; /* as the server wants it; 0: it says nothing */
};
typedef void download_cb(const struct download_result *r, void *arg);

/* cb runs once, from downloads_run. */
struct download *download_start(struct downloads *d,
				const struct download_request *req,
				download_cb *cb);
void download_cancel(struct download **d); /* *d may be NULL */

/* Go on with all of them, and wait for the next thing to happen, so long at
 * most or until downloads_wake. */
void downloads_run(struct downloads *d, int64_t wait_ms);
/* From any thread. */
void downloads_wake(struct downloads *d);

#endif
