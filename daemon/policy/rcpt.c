#include "daemon/policy/policy.h"

#include "daemon/policy/verdicts.h"

void policy_rcpt_fini(struct policy_rcpt *r)
{
	buf_fini(&r->path);
	buf_fini(&r->domain);
	r->row = NULL;
}

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
static struct verdict rcpt_postmaster(const struct config *c,
				      struct policy_rcpt *out)
{
	struct smtp_path to;

	buf_reset(&out->domain);
	if (c->postmaster.n > 0 &&
	    smtp_mailbox_parse(c->postmaster, true, &to) == MX_OK &&
	    smtp_domain_canon(&out->domain, to.domain) == MX_OK) {
		buf_add(&out->path, to.mailbox);
		out->row = domains_find(c->domains, buf_span(&out->domain));
		return verdict(V_GO);
	}
	out->row = home_domain(c);
	if (out->row == NULL)
		return verdict(V_RCPT_UNKNOWN);
	buf_reset(&out->domain);
	buf_add(&out->domain, out->row->name);
	buf_adds(&out->path, "postmaster@");
	buf_add(&out->path, out->row->name);
	return verdict(V_GO);
}

struct verdict policy_rcpt(struct policy *p, const struct config *c,
			   const struct smtp_path *to, struct policy_rcpt *out)
{
	(void)p; /* the same for every client */
	buf_reset(&out->path);
	buf_reset(&out->domain);
	out->row = NULL;
	if (to->mailbox.n == 0)
		return verdict(V_RCPT_EMPTY);
	if (to->is_literal)
		return verdict(V_RCPT_LITERAL);
	if (to->domain.n == 0)
		return is_postmaster(to->local) ? rcpt_postmaster(c, out)
						: verdict(V_RCPT_NO_DOMAIN);
	if (smtp_domain_canon(&out->domain, to->domain) != MX_OK)
		return verdict(V_RCPT_BAD_DOMAIN);
	out->row = domains_find(c->domains, buf_span(&out->domain));
	if (out->row == NULL && is_postmaster(to->local) &&
	    span_eq(buf_span(&out->domain), c->hostname))
		return rcpt_postmaster(c, out);
	if (out->row == NULL)
		return verdict(V_RCPT_FOREIGN);
	if (!domains_has_recipient(c->domains, out->row, buf_span(&out->domain),
				   to->local))
		return verdict(V_RCPT_UNKNOWN);
	buf_add(&out->path, to->mailbox);
	return verdict(V_GO);
}
