/* What a forward-path stands for. */
#include "daemon/policy/links.h"

#include "config/allow/domains.h"

static bool is_postmaster(struct span local)
{
	return span_ieq(local, SPAN_LIT("postmaster"));
}

static bool first_domain(const struct config_domain *row, void *arg)
{
	const struct config_domain **found = arg;

	if (span_starts(row->name, SPAN_LIT("*.")))
		return true;
	*found = row;
	return false;
}

/*
 * The domain whose postmaster looks after this host when the configuration
 * names none: the one the host's name lies in, else any.
 */
static const struct config_domain *home_domain(const struct config *c)
{
	struct span name = c->hostname;
	const struct config_domain *row = NULL;

	while (name.n > 0) {
		row = domains_find(c->domains, name);
		if (row != NULL && span_eq(row->name, name))
			return row;
		span_cut(&name, '.');
	}
	row = NULL;
	domains_each(c->domains, first_domain, &row);
	return row;
}

/*
 * <postmaster> without a domain, and postmaster of our own name, must be
 * taken by anyone who relays (RFC 5321 section 4.5.1).
 */
static enum gate_reply find_postmaster(const struct config *c,
				       struct gate_rcpt *out, struct verdict *v)
{
	struct smtp_path to;

	out->is_postmaster = true;
	buf_reset(&out->domain);
	if (c->postmaster.n > 0 &&
	    smtp_mailbox_parse(c->postmaster, true, &to) == MX_OK &&
	    smtp_domain_canon(&out->domain, to.domain) == MX_OK) {
		buf_add(&out->path, to.mailbox);
		out->row = domains_find(c->domains, buf_span(&out->domain));
		return GATE_GO;
	}
	out->row = home_domain(c);
	if (out->row == NULL)
		return gate_refuse(v, V_RCPT_UNKNOWN);
	buf_reset(&out->domain);
	buf_add(&out->domain, out->row->name);
	buf_adds(&out->path, "postmaster@");
	buf_add(&out->path, out->row->name);
	return GATE_GO;
}

static enum gate_reply ask_rcpt(struct gate_question *q, struct verdict *v)
{
	const struct config *c = q->config;
	const struct smtp_path *to = q->to;
	struct gate_rcpt *r = q->rcpt;

	buf_reset(&r->path);
	buf_reset(&r->domain);
	r->row = NULL;
	r->is_postmaster = false;
	if (to->mailbox.n == 0)
		return gate_refuse(v, V_RCPT_EMPTY);
	if (to->is_literal)
		return gate_refuse(v, V_RCPT_LITERAL);
	if (to->domain.n == 0)
		return is_postmaster(to->local)
			       ? find_postmaster(c, r, v)
			       : gate_refuse(v, V_RCPT_NO_DOMAIN);
	if (smtp_domain_canon(&r->domain, to->domain) != MX_OK)
		return gate_refuse(v, V_RCPT_BAD_DOMAIN);
	r->row = domains_find(c->domains, buf_span(&r->domain));
	if (r->row == NULL && is_postmaster(to->local) &&
	    span_eq(buf_span(&r->domain), c->hostname))
		return find_postmaster(c, r, v);
	buf_add(&r->path, to->mailbox);
	return GATE_GO;
}

const struct gate_link link_rcpt = {
	.name = "rcpt",
	.ask = { [GATE_RCPT] = ask_rcpt },
};
