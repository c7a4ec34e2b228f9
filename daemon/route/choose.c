#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/random.h"
#include "daemon/dns/shun.h"
#include "daemon/route/choose_priv.h"

void choice_note(struct choice *c, struct span host, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	if (c->note_count == COUNT(c->notes))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->notes[c->note_count++] = (struct route_note){
		arena_span(c->arena, host),
		arena_span(c->arena, span_str(text)),
	};
}

void choice_drop(struct choice *c, struct candidate *h, enum route_fate fate,
		 const char *why)
{
	h->fate = fate;
	h->why = why;
	choice_note(c, h->name, "%s", why);
}

/* ---- This host ---- */

/*
 * RFC 5321 section 5.1: a relay that finds itself in the list drops its own
 * preference and every higher number.  Whoever came by a worse MX would send
 * the mail round in a circle.
 */
static void cut_from(struct choice *c, unsigned preference)
{
	for (size_t i = 0; i < c->count; i++) {
		struct candidate *h = &c->hosts[i];

		if (h->fate != ROUTE_IS_SELF && h->preference >= preference)
			choice_drop(c, h, ROUTE_IS_WORSE,
				    "dropped: not better than this host");
	}
}

void choice_cut_self(struct choice *c, choice_is_self *is_self, const char *why)
{
	unsigned best = UINT32_MAX;

	for (size_t i = 0; i < c->count; i++) {
		struct candidate *h = &c->hosts[i];

		if (h->fate == ROUTE_IS_WORSE || !is_self(c, h))
			continue;
		choice_drop(c, h, ROUTE_IS_SELF, why);
		if (h->preference < best)
			best = h->preference;
	}
	if (best != UINT32_MAX)
		cut_from(c, best);
}

static bool is_named(const struct choice *c)
{
	return c->source == ROUTE_FROM_PRIMARY || c->source == ROUTE_FROM_RELAY;
}

bool choice_is_here(const struct choice *c, const struct net_addr *addr)
{
	return is_named(c) ? self_is_listening(c->self, addr)
			   : self_is_addr(c->self, addr);
}

static bool is_self_by_addr(const struct choice *c, const struct candidate *h)
{
	if (h->is_here || (!is_named(c) && self_is_name(c->self, h->canon)))
		return true;
	for (size_t i = 0; i < h->addr_count; i++) {
		if (choice_is_here(c, &h->addrs[i]))
			return true;
	}
	return false;
}

/* ---- Fates ---- */

/* Turn about, so that both families are among the first two attempts even
 * when one of them leads nowhere. */
static void merge_addrs(struct choice *c, struct candidate *h)
{
	bool v6_first = c->self->has_ipv6;
	const struct choice_addrs *a = v6_first ? &h->v6 : &h->v4;
	const struct choice_addrs *b = v6_first ? &h->v4 : &h->v6;
	size_t all = a->count + b->count;

	h->addrs = arena_alloc_array(c->arena, all, sizeof(*h->addrs));
	for (size_t i = 0; i < CHOOSE_ADDRS_MAX; i++) {
		if (i < a->count)
			h->addrs[h->addr_count++] = a->addrs[i];
		if (i < b->count)
			h->addrs[h->addr_count++] = b->addrs[i];
	}
	if (h->addr_count > CHOOSE_ADDRS_MAX)
		h->addr_count = CHOOSE_ADDRS_MAX;
	for (size_t i = 0; i < h->addr_count; i++)
		h->addrs[i].port = h->port;
}

static enum route_dnssec addrs_dnssec(const struct candidate *h)
{
	if (h->v4.status == DNS_BOGUS || h->v6.status == DNS_BOGUS)
		return ROUTE_BOGUS;
	if (dns_failed(h->v4.status) && dns_failed(h->v6.status))
		return ROUTE_NO_ANSWER;
	/* Only what is going to be used counts; without any, the denial. */
	if (h->v4.count + h->v6.count == 0)
		return h->v4.secure && h->v6.secure ? ROUTE_SECURE
						    : ROUTE_INSECURE;
	return (h->v4.count == 0 || h->v4.secure) &&
			       (h->v6.count == 0 || h->v6.secure)
		       ? ROUTE_SECURE
		       : ROUTE_INSECURE;
}

/* A family without answer, or denied with the name itself by a server that is
 * wrong about that, leaves the other in use. */
static void note_half(struct choice *c, struct candidate *h)
{
	enum dns_status v4 = h->v4.status, v6 = h->v6.status;

	if (dns_failed(v4) || dns_failed(v6))
		choice_note(c, h->name, "%s look-up failed: %s",
			    dns_failed(v4) ? "A" : "AAAA",
			    dns_status_name(dns_failure_of(v4, v6)));
	else if (v4 == DNS_NXDOMAIN || v6 == DNS_NXDOMAIN)
		choice_note(c, h->name,
			    "%s look-up says NXDOMAIN, but it has %s: used",
			    v4 == DNS_NXDOMAIN ? "A" : "AAAA",
			    v4 == DNS_NXDOMAIN ? "AAAA" : "A");
}

/*
 * One dead host drops that host only; one that may be there after all makes
 * that host wait, and the others go on.  A name exists if any of its types
 * does: NXDOMAIN counts only where no other answer contradicts it.
 */
static void settle_host(struct choice *c, struct candidate *h)
{
	enum dns_status v4 = h->v4.status, v6 = h->v6.status;

	h->addr_dnssec = addrs_dnssec(h);
	h->canon = h->v4.canon.n > 0 ? h->v4.canon : h->v6.canon;
	if (h->canon.n > 0)
		choice_note(c, h->name,
			    "is an alias of %.*s (RFC 2181 section 10.3 "
			    "forbids it): followed",
			    SPAN_ARG(h->canon));
	if (v4 == DNS_BOGUS || v6 == DNS_BOGUS)
		choice_drop(c, h, ROUTE_UNKNOWN_NOW,
			    "not used: its addresses are bogus by DNSSEC");
	else if (h->v4.count + h->v6.count > 0)
		merge_addrs(c, h);
	else if (v4 == DNS_TIMEOUT || v6 == DNS_TIMEOUT)
		choice_drop(c, h, ROUTE_UNKNOWN_NOW,
			    "not used now: no answer about its addresses");
	else if (dns_failed(v4) || dns_failed(v6))
		choice_drop(c, h, ROUTE_UNKNOWN_NOW,
			    "not used now: SERVFAIL for its addresses");
	else
		choice_drop(c, h, ROUTE_NO_ADDRESS,
			    v4 == DNS_NXDOMAIN && v6 == DNS_NXDOMAIN
				    ? "skipped: NXDOMAIN"
				    : "skipped: it has no address");
	if (h->fate == ROUTE_USED)
		note_half(c, h);
}

/* What the operator wrote down, he knows. */
static bool is_strangers(const struct choice *c)
{
	return !is_named(c);
}

/* After this host was looked for among them: it may be at such an address. */
static void drop_shunned(struct choice *c, struct candidate *h)
{
	size_t all = h->addr_count;
	const char *last = NULL;

	h->addr_count = 0;
	for (size_t i = 0; i < all; i++) {
		const char *why = is_strangers(c)
					  ? shun_why(c->self, &h->addrs[i])
					  : shun_always(&h->addrs[i]);
		struct buf text = { 0 };

		if (why == NULL) {
			h->addrs[h->addr_count++] = h->addrs[i];
			continue;
		}
		last = why;
		net_addr_add(&text, &h->addrs[i]);
		choice_note(c, h->name, "%s %s", buf_cstr(&text), why);
		buf_fini(&text);
	}
	if (h->addr_count == 0) {
		h->fate = ROUTE_NOT_PUBLIC;
		h->why = last;
	}
}

/* RFC 5321 section 5.1: equal preference, random order. */
static void shuffle_equals(struct choice *c, uint64_t seed)
{
	c->order = arena_alloc_array(c->arena, c->count, sizeof(*c->order));
	for (size_t i = 0; i < c->count; i++)
		c->order[i] = &c->hosts[i];
	for (size_t i = 0, end; i < c->count; i = end) {
		for (end = i + 1; end < c->count; end++) {
			if (c->hosts[end].preference != c->hosts[i].preference)
				break;
		}
		for (size_t left = end - i; left > 1; left--) {
			struct candidate **a = &c->order[i + left - 1];
			struct candidate **b =
				&c->order[i + random_next(&seed) % left];
			struct candidate *swap = *a;

			*a = *b;
			*b = swap;
		}
	}
}

void choice_settle(struct choice *c, uint64_t seed)
{
	for (size_t i = 0; i < c->count; i++) {
		if (c->hosts[i].fate == ROUTE_USED)
			settle_host(c, &c->hosts[i]);
	}
	choice_cut_self(c, is_self_by_addr, "dropped: this host, by address");
	for (size_t i = 0; i < c->count; i++) {
		struct candidate *h = &c->hosts[i];

		if (h->fate != ROUTE_USED)
			continue;
		drop_shunned(c, h);
		if (c->is_brief && h->addr_count > BRIEF_ADDRS_MAX)
			h->addr_count = BRIEF_ADDRS_MAX;
	}
	shuffle_equals(c, seed);
}

/* ---- The verdict ---- */

static const struct candidate *first_of(const struct choice *c,
					enum route_fate fate)
{
	for (size_t i = 0; i < c->count; i++) {
		if (c->hosts[i].fate == fate)
			return &c->hosts[i];
	}
	return NULL;
}

/* What keeps mail from going, the most hopeful first. */
static const enum route_fate waits[] = {
	ROUTE_UNKNOWN_NOW,
	ROUTE_NOT_IN_STS,
	ROUTE_NO_DANE,
};

static enum route_result result_of_none(const struct choice *c,
					struct span domain, struct buf *reason)
{
	switch (c->source) {
	case ROUTE_FROM_MX:
		buf_addf(reason, "no MX host of %.*s has an address",
			 SPAN_ARG(domain));
		return ROUTE_PERMANENT;
	case ROUTE_FROM_ADDRESS:
		if (c->hosts[0].v4.status == DNS_NXDOMAIN &&
		    c->hosts[0].v6.status == DNS_NXDOMAIN)
			buf_addf(reason, "NXDOMAIN for %.*s", SPAN_ARG(domain));
		else
			buf_addf(reason, "%.*s has neither MX nor address",
				 SPAN_ARG(domain));
		return ROUTE_PERMANENT;
	case ROUTE_FROM_PRIMARY:
	case ROUTE_FROM_RELAY:
	default:
		/* Written by the operator of this host: a slip of his is no
		 * reason to return other people's mail. */
		buf_addf(reason, "%s of %.*s has no address",
			 c->source == ROUTE_FROM_RELAY ? "bounce.relay"
						       : "primary=",
			 SPAN_ARG(domain));
		return ROUTE_TRANSIENT;
	}
}

enum route_result choice_result(const struct choice *c, struct span domain,
				struct buf *reason)
{
	const struct candidate *h;

	if (first_of(c, ROUTE_USED) != NULL)
		return ROUTE_OK;
	for (size_t i = 0; i < COUNT(waits); i++) {
		h = first_of(c, waits[i]);
		if (h == NULL)
			continue;
		buf_addf(reason, "%.*s: %s", SPAN_ARG(h->name), h->why);
		return ROUTE_TRANSIENT;
	}
	h = first_of(c, ROUTE_NOT_PUBLIC);
	if (h != NULL) {
		buf_addf(reason, "%.*s: %s",
			 SPAN_ARG(h->name.n > 0 ? h->name : domain), h->why);
		/* a slip of the operator's returns nobody's mail */
		return is_strangers(c) ? ROUTE_PERMANENT : ROUTE_TRANSIENT;
	}
	if (first_of(c, ROUTE_IS_SELF) != NULL) {
		buf_addf(reason,
			 "no mail exchanger of %.*s is better than "
			 "this host",
			 SPAN_ARG(domain));
		return ROUTE_SELF;
	}
	return result_of_none(c, domain, reason);
}
