/*
 * Two sorts of facts:
 *
 *   target            what it said to EHLO, and when
 *   hosts:DOMAIN      "1764300000 mx.example.org:25\n"
 *                     "mx.example.org[192.0.2.1]:25 mx.example.org[2001:db8::1]:25\n"
 *
 * The second is written when a domain with mail or a question has its route, and
 * daily.  It has the time in seconds, the line's primary= (nothing: MX records),
 * and then what offers_list prints.  Subdomains of a pattern that has primary=
 * share the fact of the pattern; where it has none they have no fact, since
 * strangers choose how many there are.
 */
#include "daemon/drain/offers.h"

#include "common/base/clock.h"
#include "config/allow/domains.h"
#include "daemon/drain/drain_priv.h"

enum { LIST_MAX = 2000 /* longer ones are not remembered */ };

/* ---- Which targets ---- */

/* Append the targets of a route: a host a line, its addresses apart by blanks. */
static void offers_list(struct buf *out, const struct route *r)
{
	for (size_t h = 0; h < r->host_count; h++) {
		const struct route_host *host = &r->hosts[h];

		for (size_t i = 0; i < host->addr_count; i++) {
			if (i > 0)
				buf_addc(out, ' ');
			target_add_name(out, host->name, &host->addrs[i]);
		}
		buf_addc(out, '\n');
	}
}

/* False: nothing is remembered of it. */
static bool add_key(struct buf *out, const struct config_domain *row)
{
	if (row->primary_count == 0 &&
	    span_starts(row->name, SPAN_LIT("*.")))
		return false;
	buf_adds(out, "hosts:");
	buf_add(out, row->name);
	return true;
}

/* Cuts the time and what is behind it off; false: it is not to be believed, or
 * of another primary=. */
static bool take_head(struct span *list, struct span primary, int64_t now_ms)
{
	struct span head = span_cut(list, '\n');
	uint64_t at_s = 0;

	return span_u64(span_cut(&head, ' '), &at_s) &&
	       at_s <= (uint64_t)INT64_MAX / 1000 &&
	       (int64_t)at_s * 1000 >= now_ms - OFFERS_MS &&
	       span_eq(head, primary);
}

void offers_remember(struct domain *dom)
{
	struct drain *d = dom->drain;
	const struct config_domain *row =
		domains_find(d->config->domains, domain_name(dom));
	struct buf key = { 0 }, was = { 0 }, list = { 0 };
	int64_t now = clock_wall_ms();
	struct span rest;

	if (row == NULL || !add_key(&key, row))
		goto done;
	buf_addf(&list, "%lld %.*s\n", (long long)(now / 1000),
		 SPAN_ARG(row->primary_text));
	offers_list(&list, dom->route);
	if (list.n > LIST_MAX)
		goto done;
	if (spool_fact_get(d->spool, buf_span(&key), &was) == MX_OK) {
		struct span fresh = buf_span(&list);

		rest = buf_span(&was);
		span_cut(&fresh, '\n');
		if (take_head(&rest, row->primary_text,
			      now + OFFERS_MS - DAYS(1)) &&
		    span_eq(rest, fresh))
			goto done;
	}
	spool_fact_put(d->spool, buf_span(&key), buf_span(&list));
done:
	buf_fini(&key);
	buf_fini(&was);
	buf_fini(&list);
}

bool offers_is_over(struct span key, struct span value, int64_t now_ms)
{
	struct span head = value;
	uint64_t at_s = 0;

	return span_starts(key, SPAN_LIT("hosts:")) &&
	       (!span_u64(span_cut(&head, ' '), &at_s) ||
		at_s < (uint64_t)((now_ms - OFFERS_MS) / 1000));
}

/* ---- What they lack ---- */

/* The last EHLO of a host, by any of its addresses.  One from the future was
 * heard by another clock. */
static bool recall(struct spool *sp, struct span names, int64_t now_ms,
		   struct smtp_ehlo *out)
{
	struct spool_target t;
	int64_t last_ms = 0;

	while (names.n > 0) {
		if (spool_target_get(sp, span_cut(&names, ' '), &t) != MX_OK ||
		    t.ehlo_ms <= last_ms || t.ehlo_ms < now_ms - OFFERS_MS ||
		    t.ehlo_ms > now_ms + HOURS(1))
			continue;
		last_ms = t.ehlo_ms;
		smtp_ehlo_recall(span_str(t.ehlo), out);
	}
	return last_ms != 0;
}

enum command_lack offers_lack(struct spool *sp, struct span list,
			      const struct envelope *env,
			      const struct recipient *rcpt, int64_t now_ms)
{
	enum command_lack first = LACKS_NOTHING;

	while (list.n > 0) {
		struct span names = span_cut(&list, '\n');
		enum command_lack lack;
		struct smtp_ehlo ehlo;

		if (!recall(sp, names, now_ms, &ehlo))
			return LACKS_NOTHING;
		lack = command_lack(env, rcpt, &ehlo, true);
		if (lack == LACKS_NOTHING)
			return LACKS_NOTHING;
		if (first == LACKS_NOTHING)
			first = lack;
	}
	return first;
}

/* The domain's hosts: those it has now, else those it had. */
static void find_list(struct drain *d, struct span name, struct buf *out)
{
	const struct domain *dom = domain_find(d, name);
	struct route *route = dom != NULL && dom->standing == HAS_ROUTE
				      ? route_ref(dom->route)
				      : router_cached(d->router, name);
	const struct config_domain *row =
		domains_find(d->config->domains, name);
	struct buf key = { 0 }, fact = { 0 };
	struct span rest;

	if (route != NULL) {
		if (route->result == ROUTE_OK)
			offers_list(out, route);
	} else if (row != NULL && add_key(&key, row) &&
		   spool_fact_get(d->spool, buf_span(&key), &fact) == MX_OK) {
		rest = buf_span(&fact);
		if (take_head(&rest, row->primary_text, clock_wall_ms()))
			buf_add(out, rest);
	}
	route_unref(&route);
	buf_fini(&key);
	buf_fini(&fact);
}

enum command_lack drain_lacks(struct drain *d, struct span name,
			      const struct envelope *env,
			      const struct recipient *rcpt)
{
	struct buf list = { 0 };
	enum command_lack lack;

	find_list(d, name, &list);
	lack = offers_lack(d->spool, buf_span(&list), env, rcpt,
			   clock_wall_ms());
	buf_fini(&list);
	return lack;
}
