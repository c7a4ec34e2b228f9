#include "config/value/kind.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/smtp/address.h"
#include "config/value/value.h"

/* A size without a unit that is less is a mistake: 50 stands for 50M in most
 * minds, and 10240, as other servers have it, for kilobytes. */
enum { BARE_BYTES_MIN = 64 << 10 };

static const char *const bounce_modes[] = { "dsn", "hold", "proven", NULL };
static const char *const unknown_modes[] = { "defer", "accept", "reject",
					     NULL };
static const char *const away_modes[] = { "accept", "refuse", NULL };
static const char *const standby_modes[STANDBY_MODES + 1] = {
	[STANDBY_ACCEPT] = "accept",
	[STANDBY_DEFER] = "defer",
	[STANDBY_RELAY] = "relay",
};
static const char *const truths[] = { "false", "true", NULL };

static struct span keep(const struct keeper *k, struct span text)
{
	char *copy = k->alloc(k->arg, text.n + 1, 1);

	if (text.n > 0)
		memcpy(copy, text.p, text.n);
	return (struct span){ copy, text.n };
}

/* ---- Numbers ---- */

static bool in_range(const struct option *o, int64_t v)
{
	return (o->flags & HAS_RANGE) == 0 || (v >= o->least && v <= o->most);
}

static bool take_number(const struct option *o, struct span text, uint64_t *v)
{
	return span_u64(text, v) && *v <= INT64_MAX && in_range(o, (int64_t)*v);
}

static bool take_count(const struct option *o, struct span text,
		       const struct keeper *k, void *out)
{
	uint64_t v = 0;
	bool ok = take_number(o, text, &v);

	(void)k;
	*(unsigned *)out = (unsigned)v;
	return ok;
}

static bool take_port(const struct option *o, struct span text,
		      const struct keeper *k, void *out)
{
	uint64_t v = 0;
	bool ok = take_number(o, text, &v);

	(void)k;
	*(in_port_t *)out = (in_port_t)v;
	return ok;
}

static bool take_share(const struct option *o, struct span text,
		       const struct keeper *k, void *out)
{
	int64_t v = 0;
	bool ok = value_share(text, &v) && in_range(o, v);

	(void)k;
	*(unsigned *)out = (unsigned)v;
	return ok;
}

static bool take_size(const struct option *o, struct span text,
		      const struct keeper *k, void *out)
{
	int64_t v = 0;
	bool ok = value_size(text, &v) && in_range(o, v);

	(void)k;
	*(uint64_t *)out = (uint64_t)v;
	return ok;
}

static bool take_time(const struct option *o, struct span text,
		      const struct keeper *k, void *out)
{
	int64_t v = 0;
	bool ok = (text.n == 0 || value_time(text, &v)) && in_range(o, v);

	(void)k;
	*(int64_t *)out = v;
	return ok;
}

/* ---- Words ---- */

static bool take_bool(const struct option *o, struct span text,
		      const struct keeper *k, void *out)
{
	int64_t i = 0;
	bool ok = value_word(truths, text, &i);

	(void)o, (void)k;
	*(bool *)out = i != 0;
	return ok;
}

static bool take_tls(const struct option *o, struct span text,
		     const struct keeper *k, void *out)
{
	(void)o, (void)k;
	return value_tls(text, out);
}

static bool take_bounce(const struct option *o, struct span text,
			const struct keeper *k, void *out)
{
	int64_t i = 0;
	bool ok = value_word(bounce_modes, text, &i);

	(void)o, (void)k;
	*(enum bounce_mode *)out = (enum bounce_mode)i;
	return ok;
}

static bool take_unknown(const struct option *o, struct span text,
			 const struct keeper *k, void *out)
{
	int64_t i = 0;
	bool ok = value_word(unknown_modes, text, &i);

	(void)o, (void)k;
	*(enum unknown_mode *)out = (enum unknown_mode)i;
	return ok;
}

static bool take_standby(const struct option *o, struct span text,
			 const struct keeper *k, void *out)
{
	int64_t i = 0;
	bool ok = value_word(standby_modes, text, &i);

	(void)o, (void)k;
	*(enum standby_mode *)out = (enum standby_mode)i;
	return ok;
}

static bool take_away(const struct option *o, struct span text,
		      const struct keeper *k, void *out)
{
	int64_t i = 0;
	bool ok = value_word(away_modes, text, &i);

	(void)o, (void)k;
	*(enum away_mode *)out = (enum away_mode)i;
	return ok;
}

static bool take_log(const struct option *o, struct span text,
		     const struct keeper *k, void *out)
{
	(void)o, (void)k;
	return log_level_parse(text, out);
}

/* ---- Text ---- */

static bool take_text(const struct option *o, struct span text,
		      const struct keeper *k, void *out)
{
	(void)o;
	*(struct span *)out = keep(k, text);
	return true;
}

/* For who asked. */
static bool take_any(const struct option *o, struct span text,
		     const struct keeper *k, void *out)
{
	(void)o, (void)text, (void)k, (void)out;
	return true;
}

static bool take_host(const struct option *o, struct span text,
		      const struct keeper *k, void *out)
{
	struct buf canon = { 0 };
	struct net_addr addr;
	bool ok = net_addr_parse(text, &addr) != MX_OK &&
		  smtp_domain_canon(&canon, text) == MX_OK;

	(void)o;
	*(struct span *)out = keep(k, buf_span(&canon));
	buf_fini(&canon);
	return ok;
}

static bool take_alias(const struct option *o, struct span text,
		       const struct keeper *k, void *out)
{
	struct buf canon = { 0 };
	struct net_addr addr;

	if (net_addr_parse(text, &addr) != MX_OK)
		return take_host(o, text, k, out);
	net_addr_add(&canon, &addr);
	*(struct span *)out = keep(k, buf_span(&canon));
	buf_fini(&canon);
	return true;
}

static bool take_mailbox(const struct option *o, struct span text,
			 const struct keeper *k, void *out)
{
	struct smtp_path path;

	take_text(o, text, k, out);
	return text.n == 0 || (smtp_mailbox_parse(text, true, &path) == MX_OK &&
			       path.domain.n > 0);
}

static bool take_hop(const struct option *o, struct span text,
		     const struct keeper *k, void *out)
{
	struct config_hop *hop = out;
	struct buf name = { 0 };
	bool ok = text.n == 0 || value_hop(text, &name, hop);

	(void)o;
	hop->host = keep(k, buf_span(&name));
	buf_fini(&name);
	return ok;
}

static bool take_server(const struct option *o, struct span text,
			const struct keeper *k, void *out)
{
	struct net_addr addr;

	take_text(o, text, k, out);
	return net_endpoint_parse(text, '@', 53, &addr) == MX_OK;
}

static bool take_bind(const struct option *o, struct span text,
		      const struct keeper *k, void *out)
{
	struct net_addr addr;

	take_text(o, text, k, out);
	return span_eq(text, SPAN_LIT("*")) ||
	       net_addr_parse(text, &addr) == MX_OK;
}

static bool take_network(const struct option *o, struct span text,
			 const struct keeper *k, void *out)
{
	(void)o, (void)k;
	return net_cidr_parse(text, out) == MX_OK;
}

static bool take_sign(const struct option *o, struct span text,
		      const struct keeper *k, void *out)
{
	(void)o, (void)k;
	*(char *)out = text.p[0];
	return text.n == 1 && strchr("+-_=#!%&~^|/$*?'`", text.p[0]) != NULL;
}

static bool take_place(const struct option *o, struct span text,
		       const struct keeper *k, void *out)
{
	struct net_addr addr;

	take_text(o, text, k, out);
	return text.n == 0 || !value_is_endpoint(text) ||
	       (net_endpoint_parse(text, ':', 0, &addr) == MX_OK &&
		addr.port != 0);
}

/* clang-format off */
const struct kind kinds[] = {
	/* what, as in mx20.conf, as in the allowlist,
	 * size, shape, form, take */
	[K_COUNT] = { "a whole number", NULL, NULL,
		sizeof(unsigned), ONE, NUMBER, take_count },
	[K_PORT] = { "a port", NULL, NULL,
		sizeof(in_port_t), ONE, NUMBER, take_port },
	[K_BOOL] = { "true or false", NULL, NULL,
		sizeof(bool), ONE, TRUTH, take_bool },
	[K_SHARE] = { "a share such as", "0.2", NULL,
		sizeof(unsigned), ONE, FRACTION, take_share },
	[K_SIZE] = { "a size such as", "\"50M\"", "10G",
		sizeof(uint64_t), ONE, QUANTITY, take_size },
	[K_TIME] = { "a time such as", "\"30s\" \"10m\" \"4h\" \"14d\"", "30d",
		sizeof(int64_t), ONE, QUANTITY, take_time },
	[K_TIMES] = { "times such as", "[ \"1m\", \"5m\" ]", NULL,
		sizeof(int64_t), MANY, QUANTITY, take_time },
	[K_TLS] = { "one of",
		"\"none\" \"may\" \"must\" \"verify\" \"dane\"",
		"none may must verify dane",
		sizeof(enum tls_level), ONE, TEXT, take_tls },
	[K_BOUNCE] = { "one of", "\"dsn\" \"proven\" \"hold\"", NULL,
		sizeof(enum bounce_mode), ONE, TEXT, take_bounce },
	[K_UNKNOWN] = { "one of", "\"defer\" \"accept\" \"reject\"",
		"defer accept reject",
		sizeof(enum unknown_mode), ONE, TEXT, take_unknown },
	[K_STANDBY] = { "one of", "\"relay\" \"defer\" \"accept\"",
		"relay defer accept",
		sizeof(enum standby_mode), ONE, TEXT, take_standby },
	[K_AWAY] = { "one of", "\"accept\" \"refuse\"", NULL,
		sizeof(enum away_mode), ONE, TEXT, take_away },
	[K_LOG] = { "one of", "\"error\" \"warn\" \"info\" \"debug\"", NULL,
		sizeof(enum log_level), ONE, TEXT, take_log },
	[K_TEXT] = { "text such as", "\"mx20\"", NULL,
		sizeof(struct span), ONE, TEXT, take_text },
	[K_PATH] = { "a path such as", "\"domains\"", NULL,
		sizeof(struct span), ONE, PATH, take_text },
	[K_PATHS] = { "a path or a list of paths such as",
		"[ \"rsa.pem\", \"ecdsa.pem\" ]", NULL,
		sizeof(struct span), ONE_OR_MANY, PATH, take_text },
	[K_HOST] = { "a host name such as", "\"mx2.example.net\"", NULL,
		sizeof(struct span), ONE, TEXT, take_host },
	[K_MAILBOX] = { "a mailbox such as", "\"postmaster@example.net\"", NULL,
		sizeof(struct span), ONE, TEXT, take_mailbox },
	[K_HOP] = { "HOST:PORT such as",
		"\"relay.example.net:25\" \"[192.0.2.1]:25\"", NULL,
		sizeof(struct config_hop), ONE, TEXT, take_hop },
	[K_HOPS] = { "hosts in order of preference such as",
		NULL, "mail.example.org,mail2.example.org:2525,[192.0.2.10]:25",
		sizeof(struct config_hop), MANY, TEXT, take_hop },
	[K_ALIASES] = { "names and addresses such as",
		"[ \"mx2.example.org\", \"192.0.2.1\" ]", NULL,
		sizeof(struct span), MANY, TEXT, take_alias },
	[K_SERVERS] = { "resolvers such as", "[ \"127.0.0.1@53\" ]", NULL,
		sizeof(struct span), MANY, TEXT, take_server },
	[K_BIND] = { "\"*\" or an address such as",
		"\"192.0.2.1\" \"2001:db8::1\"", NULL,
		sizeof(struct span), ONE, TEXT, take_bind },
	[K_NETWORKS] = { "networks such as",
		"[ \"10.0.0.0/8\", \"2001:db8::/32\" ]",
		"192.0.2.0/24,2001:db8::/32",
		sizeof(struct net_cidr), MANY, TEXT, take_network },
	[K_LISTEN] = { "groups such as",
		"( { address = \"*\"; port = 25; } )", NULL,
		sizeof(struct config_listen), MANY, GROUP, NULL },
	[K_DNSBL] = { "groups such as",
		"( { zone = \"bl.example\"; weight = 1; } )", NULL,
		sizeof(struct config_dnsbl), MANY, GROUP, NULL },
	[K_RECIPIENTS] = { "files, https:// URLs, verify, or * for every local "
		"part, with commas between", NULL, NULL,
		0, ONE, TEXT, take_any },
	[K_SIGN] = { "one sign such as", NULL, "+",
		sizeof(char), ONE, TEXT, take_sign },
	[K_PLACE] = { "ADDRESS:PORT, or the path of a socket, such as",
		"\"127.0.0.1:8020\" \"/run/mx20/web.sock\"", NULL,
		sizeof(struct span), ONE, PLACE, take_place },
};
/* clang-format on */

bool kind_take(const struct option *o, struct span text,
	       const struct keeper *k, void *out)
{
	if (text.n == 0 && (o->flags & MAY_BE_EMPTY) == 0)
		return false;
	return kinds[o->kind].take(o, text, k, out);
}

static bool take_list(const struct option *o, struct span list,
		      const struct keeper *k, char *base)
{
	size_t size = kinds[o->kind].size, count = 1;
	char *items;

	for (size_t i = 0; i < list.n; i++)
		count += list.p[i] == ',';
	items = k->alloc(k->arg, count, size);
	for (size_t i = 0; i < count; i++)
		if (!kind_take(o, span_cut(&list, ','), k, items + i * size))
			return false;
	memcpy(base + o->field, &items, sizeof(items));
	memcpy(base + o->count, &count, sizeof(count));
	return true;
}

bool kind_take_word(const struct option *o, struct span word,
		    const struct keeper *k, void *base)
{
	if (kinds[o->kind].shape == MANY)
		return take_list(o, word, k, base);
	return kind_take(o, word, k, (char *)base + o->field);
}

bool kind_lacks_unit(const struct option *o, struct span text, struct buf *why)
{
	enum option_kind kind = o->kind;
	int64_t v;

	if (kinds[kind].form != QUANTITY || !value_lacks_unit(text) ||
	    (kind == K_SIZE &&
	     (!value_size(text, &v) || v >= BARE_BYTES_MIN)))
		return false;
	buf_addf(why, "%.*s has no unit: ", SPAN_ARG(text));
	if (kind == K_SIZE)
		buf_adds(why, "K, M, G or T, as in \"50M\"");
	else
		buf_addf(why, "ms, s, m, h, d or w, as in \"%.*s%c\"",
			 SPAN_ARG(text), o->most <= DAYS(1) ? 's' : 'd');
	return true;
}

static void add_number(struct buf *out, enum option_kind kind, int64_t v)
{
	if (kind == K_SIZE)
		value_size_add(out, v);
	else if (kind == K_TIME || kind == K_TIMES)
		value_time_add(out, v);
	else if (kind == K_SHARE)
		value_share_add(out, v);
	else
		buf_addf(out, "%lld", (long long)v);
}

void kind_accepts(struct buf *out, const struct option *o, const char *example)
{
	buf_adds(out, kinds[o->kind].what);
	if (example != NULL)
		buf_addf(out, " %s", example);
	if ((o->flags & HAS_RANGE) == 0)
		return;
	buf_adds(out, ", from ");
	add_number(out, o->kind, o->least);
	buf_adds(out, " to ");
	add_number(out, o->kind, o->most);
}
