#include "daemon/check/mx.h"

#include "daemon/dns/shun.h"
#include "daemon/route/mx_set.h"

static void add(struct mx_set *m, const struct mx_record *row)
{
	struct mx_host *h = &m->hosts[m->count];
	struct net_addr unused;

	if (m->count == MX_HOSTS_MAX) /* no room but for this host */
		h--;
	else
		m->count++;
	*h = (struct mx_host){
		.name = row->name,
		.preference = row->preference,
		.is_text = net_addr_parse(row->name, &unused) == MX_OK,
	};
}

void mx_read(struct mx_set *m, const struct self *self, struct arena *a)
{
	const struct dns_answer mx = { .status = m->answer.status,
				       .rdata = m->answer.rdata,
				       .count = m->answer.count };
	struct mx_record *rows;
	bool has_self = false;
	size_t n;

	if (mx.status != DNS_OK)
		return;
	n = mx_set_read(a, &mx, self, &rows);
	m->hosts = arena_alloc_array(a, MX_HOSTS_MAX, sizeof(*m->hosts));
	for (size_t i = 0; i < n; i++) {
		bool is_us = self_is_name(self, rows[i].name);

		m->has_null |= rows[i].name.n == 0;
		if (rows[i].name.n == 0 || (m->count == MX_HOSTS_MAX &&
					    (!is_us || has_self)))
			continue;
		has_self |= is_us;
		add(m, &rows[i]);
	}
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
