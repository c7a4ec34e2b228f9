#include "config/value/value.h"

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/smtp/address.h"

struct unit {
	const char *suffix;
	int64_t factor;
};

/* Largest first: the printers take the first that divides. */
static const struct unit time_units[] = {
	{ "w", DAYS(7) },    { "d", DAYS(1) },	  { "h", HOURS(1) },
	{ "m", MINUTES(1) }, { "s", SECONDS(1) }, { "ms", 1 },
};
static const struct unit size_units[] = {
	{ "T", (int64_t)1 << 40 }, { "G", 1 << 30 }, { "M", 1 << 20 },
	{ "K", 1 << 10 },	   { "", 1 },
};

#define TLS_LEVEL_NAME(id, name) [TLS_LEVEL_##id] = name,
static const char *const tls_names[] = { TLS_LEVELS(TLS_LEVEL_NAME) };

static bool scale(struct span text, const struct unit *units, size_t count,
		  int64_t *out)
{
	size_t digits = 0;
	uint64_t number;

	while (digits < text.n && text.p[digits] >= '0' &&
	       text.p[digits] <= '9')
		digits++;
	struct span suffix = span_skip(text, digits);
	if (!span_u64((struct span){ text.p, digits }, &number))
		return false;
	for (size_t i = 0; i < count; i++)
		if (span_eq(suffix, span_str(units[i].suffix)))
			return !__builtin_mul_overflow(number, units[i].factor,
						       out);
	return false;
}

bool value_time(struct span text, int64_t *ms)
{
	uint64_t zero;

	if (span_u64(text, &zero) && zero == 0) {
		*ms = 0;
		return true;
	}
	return scale(text, time_units, COUNT(time_units), ms);
}

bool value_size(struct span text, int64_t *bytes)
{
	return scale(text, size_units, COUNT(size_units), bytes);
}

/* Digits behind the point as millionths. */
static bool take_decimals(struct span digits, uint64_t *v)
{
	enum { DECIMALS = 6 };

	*v = 0;
	for (size_t i = 0; i < digits.n || i < DECIMALS; i++) {
		char c = i < digits.n ? digits.p[i] : '0';

		if (c < '0' || c > '9')
			return false;
		if (i < DECIMALS)
			*v = *v * 10 + (uint64_t)(c - '0');
	}
	return true;
}

bool value_share(struct span text, int64_t *millionths)
{
	struct span rest = text, whole = span_cut(&rest, '.');
	bool has_point = whole.n < text.n;
	uint64_t ones = 0, millions;

	if (has_point ? rest.n == 0 : whole.n == 0)
		return false;
	if (whole.n > 0 && (!span_u64(whole, &ones) || ones > 1000))
		return false;
	if (!take_decimals(rest, &millions))
		return false;
	*millionths = (int64_t)(ones * SHARE_ALL + millions);
	return true;
}

bool value_lacks_unit(struct span text)
{
	uint64_t number;

	return span_u64(text, &number) && number > 0;
}

static void add_scaled(struct buf *out, int64_t v, const struct unit *units)
{
	while (v % units->factor != 0)
		units++;
	buf_addf(out, "%lld%s", (long long)(v / units->factor), units->suffix);
}

void value_share_add(struct buf *out, int64_t millionths)
{
	buf_addf(out, "%g", (double)millionths / SHARE_ALL);
}

void value_time_add(struct buf *out, int64_t ms)
{
	/* Weeks are understood, days are what the manual speaks of. */
	if (ms == 0)
		buf_adds(out, "0");
	else
		add_scaled(out, ms, time_units + 1);
}

void value_size_add(struct buf *out, int64_t bytes)
{
	if (bytes == 0)
		buf_adds(out, "0");
	else
		add_scaled(out, bytes, size_units);
}

void value_size_round(struct buf *out, int64_t bytes)
{
	const struct unit *u = size_units;

	while (u->factor > 1 && bytes < u->factor)
		u++;
	if (bytes % u->factor == 0)
		buf_addf(out, "%lld%s", (long long)(bytes / u->factor),
			 u->suffix);
	else
		buf_addf(out, "%.1f%s", (double)bytes / (double)u->factor,
			 u->suffix);
}

bool value_word(const char *const *words, struct span text, int64_t *index)
{
	for (int64_t i = 0; words[i] != NULL; i++) {
		if (span_eq(text, span_str(words[i]))) {
			*index = i;
			return true;
		}
	}
	return false;
}

const char *value_tls_name(enum tls_level level)
{
	MX_ASSERT(tls_names[level] != NULL);
	return tls_names[level];
}

bool value_tls(struct span text, enum tls_level *level)
{
	for (size_t i = TLS_LEVEL_NONE; i < COUNT(tls_names); i++) {
		if (!span_eq(text, span_str(tls_names[i])))
			continue;
		*level = (enum tls_level)i;
		return true;
	}
	return false;
}

/* "" or ":25". */
static bool take_port(struct span text, in_port_t *port)
{
	uint64_t number = 0;

	if (text.n > 0 &&
	    (text.p[0] != ':' || !span_u64(span_skip(text, 1), &number) ||
	     number == 0 || number > UINT16_MAX))
		return false;
	*port = (in_port_t)number;
	return true;
}

/* Can a server be there?  Connected to, the first are this host; the others are
 * those of many, or of none. */
static bool is_of_a_host(const struct net_addr *addr)
{
	static const struct net_cidr others[] = {
		{ { .family = AF_INET }, 8 },
		{ { .family = AF_INET6 }, 128 },
		{ { .family = AF_INET, .ip = { 224 } }, 3 },
		{ { .family = AF_INET6, .ip = { 0xff } }, 8 },
	};

	for (size_t i = 0; i < COUNT(others); i++)
		if (net_cidr_has(&others[i], addr))
			return false;
	return true;
}

bool value_hop(struct span text, struct buf *name, struct config_hop *out)
{
	bool bracket = span_starts(text, SPAN_LIT("["));
	struct span host = text;

	buf_reset(name);
	*out = (struct config_hop){ 0 };
	host.n = span_find(text, bracket ? ']' : ':');
	struct span rest = span_skip(text, host.n + (bracket ? 1 : 0));
	if (!take_port(rest, &out->port))
		return false;
	if (bracket)
		return host.n < text.n &&
		       net_addr_parse(span_skip(host, 1), &out->addr) ==
			       MX_OK &&
		       is_of_a_host(&out->addr);
	if (net_addr_parse(host, &out->addr) == MX_OK)
		return is_of_a_host(&out->addr);
	if (smtp_domain_canon(name, host) != MX_OK)
		return false;
	out->host = buf_span(name);
	return true;
}

bool value_is_endpoint(struct span text)
{
	struct net_addr addr;
	uint64_t port;

	return span_find(text, '/') == text.n &&
	       (span_find(text, ':') < text.n || span_u64(text, &port) ||
		net_addr_parse(text, &addr) == MX_OK);
}

struct span value_dir(struct span path)
{
	while (path.n > 0 && path.p[path.n - 1] != '/')
		path.n--;
	return path;
}

void value_hop_add(struct buf *out, const struct config_hop *hop)
{
	if (hop->host.n > 0) {
		buf_add(out, hop->host);
	} else {
		buf_addc(out, '[');
		net_addr_add(out, &hop->addr);
		buf_addc(out, ']');
	}
	buf_addf(out, ":%u", (unsigned)hop->port);
}
