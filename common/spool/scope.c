#include "common/spool/scope.h"

#include "common/smtp/address.h"

bool scope_is_pattern(struct span name)
{
	return span_starts(name, SPAN_LIT("*."));
}

bool scope_domain_canon(struct buf *out, struct span text)
{
	size_t had = out->n;

	if (scope_is_pattern(text)) {
		buf_adds(out, "*.");
		text = span_skip(text, 2);
	}
	if (smtp_domain_canon(out, text) == MX_OK)
		return true;
	out->n = had;
	return false;
}

bool scope_covers(struct span pattern, struct span domain)
{
	struct span end = span_skip(pattern, 1); /* ".example.org" */

	if (!scope_is_pattern(pattern) || domain.n <= end.n ||
	    span_eq(pattern, domain))
		return false;
	return span_eq(span_skip(domain, domain.n - end.n), end);
}

bool scope_next_pattern(struct span *name, struct buf *out)
{
	size_t dot = span_find(*name, '.');

	if (dot == name->n)
		return false;
	*name = span_skip(*name, dot + 1);
	buf_reset(out);
	buf_adds(out, "*.");
	buf_add(out, *name);
	return true;
}

bool scope_is_destination(struct span row)
{
	return row.n > 1 && row.p[0] == '@';
}

struct span scope_destination(struct span row)
{
	return span_skip(row, 1);
}

/* ---- Names of hosts ---- */

struct endpoint {
	struct span host; /* a name or an address, without brackets */
	struct span addr; /* in brackets behind a name */
	struct span port; /* empty: none */
};

/* "host" "host:25" "192.0.2.1:25" "[addr]:25" "host[addr]:25", and an IPv6
 * address alone. */
static struct endpoint endpoint_of(struct span s)
{
	struct endpoint e = { .host = s };
	size_t open = span_find(s, '['), close = span_find(s, ']');
	size_t colon = span_find(s, ':');
	struct span rest = span_skip(s, close + 1);

	if (open < close && close < s.n) {
		e.host.n = open;
		e.addr = (struct span){ s.p + open + 1, close - open - 1 };
		if (open == 0)
			e.host = e.addr;
		if (rest.n > 1 && rest.p[0] == ':')
			e.port = span_skip(rest, 1);
	} else if (colon < s.n &&
		   span_find(span_skip(s, colon + 1), ':') == s.n - colon - 1) {
		e.host.n = colon;
		e.port = span_skip(s, colon + 1);
	}
	return e;
}

static bool is_host(const struct endpoint *e, struct span host)
{
	return host.n > 0 &&
	       (span_ieq(e->host, host) || span_ieq(e->addr, host));
}

/* Every part that name has is e's. */
static bool means(const struct endpoint *e, struct span name)
{
	struct endpoint n = endpoint_of(name);

	if (!is_host(e, n.host) || (n.port.n > 0 && !span_eq(n.port, e->port)))
		return false;
	/* a key knows names only: the address cannot be told from it */
	return n.addr.n == 0 || e->addr.n == 0 || span_ieq(n.addr, e->addr);
}

bool scope_names_target(struct span target, struct span name)
{
	struct endpoint e = endpoint_of(target);

	return means(&e, name);
}

bool scope_names_route(struct span key, struct span name)
{
	struct span rest = key, hosts = span_cut(&rest, ' ');

	if (name.n == 0)
		return false;
	if (span_ieq(key, name) || span_ieq(hosts, name))
		return true;
	while (hosts.n > 0) {
		size_t comma = span_find(hosts, ',');
		size_t semicolon = span_find(hosts, ';');
		size_t n = comma < semicolon ? comma : semicolon;
		struct span host = { hosts.p, n };
		struct endpoint e;

		hosts = span_skip(hosts, n + 1);
		e = endpoint_of(span_cut(&host, '/')); /* "/dane" behind it */
		if (means(&e, name))
			return true;
	}
	return false;
}
