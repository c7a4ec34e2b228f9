#include "daemon/policy/policy.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "daemon/policy/clients.h"
#include "daemon/policy/dnsbl.h"
#include "daemon/policy/links.h"
#include "daemon/policy/names.h"
#include "daemon/policy/rates.h"
#include "daemon/policy/rejections.h"
#include "daemon/policy/returns.h"
#include "daemon/policy/shares.h"

struct policy {
	struct policy_options opt;
	struct clients *clients;
	struct shares *shares;
	struct rate_arg rate;
	struct dnsbl_arg dnsbl;
	struct defer_arg defer;
	struct names *names;
	struct rejections *rejections;
	struct gate *gate;
};

/* The order in which they are asked. */
static void add_links(struct policy *p)
{
	struct policy_options *opt = &p->opt;
	struct gate *g = p->gate;

	gate_add(g, &link_require_tls, NULL);
	if (opt->loop != NULL)
		gate_add(g, &link_pregreet, opt);
	gate_add(g, &link_rate, &p->rate);
	gate_add(g, &link_rcpt, NULL);
	gate_add(g, &link_listed, opt);
	if (p->dnsbl.dnsbl != NULL)
		gate_add(g, &link_dnsbl, &p->dnsbl);
	gate_add(g, &link_recipients, &p->rate);
	gate_add(g, &link_routed, NULL);
	if (opt->router != NULL)
		gate_add(g, &link_null_mx, opt->router);
	if (opt->lacks != NULL)
		gate_add(g, &link_promise, opt);
	gate_add(g, &link_defer, &p->defer);
	gate_add(g, &link_subdomains, opt);
	gate_add(g, &link_quota, opt);
	gate_add(g, &link_hops, NULL);
	gate_add(g, &link_rejections, p->rejections);
}

struct policy *policy_new(const struct policy_options *opt,
			  const struct config *c)
{
	struct policy *p = mx_alloc(sizeof(*p));

	p->opt = *opt;
	p->clients = clients_new();
	p->shares = shares_new();
	p->gate = gate_new();
	p->rejections = rejections_new();
	if (opt->loop != NULL) {
		p->dnsbl = (struct dnsbl_arg){ &p->opt, dnsbl_new(opt->loop) };
		p->names = names_new(opt->loop);
	}
	p->rate = (struct rate_arg){ &p->opt, rates_new() };
	p->defer = (struct defer_arg){ &p->opt, returns_new() };
	add_links(p);
	policy_reload(p, c);
	return p;
}

void policy_reload(struct policy *p, const struct config *c)
{
	gate_configure(p->gate, c);
	if (p->names != NULL)
		names_configure(p->names, p->dnsbl.dnsbl, c);
}

struct gate *policy_gate(struct policy *p)
{
	return p->gate;
}

struct shares *policy_shares(struct policy *p)
{
	return p->shares;
}

void policy_free(struct policy **p)
{
	if (*p == NULL)
		return;
	clients_free(&(*p)->clients);
	shares_free(&(*p)->shares);
	rates_free(&(*p)->rate.rates);
	returns_free(&(*p)->defer.returns);
	dnsbl_free(&(*p)->dnsbl.dnsbl);
	names_free(&(*p)->names);
	gate_free(&(*p)->gate);
	rejections_free(&(*p)->rejections);
	free(*p);
	*p = NULL;
}

void policy_count(struct policy *p, const struct config_domain *row,
		  const char *reason)
{
	if (row != NULL)
		rejections_add(p->rejections, row->name, reason);
}

const struct rejections *policy_rejections(const struct policy *p)
{
	return p->rejections;
}

bool policy_has_many(const struct policy *p, const struct net_addr *client)
{
	return clients_held(p->clients, client) >= POLICY_FEW;
}

/* The last tenth of all places is for those who have few. */
static bool is_crowded(const struct policy *p, const struct config *c)
{
	return clients_connected(p->clients) >=
	       c->limits.connections - c->limits.connections / 10;
}

enum verdict_id policy_connect(struct policy *p, const struct config *c,
			       const struct net_addr *client,
			       int64_t now_mono_ms)
{
	const unsigned rate = c->limits.connection_rate;

	if (clients_are_many(p->clients, client,
			     c->limits.connections_per_client) ||
	    (is_crowded(p, c) && policy_has_many(p, client)))
		return V_CLIENT_BUSY;
	if (!clients_may_connect(p->clients, client, rate, now_mono_ms))
		return V_CLIENT_FAST;
	if (clients_connected(p->clients) >= c->limits.connections)
		return V_BUSY;
	clients_enter(p->clients, client, rate, now_mono_ms);
	return V_GO;
}

static void say_lines(const struct clients_line *line,
		      const struct net_addr *client)
{
	struct buf text = { 0 };

	if (line->is_all)
		buf_adds(&text, "all");
	else
		net_addr_add(&text, client);
	if (line->left_out > 0)
		log_warn(EV_LOG, LOG_SPAN("client", buf_span(&text)),
			 LOG_INT("left_out", line->left_out));
	if (line->is_last)
		log_warn(EV_LOG, LOG_SPAN("client", buf_span(&text)),
			 LOG_STR("effect", "too many lines: more of this "
					   "minute are left out"));
	buf_fini(&text);
}

bool policy_may_log(struct policy *p, const struct net_addr *client,
		    int64_t now_mono_ms)
{
	struct clients_line line =
		clients_line(p->clients, client, now_mono_ms);

	if (line.left_out > 0 || line.is_last)
		say_lines(&line, client);
	return line.may;
}

void policy_leave(struct policy *p, const struct net_addr *client)
{
	clients_leave(p->clients, client);
}
