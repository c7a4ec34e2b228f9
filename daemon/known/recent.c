#include "daemon/known/recent.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"

struct recent {
	struct recent_no ring[RECENT_MOST];
	unsigned next;
};

void recent_free(struct recent **r)
{
	for (size_t i = 0; *r != NULL && i < RECENT_MOST; i++)
		free((*r)->ring[i].domain);
	free(*r);
	*r = NULL;
}

void recent_add(struct recent **r, const struct recent_no *no,
		struct span domain)
{
	struct recent_no *to;

	if (*r == NULL)
		*r = mx_alloc(sizeof(**r));
	to = &(*r)->ring[(*r)->next++ % RECENT_MOST];
	free(to->domain);
	*to = *no;
	to->domain = mx_alloc(domain.n + 1);
	memcpy(to->domain, domain.p, domain.n);
}

static bool is_meant(const struct recent_no *no, struct span domain,
		     uint64_t destination, int64_t since_ms)
{
	return no->at_ms != 0 && no->at_ms >= since_ms &&
	       no->destination == destination &&
	       (domain.n == 0 || span_eq(span_str(no->domain), domain));
}

bool recent_take(struct recent *r, struct span domain, uint64_t destination,
		 int64_t since_ms, struct recent_no *out)
{
	for (size_t i = 0; r != NULL && i < RECENT_MOST; i++) {
		struct recent_no *no = &r->ring[i];

		if (!is_meant(no, domain, destination, since_ms))
			continue;
		*out = *no;
		*no = (struct recent_no){ 0 };
		return true;
	}
	return false;
}
