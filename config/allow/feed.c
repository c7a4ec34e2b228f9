#include "config/allow/feed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/hash.h"
#include "config/allow/url.h"

struct feed {
	UT_hash_handle hh; /* by url */
	unsigned refs;	   /* under the lock of all */
	char *url, *shown;
	pthread_mutex_t lock; /* of what follows; the loop need not take it
				 to read the table, which it alone replaces */
	struct table *table;
	struct copy_head head;
	int64_t fetched_ms, failed_ms;
	bool is_doubted;
	char error[sizeof(((struct feed_state *)NULL)->error)];
};

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct feed *all;

/* ---- All of them ---- */

/* One more reference to that of the URL, or NULL. */
static struct feed *find(struct span url)
{
	struct feed *f;

	pthread_mutex_lock(&all_lock);
	HASH_FIND(hh, all, url.p, url.n, f);
	if (f != NULL)
		f->refs++;
	pthread_mutex_unlock(&all_lock);
	return f;
}

static char *copy_of(struct span text)
{
	char *copy = mx_alloc(text.n + 1);

	memcpy(copy, text.p, text.n);
	return copy;
}

static struct feed *feed_new(struct span url)
{
	struct feed *f = mx_alloc(sizeof(*f));
	struct buf shown = { 0 };

	url_show(&shown, url);
	f->url = copy_of(url);
	f->shown = copy_of(buf_span(&shown));
	pthread_mutex_init(&f->lock, NULL);
	buf_fini(&shown);
	return f;
}

static void feed_free(struct feed *f)
{
	table_free(&f->table);
	copy_head_fini(&f->head);
	pthread_mutex_destroy(&f->lock);
	free(f->url);
	free(f->shown);
	free(f);
}

static void load(struct feed *f, struct span folder, struct buf *why)
{
	struct buf path = { 0 };

	copy_path(&path, folder, span_str(f->url));
	f->table = table_read(buf_cstr(&path), span_str(f->url), &f->head,
			      NULL, why);
	if (f->table != NULL)
		f->fetched_ms = table_time_ms(f->table);
	else
		copy_head_fini(&f->head);
	buf_fini(&path);
}

/* The lock is not held while a copy is read: the loop takes it, too.  Only who
 * loads a configuration asks, one at a time. */
struct feed *feed_get(struct span url, struct span folder, struct buf *why)
{
	struct feed *f = find(url);

	if (f != NULL)
		return f;
	f = feed_new(url);
	load(f, folder, why);
	f->refs = 1;
	pthread_mutex_lock(&all_lock);
	HASH_ADD_KEYPTR(hh, all, f->url, strlen(f->url), f);
	pthread_mutex_unlock(&all_lock);
	return f;
}

struct feed *feed_ref(struct feed *f)
{
	pthread_mutex_lock(&all_lock);
	f->refs++;
	pthread_mutex_unlock(&all_lock);
	return f;
}

void feed_unref(struct feed **fp)
{
	struct feed *f = *fp;
	bool is_last;

	*fp = NULL;
	if (f == NULL)
		return;
	pthread_mutex_lock(&all_lock);
	MX_ASSERT(f->refs > 0);
	is_last = --f->refs == 0;
	if (is_last)
		HASH_DEL(all, f);
	pthread_mutex_unlock(&all_lock);
	if (is_last)
		feed_free(f);
}

/* ---- One of them ---- */

const char *feed_url(const struct feed *f)
{
	return f->url;
}

const char *feed_shown(const struct feed *f)
{
	return f->shown;
}

const struct table *feed_table(const struct feed *f)
{
	return f->table;
}

void feed_swap(struct feed *f, struct table **t, struct copy_head *head)
{
	struct table *former;
	struct copy_head former_head;

	pthread_mutex_lock(&f->lock);
	former = f->table;
	former_head = f->head;
	f->table = *t;
	f->head = *head;
	pthread_mutex_unlock(&f->lock);
	*t = former;
	*head = former_head;
}

void feed_head(struct feed *f, struct copy_head *out)
{
	pthread_mutex_lock(&f->lock);
	if (f->table != NULL) {
		buf_add(&out->etag, buf_span(&f->head.etag));
		buf_add(&out->modified, buf_span(&f->head.modified));
		out->is_forced = f->head.is_forced;
	}
	pthread_mutex_unlock(&f->lock);
}

bool feed_doubts(struct feed *f, const struct table *now, struct buf *why)
{
	bool doubts;

	pthread_mutex_lock(&f->lock);
	doubts = table_doubt(f->table, now, why);
	pthread_mutex_unlock(&f->lock);
	return doubts;
}

void feed_state(struct feed *f, struct span domain, struct feed_state *out)
{
	pthread_mutex_lock(&f->lock);
	*out = (struct feed_state){
		.has_table = f->table != NULL,
		.fetched_ms = f->fetched_ms,
		.failed_ms = f->failed_ms,
		.is_doubted = f->is_doubted,
	};
	if (f->table != NULL)
		out->count = domain.n > 0 ? table_count_of(f->table, domain)
					  : table_count(f->table);
	memcpy(out->error, f->error, sizeof(out->error));
	pthread_mutex_unlock(&f->lock);
}

void feed_confirm(struct feed *f, int64_t now_ms)
{
	pthread_mutex_lock(&f->lock);
	f->fetched_ms = now_ms;
	f->failed_ms = 0;
	f->is_doubted = false;
	f->error[0] = '\0';
	pthread_mutex_unlock(&f->lock);
}

static void keep_error(struct feed *f, struct span why)
{
	size_t n = why.n < sizeof(f->error) ? why.n : sizeof(f->error) - 1;

	for (size_t i = 0; i < n; i++)
		f->error[i] = why.p[i] >= ' ' && why.p[i] <= '~' ? why.p[i]
								 : '?';
	f->error[n] = '\0';
}

bool feed_fail(struct feed *f, struct span why, bool is_doubted,
	       int64_t now_ms)
{
	char was[sizeof(f->error)];
	bool is_news;

	pthread_mutex_lock(&f->lock);
	memcpy(was, f->error, sizeof(was));
	keep_error(f, why);
	is_news = strcmp(was, f->error) != 0;
	if (f->failed_ms == 0)
		f->failed_ms = now_ms;
	f->is_doubted = is_doubted;
	pthread_mutex_unlock(&f->lock);
	return is_news;
}
