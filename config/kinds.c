/* The kinds of values in mx20.conf: what each accepts, how it is stored. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/smtp/address.h"
#include "config/fill.h"
#include "config/value/value.h"

/* A size without a unit that is less is a mistake. */
enum { BARE_BYTES_MIN = 64 << 10 };

static const char *const bounce_modes[] = { "dsn", "hold", NULL };

struct span setting_text(const config_setting_t *st)
{
	const char *text = config_setting_get_string(st);

	return text != NULL ? span_str(text) : (struct span){ NULL, 0 };
}

/* ---- Numbers ---- */

/*
 * libconfig 1.5 cuts an integer without its L to 32 bits and says nothing:
 * look at the line itself.
 */
static bool was_cut(struct fill *f, const config_setting_t *st)
{
	const char *file = config_setting_source_file(st);
	/* arena text ends with NUL */
	FILE *in = f->is_default ? NULL : fopen(fill_file(f, file).p, "re");
	char line[1024] = "";
	unsigned at = 0;
	bool cut = false;

	if (in == NULL)
		return false;
	while (at < config_setting_source_line(st) &&
	       fgets(line, sizeof(line), in) != NULL)
		at++;
	fclose(in);
	for (const char *p = line; (p = strchr(p, '=')) != NULL; p++) {
		char *end;
		long long v = strtoll(p + 1, &end, 10);

		if ((v > INT_MAX || v < INT_MIN) && *end != 'L')
			cut = true;
	}
	return cut;
}

static bool whole_number(struct fill *f, const config_setting_t *st,
			 int64_t *out)
{
	int type = config_setting_type(st);

	if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
		return false;
	*out = config_setting_get_int64(st);
	return type == CONFIG_TYPE_INT64 || !was_cut(f, st);
}

static bool in_range(const struct option *o, int64_t v)
{
	return v >= o->least && v <= o->most;
}

static bool take_count(struct fill *f, const struct option *o,
		       const config_setting_t *st, void *out)
{
	int64_t v;

	if (!whole_number(f, st, &v) || !in_range(o, v))
		return false;
	*(unsigned *)out = (unsigned)v;
	return true;
}

static bool take_port(struct fill *f, const struct option *o,
		      const config_setting_t *st, void *out)
{
	int64_t v;

	if (!whole_number(f, st, &v) || !in_range(o, v))
		return false;
	*(in_port_t *)out = (in_port_t)v;
	return true;
}

static bool take_bool(struct fill *f, const struct option *o,
		      const config_setting_t *st, void *out)
{
	(void)f, (void)o;
	if (config_setting_type(st) != CONFIG_TYPE_BOOL)
		return false;
	*(bool *)out = config_setting_get_bool(st) == CONFIG_TRUE;
	return true;
}

/* The value as it would stand in quotes: whoever leaves them out means the
 * same.  NULL inside: it is neither text nor a whole number. */
static struct span quantity(struct fill *f, const config_setting_t *st,
			    char digits[24])
{
	int64_t v;

	if (!whole_number(f, st, &v))
		return setting_text(st);
	snprintf(digits, 24, "%lld", (long long)v);
	return span_str(digits);
}

/*
 * Without a unit it is bytes, but nobody means so few of them: 50 stands for
 * 50M in most minds, and 10240, as other servers have it, for kilobytes.
 */
static bool take_size(struct fill *f, const struct option *o,
		      const config_setting_t *st, void *out)
{
	char digits[24];
	struct span text = quantity(f, st, digits);
	int64_t v;

	if (!value_size(text, &v))
		return false;
	*(uint64_t *)out = (uint64_t)v;
	if (value_lacks_unit(text) && v < BARE_BYTES_MIN)
		fill_fail(f, st, "%s: " VALUE_SIZE_UNIT, o->path,
			  SPAN_ARG(text));
	else
		return in_range(o, v);
	return true;
}

/* "" is 0 where 0 is allowed. */
static bool take_time(struct fill *f, const struct option *o,
		      const config_setting_t *st, void *out)
{
	char digits[24];
	struct span text = quantity(f, st, digits);
	int64_t v = 0;

	if (value_lacks_unit(text))
		fill_fail(f, st, "%s: " VALUE_TIME_UNIT, o->path,
			  SPAN_ARG(text), SPAN_ARG(text));
	else if (text.p == NULL || (text.n > 0 && !value_time(text, &v)) ||
		 !in_range(o, v))
		return false;
	*(int64_t *)out = v;
	return true;
}

/* ---- Words ---- */

static bool take_tls(struct fill *f, const struct option *o,
		     const config_setting_t *st, void *out)
{
	(void)f, (void)o;
	return value_tls(setting_text(st), out);
}

static bool take_bounce(struct fill *f, const struct option *o,
			const config_setting_t *st, void *out)
{
	int64_t i;

	(void)f, (void)o;
	if (!value_word(bounce_modes, setting_text(st), &i))
		return false;
	*(enum bounce_mode *)out = (enum bounce_mode)i;
	return true;
}

static bool take_log(struct fill *f, const struct option *o,
		     const config_setting_t *st, void *out)
{
	(void)f, (void)o;
	return log_level_parse(setting_text(st), out);
}

/* ---- Text ---- */

static bool take_text(struct fill *f, const struct option *o,
		      const config_setting_t *st, void *out)
{
	struct span text = setting_text(st);

	(void)o;
	*(struct span *)out = arena_span(f->arena, text);
	return text.p != NULL;
}

static bool take_path(struct fill *f, const struct option *o,
		      const config_setting_t *st, void *out)
{
	struct span text = setting_text(st);

	*(struct span *)out = fill_path(f, st, text);
	/* Only what has an empty default may be empty. */
	return text.p != NULL &&
	       (text.n > 0 || (o->dflt != NULL && strlen(o->dflt) == 2));
}

static bool take_host(struct fill *f, const struct option *o,
		      const config_setting_t *st, void *out)
{
	struct span text = setting_text(st);
	struct buf canon = { 0 };
	struct net_addr addr;
	bool ok = net_addr_parse(text, &addr) != MX_OK &&
		  smtp_domain_canon(&canon, text) == MX_OK;

	(void)o;
	*(struct span *)out = arena_span(f->arena, buf_span(&canon));
	buf_fini(&canon);
	return ok;
}

static bool take_alias(struct fill *f, const struct option *o,
		       const config_setting_t *st, void *out)
{
	struct buf canon = { 0 };
	struct net_addr addr;

	if (net_addr_parse(setting_text(st), &addr) != MX_OK)
		return take_host(f, o, st, out);
	net_addr_add(&canon, &addr);
	*(struct span *)out = arena_span(f->arena, buf_span(&canon));
	buf_fini(&canon);
	return true;
}

static bool take_mailbox(struct fill *f, const struct option *o,
			 const config_setting_t *st, void *out)
{
	struct span text = setting_text(st);
	struct smtp_path path;

	if (!take_text(f, o, st, out))
		return false;
	return text.n == 0 || (smtp_mailbox_parse(text, true, &path) == MX_OK &&
			       path.domain.n > 0);
}

static bool take_hop(struct fill *f, const struct option *o,
		     const config_setting_t *st, void *out)
{
	struct span text = setting_text(st);
	struct config_hop *hop = out;
	struct buf name = { 0 };
	bool ok = text.n > 0 && value_hop(text, &name, hop);

	(void)o;
	hop->host = arena_span(f->arena, buf_span(&name));
	buf_fini(&name);
	return ok || (text.p != NULL && text.n == 0);
}

static bool take_server(struct fill *f, const struct option *o,
			const config_setting_t *st, void *out)
{
	struct net_addr addr;

	return take_text(f, o, st, out) &&
	       net_endpoint_parse(*(struct span *)out, '@', 53, &addr) == MX_OK;
}

/* ---- Listeners ---- */

static bool take_bind(struct fill *f, const struct option *o,
		      const config_setting_t *st, void *out)
{
	struct span text = setting_text(st);
	struct net_addr addr;

	return take_text(f, o, st, out) &&
	       (span_eq(text, SPAN_LIT("*")) ||
		net_addr_parse(text, &addr) == MX_OK);
}

static bool take_network(struct fill *f, const struct option *o,
			 const config_setting_t *st, void *out)
{
	(void)f, (void)o;
	return net_cidr_parse(setting_text(st), out) == MX_OK;
}

static bool take_listen(struct fill *f, const struct option *o,
			const config_setting_t *st, void *out)
{
	struct config_listen *l = out;
	const struct option_table t = { listen_options, listen_option_count,
					l };

	if (!config_setting_is_group(st))
		return false;
	fill_group(f, &t, st, o->path);
	if (l->proxy && l->proxy_from_count == 0)
		fill_fail(f, st,
			  "listen.networks: nobody could connect; say where "
			  "the proxies are: networks = [ \"10.0.0.0/8\" ];");
	return true;
}

/* clang-format off */
const struct kind kinds[] = {
	[K_COUNT] = { "a whole number", NULL, sizeof(unsigned), ONE, take_count },
	[K_PORT] = { "a port", NULL, sizeof(in_port_t), ONE, take_port },
	[K_BOOL] = { "true or false", NULL, sizeof(bool), ONE, take_bool },
	[K_SIZE] = { "a size such as", "\"50M\"", sizeof(uint64_t), ONE, take_size },
	[K_TIME] = { "a time such as", "\"30s\" \"10m\" \"4h\" \"14d\"", sizeof(int64_t), ONE, take_time },
	[K_TIMES] = { "times such as", "[ \"1m\", \"5m\" ]", sizeof(int64_t), MANY, take_time },
	[K_TLS] = { "one of \"none\" \"may\" \"must\" \"verify\" \"dane\"", NULL, sizeof(enum tls_level), ONE, take_tls },
	[K_BOUNCE] = { "one of \"dsn\" \"hold\"", NULL, sizeof(enum bounce_mode), ONE, take_bounce },
	[K_LOG] = { "one of \"error\" \"warn\" \"info\" \"debug\"", NULL, sizeof(enum log_level), ONE, take_log },
	[K_TEXT] = { "text such as", "\"mx20\"", sizeof(struct span), ONE, take_text },
	[K_PATH] = { "a path such as", "\"domains\"", sizeof(struct span), ONE, take_path },
	[K_PATHS] = { "a path or a list of paths such as", "[ \"rsa.pem\", \"ecdsa.pem\" ]", sizeof(struct span), ONE_OR_MANY, take_path },
	[K_HOST] = { "a host name such as", "\"mx2.example.net\"", sizeof(struct span), ONE, take_host },
	[K_MAILBOX] = { "a mailbox such as", "\"postmaster@example.net\"", sizeof(struct span), ONE, take_mailbox },
	[K_HOP] = { "HOST:PORT such as", "\"relay.example.net:25\" \"[192.0.2.1]:25\"", sizeof(struct config_hop), ONE, take_hop },
	[K_ALIASES] = { "names and addresses such as", "[ \"mx2.example.org\", \"192.0.2.1\" ]", sizeof(struct span), MANY, take_alias },
	[K_SERVERS] = { "resolvers such as", "[ \"127.0.0.1@53\" ]", sizeof(struct span), MANY, take_server },
	[K_BIND] = { "\"*\" or an address such as", "\"192.0.2.1\" \"2001:db8::1\"", sizeof(struct span), ONE, take_bind },
	[K_NETWORKS] = { "networks such as", "[ \"10.0.0.0/8\", \"2001:db8::/32\" ]", sizeof(struct net_cidr), MANY, take_network },
	[K_LISTEN] = { "groups such as", "( { address = \"*\"; port = 25; } )", sizeof(struct config_listen), MANY, take_listen },
};
/* clang-format on */

void kind_accepts(struct buf *out, const struct option *o)
{
	const struct kind *k = &kinds[o->kind];

	buf_adds(out, k->what);
	if (k->example != NULL)
		buf_addf(out, " %s", k->example);
	if (o->most <= 1)
		return;
	buf_adds(out, ", from ");
	if (o->kind == K_SIZE) {
		value_size_add(out, o->least);
		buf_adds(out, " to ");
		value_size_add(out, o->most);
	} else if (o->kind == K_TIME || o->kind == K_TIMES) {
		value_time_add(out, o->least);
		buf_adds(out, " to ");
		value_time_add(out, o->most);
	} else {
		buf_addf(out, "%lld to %lld", (long long)o->least,
			 (long long)o->most);
	}
}
