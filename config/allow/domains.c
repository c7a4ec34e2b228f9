#include "config/allow/domains.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/smtp/address.h"
#include "config/allow/domains_priv.h"
#include "config/allow/url.h"

struct domains *domains_new(struct span path, size_t rows, size_t sources)
{
	struct domains *d = mx_alloc(sizeof(*d));
	size_t slots = 16;

	while (slots < rows * 2) /* at most half full: short chains */
		slots *= 2;
	d->path = pool_span(&d->pool, path);
	d->rows = pool_alloc_array(&d->pool, rows, sizeof(*d->rows));
	d->sets = pool_alloc_array(&d->pool, sources, sizeof(*d->sets));
	d->uses = pool_alloc_array(&d->pool, sources, sizeof(*d->uses));
	d->index = pool_alloc_array(&d->pool, slots, sizeof(*d->index));
	d->index_mask = slots - 1;
	return d;
}

void domains_free(struct domains **d)
{
	if (*d == NULL)
		return;
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

/* ---- Sets of recipients ---- */

/* local NUL domain: a quoted local part may hold any sign but that one. */
static uint64_t hash_recipient(struct span local, struct span domain)
{
	char text[SMTP_CANON_MAX + 1 + SMTP_DOMAIN_MAX];
	size_t n = local.n;

	if (n > 0) /* "" is a local part, too */
		memcpy(text, local.p, n);
	if (domain.n > 0) {
		text[n++] = '\0';
		memcpy(text + n, domain.p, domain.n);
		n += domain.n;
	}
	uint64_t hash = hash_keyed((struct span){ text, n });
	return hash != 0 ? hash : 1;
}

/* The slot that holds the hash, or the free one where it belongs; there is
 * always a free one. */
static uint64_t *set_locate(const struct set *set, uint64_t hash)
{
	/* the upper half scaled to the room: no division */
	size_t i = (size_t)((hash >> 32) * set->room >> 32);

	while (set->slots[i] != 0 && set->slots[i] != hash)
		if (++i == set->room)
			i = 0;
	return &set->slots[i];
}

void set_init(struct domains *d, struct set *set, size_t recipients)
{
	MX_ASSERT(recipients < ROWS_MAX);
	/* at most two thirds full */
	set->room = (uint32_t)(recipients + recipients / 2 + 1);
	set->slots = pool_alloc_array(&d->pool, set->room, sizeof(uint64_t));
}

bool set_add(struct domains *d, struct set *set, struct span local,
	     struct span domain, struct use *owner)
{
	uint64_t hash = hash_recipient(local, domain);
	uint64_t *slot = set_locate(set, hash);

	if (*slot == hash) /* listed twice: harmless */
		return true;
	if (set->used + 1 >= set->room)
		return false;
	*slot = hash;
	set->used++;
	d->recipient_count++;
	if (owner != NULL)
		owner->own++;
	else
		set->locals++;
	return true;
}

uint64_t use_recipients(const struct domains *d, const struct use *use)
{
	const struct set *set = &d->sets[use->set];

	return set->is_url ? NO_LIMIT : (uint64_t)set->locals + use->own;
}

uint64_t row_recipients(const struct domains *d, const struct row *row)
{
	uint64_t sum = 0;

	if (row->pub.any_recipient || row->pub.verify)
		return NO_LIMIT;
	for (uint32_t i = 0; i < row->use_count; i++) {
		uint64_t n = use_recipients(d, &d->uses[row->use + i]);

		if (n == NO_LIMIT)
			return NO_LIMIT;
		sum += n;
	}
	return sum;
}

struct use *row_use_of(const struct domains *d, const struct row *row,
		       uint32_t set)
{
	for (uint32_t i = 0; i < row->use_count; i++)
		if (d->uses[row->use + i].set == set)
			return &d->uses[row->use + i];
	return NULL;
}

void set_file(struct buf *out, const struct domains *d, uint32_t number)
{
	const struct set *set = &d->sets[number];

	if (set->is_url) {
		url_show(out, span_str(set->file));
		return;
	}
	if (set->file == NULL || set->file[0] != '/')
		buf_add(out, value_dir(d->path));
	if (set->file != NULL) {
		buf_adds(out, set->file);
		return;
	}
	buf_adds(out, "recipients/");
	buf_add(out, d->rows[set->row].pub.name);
}

static bool set_has(const struct set *set, struct span local,
		    struct span domain)
{
	const struct span none = { "", 0 };

	return (set->locals > 0 &&
		*set_locate(set, hash_recipient(local, none)) != 0) ||
	       (set->used > set->locals &&
		*set_locate(set, hash_recipient(local, domain)) != 0);
}

/* Do the sources of this row have him?  Canonical. */
static enum listed_as look_up(const struct domains *d, const struct row *row,
			      struct span local, struct span domain)
{
	enum listed_as found = RECIPIENT_NO;

	if (span_eq(local, SPAN_LIT("postmaster")))
		return RECIPIENT_YES;
	for (uint32_t i = 0; i < row->use_count; i++) {
		const struct set *set = &d->sets[d->uses[row->use + i].set];

		if (set->is_url)
			found = RECIPIENT_UNKNOWN;
		else if (set_has(set, local, domain))
			return RECIPIENT_YES;
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

bool domains_has_recipient(const struct domains *d,
			   const struct config_domain *row, struct span domain,
			   struct span local)
{
	return domains_recipient(d, row, domain, local) == RECIPIENT_YES;
}
