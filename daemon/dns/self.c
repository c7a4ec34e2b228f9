#include "daemon/dns/self.h"

#include <stdlib.h>

#include "common/base/alloc.h"

static bool is_wildcard(const struct net_addr *a)
{
	static const unsigned char zero[sizeof(a->ip)];

	return memcmp(a->ip, zero, a->family == AF_INET ? 4 : 16) == 0;
}

/* Global, or at least of a site: neither ::1 nor fe80::/10. */
static bool leaves_host(const struct net_addr *a)
{
	static const unsigned char loopback[16] = { [15] = 1 };

	return a->family == AF_INET6 &&
	       memcmp(a->ip, loopback, sizeof(loopback)) != 0 &&
	       !(a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80);
}

/* Sockets on :: may take IPv4 as well or not: the caller binds both families
 * for "*", so each wildcard stands for its own family only. */
static void add_listen(struct self *s, const struct net_addr *at,
		       const struct net_addr *host, size_t host_count)
{
	if (!is_wildcard(at)) {
		s->listen[s->listen_count++] = *at;
		return;
	}
	for (size_t i = 0; i < host_count; i++) {
		if (host[i].family != at->family)
			continue;
		s->listen[s->listen_count] = host[i];
		s->listen[s->listen_count++].port = at->port;
	}
}

void self_init(struct self *s, const struct config *config,
	       const struct net_addr *listen, size_t listen_count,
	       const struct net_addr *host, size_t host_count)
{
	*s = (struct self){ 0 };
	s->names = mx_alloc_array(config->alias_count + 1, sizeof(*s->names));
	s->aliases =
		mx_alloc_array(config->alias_count + 1, sizeof(*s->aliases));
	s->listen = mx_alloc_array(listen_count * (host_count + 1) + 1,
				   sizeof(*s->listen));
	s->names[s->name_count++] = config->hostname;
	for (size_t i = 0; i < config->alias_count; i++) {
		if (net_addr_parse(config->aliases[i],
				   &s->aliases[s->alias_count]) == MX_OK)
			s->alias_count++;
		else
			s->names[s->name_count++] = config->aliases[i];
	}
	for (size_t i = 0; i < listen_count; i++)
		add_listen(s, &listen[i], host, host_count);
	s->allowed = config->dns.allowed;
	s->allowed_count = config->dns.allowed_count;
	s->host = mx_alloc_array(host_count + 1, sizeof(*s->host));
	s->host_count = host_count;
	for (size_t i = 0; i < host_count; i++)
		s->host[i] = host[i];
	for (size_t i = 0; i < host_count; i++)
		s->has_ipv6 = s->has_ipv6 || leaves_host(&host[i]);
}

void self_fini(struct self *s)
{
	free(s->names);
	free(s->aliases);
	free(s->listen);
	free(s->host);
	*s = (struct self){ 0 };
}

bool self_is_name(const struct self *s, struct span name)
{
	for (size_t i = 0; i < s->name_count; i++) {
		if (name.n > 0 && span_ieq(s->names[i], name))
			return true;
	}
	return false;
}

bool self_has_addr(const struct self *s, const struct net_addr *addr)
{
	for (size_t i = 0; i < s->host_count; i++) {
		if (net_addr_eq(&s->host[i], addr))
			return true;
	}
	return false;
}

bool self_is_listening(const struct self *s, const struct net_addr *addr)
{
	for (size_t i = 0; i < s->listen_count; i++) {
		if (net_endpoint_eq(&s->listen[i], addr))
			return true;
	}
	return false;
}

bool self_is_addr(const struct self *s, const struct net_addr *addr)
{
	for (size_t i = 0; i < s->alias_count; i++) {
		if (net_addr_eq(&s->aliases[i], addr))
			return true;
	}
	for (size_t i = 0; i < s->found_count; i++) {
		if (net_endpoint_eq(&s->found[i], addr))
			return true;
	}
	return self_is_listening(s, addr);
}
