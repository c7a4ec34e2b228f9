#include "daemon/policy/dnsbl_zones.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/policy/dnsbl.h"

void zones_unref(struct zones **z)
{
	struct zones *old = *z;

	*z = NULL;
	if (old == NULL || --old->refs > 0)
		return;
	for (size_t i = 0; i < old->count; i++)
		free(old->zone[i].name);
	free(old);
}

struct zones *zones_new(const struct config *c)
{
	const size_t n = c->policy.dnsbl_count;
	struct zones *z = mx_alloc(sizeof(*z) + n * sizeof(z->zone[0]));

	z->refs = 1;
	z->count = n;
	for (size_t i = 0; i < n; i++) {
		const struct config_dnsbl *d = &c->policy.dnsbl[i];

		z->zone[i].name = mx_alloc(d->zone.n + 1);
		memcpy(z->zone[i].name, d->zone.p, d->zone.n);
		z->zone[i].weight = d->weight;
	}
	return z;
}

bool zones_are_same(const struct zones *z, const struct config *c)
{
	if (z == NULL || z->count != c->policy.dnsbl_count)
		return false;
	for (size_t i = 0; i < z->count; i++)
		if (!span_eq(span_str(z->zone[i].name),
			     c->policy.dnsbl[i].zone) ||
		    z->zone[i].weight != c->policy.dnsbl[i].weight)
			return false;
	return true;
}

void zone_note(struct zone *z, bool is_silent)
{
	if (!is_silent) {
		z->silent = 0;
		return;
	}
	if (++z->silent < DNSBL_TIRED)
		return;
	z->silent = 0;
	z->rests_ms = clock_mono_ms() + DNSBL_REST_MS;
	log_warn(EV_CONFIG, LOG_STR("key", "policy.dnsbl"),
		 LOG_STR("zone", z->name),
		 LOG_STR("warning", "does not answer: not asked for a minute"));
}
