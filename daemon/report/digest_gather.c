/* What a digest is about: when, and how much of what. */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/siphash.h"
#include "daemon/report/digest.h"

#define FIRST_MS HOURS(5) /* of the day, UTC */
#define SPREAD_MS HOURS(1)
/* Its outcomes may still be on their way to the disk. */
#define GRACE_MS MINUTES(1)

/* ---- When ---- */

/* The same in each process and on each host: no key. */
static int64_t offset_ms(struct span domain)
{
	const struct siphash_key none = { 0, 0 };

	return FIRST_MS +
	       (int64_t)(siphash(none, domain) % (uint64_t)SPREAD_MS);
}

bool digest_due(struct span domain, int64_t last_ms, int64_t now_ms,
		struct digest_span *out)
{
	int64_t offset = offset_ms(domain), at = now_ms - offset - GRACE_MS;

	if (at < 0)
		return false;
	out->until_ms = at - at % DAYS(1) + offset;
	out->from_ms = last_ms > out->until_ms + DAYS(1) ? 0 : last_ms;
	return out->from_ms < out->until_ms;
}

/* ---- What ---- */

static bool has_digits(struct span word)
{
	size_t digits = 0;

	for (size_t i = 0; i < word.n; i++)
		digits += word.p[i] >= '0' && word.p[i] <= '9';
	return digits >= 3;
}

/*
 * A server's words without what is another in each reply: addresses, queue ids,
 * addresses of hosts.  The codes in front stay.
 */
static void key_of(struct span reply, struct buf *out)
{
	for (size_t n = 0; reply.n > 0; n++) {
		struct span word = span_cut(&reply, ' ');
		bool is_own = span_find(word, '@') < word.n ||
			      span_find(word, '/') < word.n ||
			      (n > 1 && has_digits(word));

		if (out->n > 0)
			buf_addc(out, ' ');
		buf_add(out, is_own ? SPAN_LIT("*") : word);
	}
}

static struct digest_group *group_of(struct digest *d,
				     const struct recipient *r)
{
	struct digest_group *g;
	struct buf key = { 0 };

	key_of(r->last_reply, &key);
	for (size_t i = 0; i < d->group_count; i++) {
		g = d->groups[i];
		if (g->failure == r->failure &&
		    span_eq(buf_span(&g->key), buf_span(&key))) {
			buf_fini(&key);
			return g;
		}
	}
	if (d->group_count == DIGEST_GROUPS_MAX) {
		buf_fini(&key);
		return NULL;
	}
	g = d->groups[d->group_count++] = mx_alloc(sizeof(*g));
	g->key = key;
	g->failure = r->failure;
	buf_add(&g->reply, r->last_reply);
	return g;
}

static void count_name(struct digest_name *names, size_t *count,
		       uint64_t *others, struct span name)
{
	for (size_t i = 0; i < *count; i++) {
		if (!span_ieq(buf_span(&names[i].name), name))
			continue;
		names[i].count++;
		return;
	}
	if (*count == DIGEST_NAMES_MAX) {
		++*others;
		return;
	}
	buf_add(&names[*count].name, name);
	names[(*count)++].count = 1;
}

static void add_new(struct digest *d, const struct unit *u,
		    const struct recipient *r)
{
	struct digest_group *g = group_of(d, r);

	d->recipients++;
	if (g == NULL) {
		d->other_recipients++;
		return;
	}
	if (g->recipients++ == 0)
		g->first_id = u->envelope.id;
	count_name(g->from, &g->from_count, &g->from_others, u->envelope.from);
	count_name(g->to, &g->to_count, &g->to_others, r->path);
}

void digest_add(struct digest *d, const struct unit *u)
{
	bool is_new = false, is_old = false;

	if (u->envelope.is_dsn)
		return;
	for (size_t i = 0; i < u->rcpt_count; i++) {
		const struct recipient *r = &u->rcpts[i];
		int64_t since_ms = r->until_ms - d->shelf_ms;

		if (r->state != RECIPIENT_SHELVED)
			continue;
		if (d->first_end_ms == 0 || r->until_ms < d->first_end_ms)
			d->first_end_ms = r->until_ms;
		if (since_ms > d->about.until_ms)
			continue; /* the next one's */
		if (since_ms > d->about.from_ms) {
			add_new(d, u, r);
			is_new = true;
		} else {
			is_old = true;
		}
	}
	d->messages += is_new;
	d->before += is_old && !is_new;
}

void digest_add_outage(struct digest *d, struct span key, struct span value)
{
	struct outage o;

	if (!outage_get(key, value, &o) || !outage_names(&o, d->domain) ||
	    o.began_ms > d->about.until_ms ||
	    (o.ended_ms != 0 && o.ended_ms <= d->about.from_ms))
		return;
	if (d->outage_count == DIGEST_OUTAGES_MAX) {
		d->outages_left_out++;
		return;
	}
	buf_add(&d->outage_keys[d->outage_count], key);
	buf_add(&d->outage_values[d->outage_count++], value);
}

static void group_free(struct digest_group *g)
{
	buf_fini(&g->key);
	buf_fini(&g->reply);
	for (size_t i = 0; i < DIGEST_NAMES_MAX; i++) {
		buf_fini(&g->from[i].name);
		buf_fini(&g->to[i].name);
	}
	free(g);
}

void digest_fini(struct digest *d)
{
	for (size_t i = 0; i < d->group_count; i++)
		group_free(d->groups[i]);
	for (size_t i = 0; i < d->outage_count; i++) {
		buf_fini(&d->outage_keys[i]);
		buf_fini(&d->outage_values[i]);
	}
	*d = (struct digest){ 0 };
}
