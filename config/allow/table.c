#include "config/allow/table.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/smtp/address.h"
#include "config/allow/places.h"
#include "config/allow/recipient.h"
#include "config/allow/set.h"
#include "config/value/text.h"

struct table {
	struct pool pool;
	struct set set;
	struct places places;
	int64_t time_ms;
	bool is_forced;
};

struct reader {
	struct table *t;
	struct lines lines;
	unsigned head; /* lines of it */
	struct buf local, domain; /* scratch */
	const atomic_bool *is_over;
	struct buf *why;
};

void table_free(struct table **tp)
{
	struct table *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	pool_free(&t->pool);
	places_fini(&t->places);
	free(t);
}

static void say_line(struct reader *r)
{
	buf_addf(r->why, "line %u: ", r->lines.number - r->head);
}

/* False: it grew meanwhile, or this is no domain. */
static bool enter(struct reader *r, const struct smtp_path *path)
{
	enum set_added added;

	buf_reset(&r->local);
	buf_reset(&r->domain);
	smtp_local_canon(&r->local, path->local);
	if (path->domain.n > 0 &&
	    smtp_domain_canon(&r->domain, path->domain) != MX_OK)
		return false;
	added = set_add(&r->t->set, buf_span(&r->local), buf_span(&r->domain));
	if (added == SET_NEW && r->domain.n > 0)
		places_count(&r->t->places, buf_span(&r->domain));
	return added != SET_FULL;
}

static bool must_end(const struct reader *r)
{
	return r->is_over != NULL && r->lines.number % 1024 == 0 &&
	       atomic_load_explicit(r->is_over, memory_order_relaxed);
}

static bool take_line(struct reader *r, struct span line)
{
	struct span text = recipient_strip(line);
	struct smtp_path path;

	if (text.n == 0 ||
	    (recipient_parse(line, text, &path) && enter(r, &path)) ||
	    r->t->is_forced)
		return true;
	say_line(r);
	if (r->t->set.used == 0 && text_is_complaint(text))
		buf_adds(r->why, TEXT_COMPLAINT);
	else
		recipient_wrong(r->why, line, text);
	return false;
}

static bool cannot_read(struct reader *r, const char *why)
{
	buf_addf(r->why, "cannot be read: %s", why);
	return false;
}

static bool read_lines(struct reader *r, struct span url,
		       struct copy_head *head)
{
	struct span line;
	size_t count;

	if (!lines_count(&r->lines, &count))
		return cannot_read(r, strerror(errno));
	if (count >= SET_MAX) {
		buf_addf(r->why, "more than %d lines", SET_MAX);
		return false;
	}
	if (!copy_head_read(&r->lines, url, head)) {
		buf_adds(r->why, "is no table of this URL");
		return false;
	}
	r->head = r->lines.number;
	r->t->is_forced = head->is_forced;
	set_init(&r->t->set, &r->t->pool, count);
	while (lines_next(&r->lines, &line))
		if (must_end(r) || !take_line(r, line))
			return false;
	places_sum(&r->t->places);
	return r->lines.error == 0 || cannot_read(r, lines_strerror(&r->lines));
}

struct table *table_read(const char *path, struct span url,
			 struct copy_head *head, const atomic_bool *is_over,
			 struct buf *why)
{
	struct reader r = { .is_over = is_over, .why = why };

	lines_init(&r.lines);
	/* the daemon's user owns the folder, and this may be root */
	if (!lines_open_own(&r.lines, path)) {
		if (errno != ENOENT)
			cannot_read(&r, strerror(errno));
	} else {
		r.t = mx_alloc(sizeof(*r.t));
		r.t->time_ms = lines_changed_ms(&r.lines);
		if (!read_lines(&r, url, head))
			table_free(&r.t);
		lines_close(&r.lines);
	}
	lines_fini(&r.lines);
	buf_fini(&r.local);
	buf_fini(&r.domain);
	return r.t;
}

size_t table_count(const struct table *t)
{
	return t != NULL ? t->set.used : 0;
}

uint64_t table_count_of(const struct table *t, struct span domain)
{
	return (uint64_t)t->set.locals + places_get(&t->places, domain);
}

int64_t table_time_ms(const struct table *t)
{
	return t->time_ms;
}

bool table_has(const struct table *t, struct span local, struct span domain)
{
	return set_has(&t->set, local, domain);
}

bool table_is_silent(const struct table *t, struct span domain)
{
	return !t->is_forced && table_count_of(t, domain) == 0;
}

bool table_doubt(const struct table *former, const struct table *now,
		 struct buf *why)
{
	const size_t before = table_count(former), n = table_count(now);

	if (now->is_forced)
		return false;
	if (n == 0)
		buf_adds(why, "has no recipient");
	else if (n * 2 < before)
		buf_addf(why, "has shrunk from %zu recipients to %zu", before,
			 n);
	else
		return false;
	return true;
}
