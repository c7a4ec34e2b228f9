/* What there is of this host, for all who judge. */
#include "daemon/check/own.h"

bool own_answered(const struct own *o, const struct own_addr *a)
{
	return self_is_name(&o->world->self, span_str(a->facts.host));
}

const struct own_addr *own_shown(const struct own *o)
{
	for (size_t i = 0; i < o->addr_count; i++)
		if (o->addrs[i].facts.is_shown && own_answered(o, &o->addrs[i]))
			return &o->addrs[i];
	return NULL;
}

void own_add_addrs(struct buf *out, const struct own *o)
{
	for (size_t i = 0; o != NULL && i < o->addr_count; i++) {
		if (i > 0)
			buf_addc(out, ' ');
		net_addr_add(out, &o->addrs[i].addr);
	}
	if (o == NULL || o->addr_count == 0)
		buf_adds(out, "<our address>");
}
