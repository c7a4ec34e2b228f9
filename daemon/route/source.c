#include "daemon/route/source.h"

#include "config/allow/domains.h"

void source_choose(struct lookup_options *opt, struct span domain)
{
	const struct config *c = opt->config;
	const struct config_domain *row = domains_find(c->domains, domain);

	opt->domain = domain;
	opt->source = ROUTE_FROM_MX;
	opt->is_ours = row != NULL;
	opt->tls = c->tls.outbound;
	if (row != NULL && row->tls != TLS_LEVEL_DEFAULT)
		opt->tls = row->tls;
	if (opt->tls == TLS_LEVEL_DEFAULT)
		opt->tls = TLS_LEVEL_MAY;
	if (row != NULL && row->primary_count > 0) {
		opt->source = ROUTE_FROM_PRIMARY;
		opt->hops = row->primary;
		opt->hop_count = row->primary_count;
		opt->hops_text = row->primary_text;
	} else if (row == NULL && c->bounce.has_relay) {
		opt->source = ROUTE_FROM_RELAY;
		opt->hops = &c->bounce.relay;
		opt->hop_count = 1;
	}
}

void source_key(struct buf *key, const struct lookup_options *opt)
{
	buf_addc(key, (char)('0' + opt->source));
	buf_addc(key, (char)('0' + opt->tls));
	buf_addc(key, opt->is_ours ? '1' : '0');
	if (opt->source == ROUTE_FROM_PRIMARY)
		buf_add(key, opt->hops_text);
	else if (opt->source == ROUTE_FROM_MX)
		buf_add(key, opt->domain);
}
