#include "daemon/check/mx.h"

#include <stdlib.h>

#include "daemon/dns/shun.h"

static int by_preference(const void *a, const void *b)
{
	const struct mx_host *x = a, *y = b;

	if (x->preference != y->preference)
		return x->preference < y->preference ? -1 : 1;
	return 0;
}

void mx_read(struct mx_set *m, struct arena *a)
{
	const struct answer *mx = &m->answer;
	struct net_addr unused;

	if (mx->status != DNS_OK)
		return;
	m->hosts = arena_alloc_array(a, mx->count, sizeof(*m->hosts));
	for (size_t i = 0; i < mx->count && m->count < MX_HOSTS_MAX; i++) {
		struct mx_host *h = &m->hosts[m->count];

		if (!dns_read_mx(a, mx->rdata[i], &h->preference, &h->name))
			continue;
		h->is_text = net_addr_parse(h->name, &unused) == MX_OK;
		m->has_null |= h->name.n == 0;
		m->count += h->name.n > 0;
	}
	qsort(m->hosts, m->count, sizeof(*m->hosts), by_preference);
}

static bool is_self(const struct self *self, const struct mx_host *h)
{
	if (self_is_name(self, h->name) || self_is_name(self, h->canon))
		return true;
	for (size_t i = 0; i < h->addr_count; i++)
		if (self_is_addr(self, &h->addrs[i]))
			return true;
	return false;
}

static const char *all_shunned(const struct self *self,
			       const struct mx_host *h)
{
	const char *why = NULL;

	for (size_t i = 0; i < h->addr_count; i++) {
		why = shun_why(self, &h->addrs[i]);
		if (why == NULL)
			return NULL;
	}
	return why;
}

static void settle_host(struct mx_host *h, const struct self *self,
			in_port_t port)
{
	h->canon = h->v4.canon.n > 0 ? h->v4.canon : h->v6.canon;
	h->addr_count = gather_addrs(&h->v4, &h->v6, h->addrs, MX_ADDRS_MAX);
	for (size_t i = 0; i < h->addr_count; i++)
		h->addrs[i].port = port;
	h->is_self = is_self(self, h);
	if (!h->is_self)
		h->shunned = all_shunned(self, h);
	h->is_dead = h->is_text || h->addr_count == 0 || h->shunned != NULL;
}

void mx_settle(struct mx_set *m, const struct self *self, in_port_t port)
{
	for (size_t i = 0; i < m->count; i++)
		settle_host(&m->hosts[i], self, port);
	for (size_t i = m->count; i-- > 0;)
		if (m->hosts[i].is_self)
			m->self = &m->hosts[i];
}

bool mx_wants_again(const struct mx_set *m)
{
	return m->answer.status == DNS_OK && m->answer.ttl_s < MX_TTL_LEAST_S;
}

static int64_t good_ttl(const struct mx_set *m)
{
	const int64_t ttl_s = m->answer.ttl_s;

	return m->answer.status == DNS_OK && ttl_s >= MX_TTL_LEAST_S &&
			       ttl_s <= MX_TTL_MOST_S
		       ? ttl_s
		       : MX_TTL_GOOD_S;
}

void mx_record(struct buf *out, const struct mx_set *m, unsigned preference,
	       struct span host)
{
	buf_addf(out, "%.*s. %lld IN MX %u %.*s.", SPAN_ARG(m->domain),
		 (long long)good_ttl(m), preference, SPAN_ARG(host));
}
