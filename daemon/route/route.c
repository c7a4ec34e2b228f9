#include "daemon/route/route.h"

#include <stdlib.h>

#include "common/base/assert.h"

struct route *route_ref(struct route *r)
{
	r->refs++;
	return r;
}

void route_unref(struct route **rp)
{
	struct route *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	MX_ASSERT(r->refs > 0);
	if (--r->refs > 0)
		return;
	route_unref(&r->base);
	arena_reset(&r->arena);
	free(r);
}

const char *route_result_name(enum route_result r)
{
	static const char *const names[] = {
		[ROUTE_OK] = "ok",
		[ROUTE_TRANSIENT] = "transient",
		[ROUTE_PERMANENT] = "permanent",
		[ROUTE_NULL_MX] = "null-mx",
		[ROUTE_SELF] = "self",
	};

	return names[r];
}

const char *route_source_name(enum route_source s)
{
	static const char *const names[] = {
		[ROUTE_FROM_PRIMARY] = "primary",
		[ROUTE_FROM_MX] = "mx",
		[ROUTE_FROM_ADDRESS] = "address",
		[ROUTE_FROM_RELAY] = "relay",
	};

	return names[s];
}

const char *route_dnssec_name(enum route_dnssec s)
{
	static const char *const names[] = {
		[ROUTE_UNASKED] = "none",	 [ROUTE_INSECURE] = "insecure",
		[ROUTE_SECURE] = "secure",	 [ROUTE_BOGUS] = "bogus",
		[ROUTE_NO_ANSWER] = "no-answer",
	};

	return names[s];
}

const char *route_fate_name(enum route_fate f)
{
	static const char *const names[] = {
		[ROUTE_USED] = "used",
		[ROUTE_IS_SELF] = "self",
		[ROUTE_IS_WORSE] = "not-better-than-self",
		[ROUTE_IS_NULL] = "null-mx",
		[ROUTE_NOT_A_NAME] = "not-a-name",
		[ROUTE_NO_ADDRESS] = "no-address",
		[ROUTE_NOT_PUBLIC] = "not-public",
		[ROUTE_UNKNOWN_NOW] = "unknown-now",
		[ROUTE_NOT_IN_STS] = "not-in-mta-sts",
		[ROUTE_NO_DANE] = "no-dane",
		[ROUTE_BEYOND_LIMIT] = "beyond-limit",
	};

	return names[f];
}
