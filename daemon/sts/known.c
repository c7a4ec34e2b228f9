#include "daemon/sts/known.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"

struct sts_known *sts_known_ref(struct sts_known *k)
{
	k->refs++;
	return k;
}

void sts_known_unref(struct sts_known **kp)
{
	struct sts_known *k = *kp;

	*kp = NULL;
	if (k == NULL || --k->refs > 0)
		return;
	arena_reset(&k->arena);
	free(k);
}

struct sts_known *sts_known_new(struct span domain, struct span id,
				int64_t fetched_ms, struct span text)
{
	struct sts_known *k = mx_alloc(sizeof(*k));

	k->refs = 1;
	if (!sts_policy_parse(text, &k->arena, &k->policy)) {
		sts_known_unref(&k);
		return NULL;
	}
	k->domain = arena_span(&k->arena, domain);
	k->id = arena_span(&k->arena, id);
	k->fetched_ms = fetched_ms;
	return k;
}

int64_t sts_known_age_ms(const struct sts_known *k)
{
	return clock_wall_ms() - k->fetched_ms;
}

bool sts_known_in_force(const struct sts_known *k)
{
	return k != NULL && sts_known_age_ms(k) < SECONDS(k->policy.max_age_s);
}

/* ---- Across restarts ------------------------------------------------ */

static void fact_key(struct buf *key, struct span domain)
{
	buf_addf(key, "sts:%.*s", SPAN_ARG(domain));
}

void sts_known_put(const struct sts_facts *f, const struct sts_known *k,
		   struct span text)
{
	struct buf key = { 0 }, value = { 0 };

	if (f->put == NULL)
		return;
	fact_key(&key, k->domain);
	buf_addf(&value, "%.*s %lld\n", SPAN_ARG(k->id),
		 (long long)k->fetched_ms);
	buf_add(&value, text);
	f->put(buf_span(&key), buf_span(&value), f->arg);
	buf_fini(&key);
	buf_fini(&value);
}

/* NULL: it is not what was put. */
static struct sts_known *from_fact(struct span domain, struct span value)
{
	struct span line = span_cut(&value, '\n');
	struct span id = span_cut(&line, ' ');
	uint64_t fetched_ms;

	if (!span_u64(line, &fetched_ms) || fetched_ms >= INT64_MAX)
		return NULL;
	return sts_known_new(domain, id, (int64_t)fetched_ms, value);
}

bool sts_known_is_over(struct span key, struct span value)
{
	const struct span head = SPAN_LIT("sts:");
	struct sts_known *k;
	bool over;

	if (!span_starts(key, head))
		return false;
	k = from_fact(span_skip(key, head.n), value);
	over = !sts_known_in_force(k);
	sts_known_unref(&k);
	return over;
}

struct sts_known *sts_known_get(const struct sts_facts *f, struct span domain)
{
	struct buf key = { 0 }, value = { 0 };
	struct sts_known *k = NULL;

	if (f->get == NULL)
		return NULL;
	fact_key(&key, domain);
	if (f->get(buf_span(&key), &value, f->arg) == MX_OK)
		k = from_fact(domain, buf_span(&value));
	buf_fini(&key);
	buf_fini(&value);
	return k;
}

void sts_known_delete(const struct sts_facts *f, struct span domain)
{
	struct buf key = { 0 };

	if (f->put == NULL)
		return;
	fact_key(&key, domain);
	f->put(buf_span(&key), SPAN_LIT(""), f->arg);
	buf_fini(&key);
}
