#include "config/allow/domains.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/smtp/address.h"
#include "config/allow/domains_priv.h"

struct domains *domains_new(struct span path, size_t rows, size_t sources)
{
	struct domains *d = mx_alloc(sizeof(*d));
	size_t slots = 16;

	while (slots < rows * 2) /* at most half full: short chains */
		slots *= 2;
	d->path = pool_span(&d->pool, path);
	d->rows = pool_alloc_array(&d->pool, rows, sizeof(*d->rows));
	d->sources =
		pool_alloc_array(&d->pool, sources, sizeof(*d->sources));
	d->uses = pool_alloc_array(&d->pool, sources, sizeof(*d->uses));
	d->index = pool_alloc_array(&d->pool, slots, sizeof(*d->index));
	d->index_mask = slots - 1;
	return d;
}

void domains_free(struct domains **d)
{
	if (*d == NULL)
		return;
	for (size_t i = 0; i < (*d)->source_count; i++)
		feed_unref(&(*d)->sources[i].feed);
	pool_free(&(*d)->pool);
	free(*d);
	*d = NULL;
}

size_t domains_count(const struct domains *d)
{
	return d != NULL ? d->row_count : 0;
}

size_t domains_recipients(const struct domains *d)
{
	return d != NULL ? d->recipient_count : 0;
}

unsigned domains_line(const struct config_domain *row)
{
	return domains_row(row)->line;
}

bool domains_have_quota(const struct domains *d)
{
	return d != NULL && d->has_quota;
}

bool domains_have_standby(const struct domains *d, enum standby_mode mode)
{
	return d != NULL && d->has_standby[mode];
}

/* ---- The index of domains ---- */

static bool is_wildcard(struct span name)
{
	return span_starts(name, SPAN_LIT("*."));
}

/* "*.example.net" has the hash of example.net with one bit turned, so that
 * looking up a subdomain needs no text put together. */
static uint64_t hash_name(struct span base, bool wildcard)
{
	return hash_keyed(base) ^ (wildcard ? 1 : 0);
}

/* The slot that holds the name, or the free one where it belongs. */
static struct slot *locate(const struct domains *d, struct span base,
			   bool wildcard)
{
	uint64_t hash = hash_name(base, wildcard);
	uint32_t tag = (uint32_t)(hash >> 32);
	size_t skip = wildcard ? 2 : 0;

	for (size_t i = hash & d->index_mask;; i = (i + 1) & d->index_mask) {
		struct slot *s = &d->index[i];

		if (s->row == 0)
			return s;
		struct span name = d->rows[s->row - 1].pub.name;
		if (s->tag == tag && is_wildcard(name) == wildcard &&
		    span_eq(span_skip(name, skip), base))
			return s;
	}
}

const struct row *domains_add(struct domains *d)
{
	struct row *row = &d->rows[d->row_count];
	bool wildcard = is_wildcard(row->pub.name);
	struct span base = span_skip(row->pub.name, wildcard ? 2 : 0);
	struct slot *s = locate(d, base, wildcard);

	if (s->row != 0)
		return &d->rows[s->row - 1];
	s->tag = (uint32_t)(hash_name(base, wildcard) >> 32);
	s->row = (uint32_t)++d->row_count;
	d->wildcard_count += wildcard;
	if (row->pub.any_recipient)
		row_kind_count(&d->any, row);
	return NULL;
}

const struct config_domain *domains_find(const struct domains *d,
					 struct span canonical)
{
	const struct slot *s = locate(d, canonical, false);

	while (s->row == 0 && d->wildcard_count > 0 && canonical.n > 0) {
		span_cut(&canonical, '.');
		s = locate(d, canonical, true);
	}
	return s->row != 0 ? &d->rows[s->row - 1].pub : NULL;
}

const struct config_domain *domains_at(const struct domains *d, size_t i)
{
	return i < d->row_count ? &d->rows[i].pub : NULL;
}

void domains_each(const struct domains *d, domains_cb *cb, void *arg)
{
	for (size_t i = 0; i < d->row_count; i++)
		if (!cb(&d->rows[i].pub, arg))
			return;
}

/* ---- Recipients ---- */

bool domains_take(struct domains *d, struct set *set, struct span local,
		  struct span domain, struct use *owner)
{
	enum set_added added = set_add(set, local, domain);

	if (added != SET_NEW)
		return added == SET_OLD;
	d->recipient_count++;
	if (owner != NULL)
		owner->own++;
	return true;
}

uint64_t use_recipients(const struct domains *d, const struct row *row,
			const struct use *use)
{
	const struct source *s = &d->sources[use->source];
	struct feed_state state;

	if (s->feed == NULL)
		return (uint64_t)s->set.locals + use->own;
	feed_state(s->feed, row->pub.name, &state);
	return state.has_table ? state.count : NO_LIMIT;
}

uint64_t row_recipients(const struct domains *d, const struct row *row)
{
	uint64_t sum = 0;

	if (row->pub.any_recipient || row->pub.verify)
		return NO_LIMIT;
	for (uint32_t i = 0; i < row->use_count; i++) {
		uint64_t n = use_recipients(d, row, &d->uses[row->use + i]);

		if (n == NO_LIMIT)
			return NO_LIMIT;
		sum += n;
	}
	return sum;
}

struct use *row_use_of(const struct domains *d, const struct row *row,
		       uint32_t source)
{
	for (uint32_t i = 0; i < row->use_count; i++)
		if (d->uses[row->use + i].source == source)
			return &d->uses[row->use + i];
	return NULL;
}

void source_name(struct buf *out, const struct domains *d, uint32_t number)
{
	const struct source *s = &d->sources[number];

	if (s->feed != NULL) {
		buf_adds(out, feed_shown(s->feed));
		return;
	}
	if (s->file == NULL || s->file[0] != '/')
		buf_add(out, value_dir(d->path));
	if (s->file != NULL) {
		buf_adds(out, s->file);
		return;
	}
	buf_adds(out, "recipients/");
	buf_add(out, d->rows[s->row].pub.name);
}

/* A table that lacks a whole domain says nothing about it. */
static enum listed_as ask_source(const struct source *s, struct span local,
				 struct span domain)
{
	const struct table *t;

	if (s->feed == NULL)
		return set_has(&s->set, local, domain) ? RECIPIENT_YES
						       : RECIPIENT_NO;
	t = feed_table(s->feed);
	if (t == NULL || table_is_silent(t, domain))
		return RECIPIENT_UNKNOWN;
	return table_has(t, local, domain) ? RECIPIENT_YES : RECIPIENT_NO;
}

/* Do the sources of this row have him?  Canonical. */
static enum listed_as look_up(const struct domains *d, const struct row *row,
			      struct span local, struct span domain)
{
	enum listed_as found = RECIPIENT_NO;

	if (span_eq(local, SPAN_LIT("postmaster")))
		return RECIPIENT_YES;
	for (uint32_t i = 0; i < row->use_count; i++) {
		enum listed_as said =
			ask_source(&d->sources[d->uses[row->use + i].source],
				   local, domain);

		if (said == RECIPIENT_YES)
			return said;
		if (said == RECIPIENT_UNKNOWN)
			found = said;
	}
	return found;
}

/* user+tag: what stands before any of the delimiters may be the user. */
static bool is_listed_untagged(const struct domains *d, const struct row *row,
			       struct span local, struct span domain)
{
	while (local.n > 1)
		if (local.p[--local.n] == row->pub.delimiter &&
		    look_up(d, row, local, domain) == RECIPIENT_YES)
			return true;
	return false;
}

enum listed_as domains_recipient(const struct domains *d,
				 const struct config_domain *pub,
				 struct span domain, struct span local)
{
	const struct row *row = domains_row(pub);
	enum listed_as found = RECIPIENT_NO;
	struct buf canon = { 0 };
	struct span user;

	if (pub->any_recipient)
		return RECIPIENT_YES;
	if (local.n == 0 || local.n > SMTP_PATH_MAX ||
	    domain.n > SMTP_DOMAIN_MAX)
		return RECIPIENT_NO;
	smtp_local_canon(&canon, local);
	user = buf_span(&canon);
	if (user.n > 0)
		found = look_up(d, row, user, domain);
	if (found != RECIPIENT_YES && pub->delimiter != '\0' &&
	    is_listed_untagged(d, row, user, domain))
		found = RECIPIENT_YES;
	buf_fini(&canon);
	return found;
}

/* The first of the row's that has him, word for word; NULL: none. */
static const struct source *source_with(const struct domains *d,
					const struct row *row,
					struct span domain, struct span local)
{
	const struct source *found = NULL;
	struct buf canon = { 0 };

	smtp_local_canon(&canon, local);
	for (uint32_t i = 0; found == NULL && i < row->use_count; i++) {
		found = &d->sources[d->uses[row->use + i].source];
		if (ask_source(found, buf_span(&canon), domain) !=
		    RECIPIENT_YES)
			found = NULL;
	}
	buf_fini(&canon);
	return found;
}

bool domains_is_fetched(const struct domains *d,
			const struct config_domain *pub, struct span domain,
			struct span local)
{
	const struct source *s =
		source_with(d, domains_row(pub), domain, local);

	return s != NULL && s->feed != NULL;
}

bool domains_is_named(const struct domains *d, const struct config_domain *pub,
		      struct span domain, struct span local)
{
	return source_with(d, domains_row(pub), domain, local) != NULL;
}

bool domains_has_recipient(const struct domains *d,
			   const struct config_domain *row, struct span domain,
			   struct span local)
{
	return domains_recipient(d, row, domain, local) == RECIPIENT_YES;
}

/* ---- What they come from ---- */

struct feed *domains_feed(const struct domains *d, size_t *at)
{
	while (d != NULL && *at < d->source_count) {
		struct feed *feed = d->sources[(*at)++].feed;

		if (feed != NULL)
			return feed;
	}
	return NULL;
}

static void fill_file(const struct domains *d, const struct row *row,
		      const struct use *use, struct domains_source *out)
{
	out->count = (int64_t)use_recipients(d, row, use);
	out->fetched_ms = d->sources[use->source].changed_ms;
}

static void fill_feed(const struct row *row, struct feed *feed,
		      struct domains_source *out)
{
	struct feed_state state;

	feed_state(feed, row->pub.name, &state);
	out->count = state.has_table ? (int64_t)state.count : -1;
	out->fetched_ms = state.fetched_ms;
	buf_adds(&out->error, state.error);
}

/* Those without a list: by number behind the others. */
static bool fill_word(const struct row *row, size_t i,
		      struct domains_source *out)
{
	out->count = -1;
	if (row->pub.any_recipient && i == 0)
		buf_adds(&out->name, "*");
	else if (row->pub.verify && i == 0)
		buf_adds(&out->name, "verify");
	else
		return false;
	return true;
}

bool domains_source(const struct domains *d, const struct config_domain *pub,
		    size_t i, struct domains_source *out)
{
	const struct row *row = domains_row(pub);
	const struct use *use;
	struct feed *feed;

	buf_reset(&out->name);
	buf_reset(&out->error);
	out->fetched_ms = 0;
	if (i >= row->use_count)
		return fill_word(row, i - row->use_count, out);
	use = &d->uses[row->use + i];
	feed = d->sources[use->source].feed;
	source_name(&out->name, d, use->source);
	if (feed != NULL)
		fill_feed(row, feed, out);
	else
		fill_file(d, row, use, out);
	return true;
}

void domains_source_fini(struct domains_source *s)
{
	buf_fini(&s->name);
	buf_fini(&s->error);
}
