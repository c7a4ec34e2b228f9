/* What is to be looked up for a domain: as the configuration says; or, when that
 * has lost it, as it said last. */
#include "config/allow/domains.h"
#include "daemon/route/last.h"
#include "daemon/route/router_priv.h"
#include "daemon/route/source.h"

static void fact_of(struct router *r, struct span domain, struct buf *out)
{
	struct buf key = { 0 };

	last_key(&key, domain);
	if (r->opt.fact_get == NULL ||
	    r->opt.fact_get(buf_span(&key), out, r->opt.arg) != MX_OK)
		buf_reset(out);
	buf_fini(&key);
}

/* Not listed any more, but not a stranger either. */
static void choose_last(struct router *r, struct lookup_options *opt)
{
	struct buf text = { 0 };

	opt->is_ours = true;
	opt->source = ROUTE_FROM_MX; /* and not by bounce.relay */
	opt->hop_count = 0;
	arena_reset(&r->scratch);
	fact_of(r, opt->domain, &text);
	last_apply(opt, buf_span(&text), &r->scratch);
	buf_fini(&text);
}

struct side *router_side(struct router *r, const struct lookup_options *opt)
{
	return &r->sides[opt->is_brief ? STRANGERS : OURS];
}

void router_choose(struct router *r, struct span domain,
		   struct lookup_options *opt)
{
	*opt = (struct lookup_options){ .loop = r->loop,
					.self = &r->self,
					.hosts = &r->hosts,
					.config = r->config };
	source_choose(opt, domain);
	if (!opt->is_ours && r->opt.is_left != NULL &&
	    r->opt.is_left(domain, r->opt.arg))
		choose_last(r, opt);
	opt->is_brief = !opt->is_ours && opt->source == ROUTE_FROM_MX;
	opt->resolver = router_side(r, opt)->resolver;
	opt->sts = router_side(r, opt)->sts;
}

void router_remember(struct router *r, struct span domain)
{
	const struct config_domain *row =
		domains_find(r->config->domains, domain);
	struct buf text = { 0 }, was = { 0 }, key = { 0 };

	if (row == NULL || r->opt.fact_get == NULL)
		return;
	last_print(&text, r->config, row);
	fact_of(r, domain, &was);
	if (!span_eq(buf_span(&text), buf_span(&was))) {
		last_key(&key, domain);
		r->opt.fact_put(buf_span(&key), buf_span(&text), r->opt.arg);
	}
	buf_fini(&key);
	buf_fini(&was);
	buf_fini(&text);
}
