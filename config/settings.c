#include "config/settings.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "config/fill.h"
#include "config/options.h"
#include "config/source.h"
#include "config/value/error.h"
#include "config/value/text.h"
#include "config/value/value.h"

/* Each new client asks all of them. */
enum { DNSBL_MAX = 16 };

struct settings {
	struct fill fill;
	config_t cf;
	bool is_read; /* the text is libconfig's, whatever it says */
};

/* At the line of a key, which may be one that the file does not have. */
#define FAIL_AT(s, key, ...)                                                   \
	fill_fail(&(s)->fill, config_lookup(&(s)->cf, (key)), __VA_ARGS__)

/* ---- Reading ---- */

static void parse_failed(struct settings *s)
{
	struct fill *f = &s->fill;

	source_explain(f->path, fill_file(f, config_error_file(&s->cf)),
		       (unsigned)config_error_line(&s->cf),
		       config_error_text(&s->cf), f->errors);
}

/* libconfig takes no byte order mark: step over it. */
static bool read_behind_mark(struct settings *s)
{
	FILE *in = fopen(s->fill.path.p, "re");
	char mark[3];
	bool ok = false;

	if (in == NULL)
		return false;
	if (fread(mark, 1, sizeof(mark), in) == sizeof(mark) &&
	    memcmp(mark, BYTE_ORDER_MARK.p, sizeof(mark)) == 0)
		ok = config_read(&s->cf, in) == CONFIG_TRUE;
	fclose(in);
	return ok;
}

/* Is it libconfig's or the system's fault?  One line for either. */
static void read_failed(struct settings *s)
{
	struct fill *f = &s->fill;

	if (config_error_type(&s->cf) != CONFIG_ERR_FILE_IO) {
		parse_failed(s);
		return;
	}
	errno = 0;
	if (access(f->path.p, R_OK) == 0)
		errno = EISDIR; /* the only other way a plain open fails */
	config_fail(f->errors, f->path, 0, "cannot be read: %s",
		    strerror(errno));
}

/* "*" and an address cannot both be bound to one port. */
static void check_sockets(struct settings *s, const struct config_listen *a,
			  const struct config_listen *b)
{
	if (a->port != b->port)
		return;
	if (span_eq(a->address, b->address))
		FAIL_AT(s, "listen", "listen: address %.*s port %u twice",
			SPAN_ARG(a->address), (unsigned)a->port);
	else if (span_eq(a->address, SPAN_LIT("*")))
		FAIL_AT(s, "listen",
			"listen: address * port %u has %.*s port %u in it",
			(unsigned)a->port, SPAN_ARG(b->address),
			(unsigned)b->port);
	else if (span_eq(b->address, SPAN_LIT("*")))
		check_sockets(s, b, a);
}

static void check_listen(struct settings *s, const struct config *c)
{
	for (size_t i = 0; i < c->listen_count; i++) {
		const struct config_listen *l = &c->listen[i];

		if (l->implicit_tls && c->tls.pair_count == 0)
			FAIL_AT(s, "listen",
				"listen.implicit_tls: needs tls.certificate");
		for (size_t k = 0; k < i; k++)
			check_sockets(s, l, &c->listen[k]);
	}
}

/* A certificate without a key of its own has it in the same file. */
static void pair_keys(struct settings *s, struct config *c)
{
	if (c->tls.key_count == 0) {
		c->tls.keys = c->tls.certificates;
		c->tls.key_count = c->tls.pair_count;
	}
	if (c->tls.key_count != c->tls.pair_count)
		FAIL_AT(s, "tls.key",
			"tls.key: %zu keys for %zu certificates: one each, in "
			"the same order",
			c->tls.key_count, c->tls.pair_count);
}

/* It is shown, and is part of an application_name in the database. */
static bool is_node_name(struct span name)
{
	if (name.n == 0 || name.n > NODE_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!(name.p[i] > ' ' && name.p[i] < 0x7f) ||
		    strchr("\"'\\", name.p[i]) != NULL)
			return false;
	return true;
}

static void name_node(struct config *c)
{
	if (c->mirror.node.n > 0)
		return;
	c->mirror.node = c->hostname;
	if (c->mirror.node.n > NODE_NAME_MAX)
		c->mirror.node.n = NODE_NAME_MAX;
}

static void check_mirror(struct settings *s, const struct config *c)
{
	if (!is_node_name(c->mirror.node))
		FAIL_AT(s, "mirror.node",
			"mirror.node: expected a name of at most %d signs, "
			"without blanks and quotes, such as \"mx2a\"",
			NODE_NAME_MAX);
}

/* What no single key can say about itself. */
static void check_together(struct settings *s, struct config *c)
{
	struct sockaddr_un un;

	check_listen(s, c);
	check_mirror(s, c);
	if (c->policy.require_tls && c->tls.pair_count == 0)
		FAIL_AT(s, "policy.require_tls",
			"policy.require_tls: needs tls.certificate");
	if (c->policy.dnsbl_count > DNSBL_MAX)
		FAIL_AT(s, "policy.dnsbl", "policy.dnsbl: more than %d lists",
			DNSBL_MAX);
	if (c->control_path.n >= sizeof(un.sun_path))
		FAIL_AT(s, "control",
			"control: a socket's path has at most %zu bytes",
			sizeof(un.sun_path) - 1);
	if (!value_is_endpoint(c->web.listen) &&
	    c->web.listen.n >= sizeof(un.sun_path))
		FAIL_AT(s, "web.listen",
			"web.listen: a socket's path has at most %zu bytes",
			sizeof(un.sun_path) - 1);
	if (c->drain.retry_count == 0)
		FAIL_AT(s, "drain.retry",
			"drain.retry: at least one time is needed");
}

struct settings *settings_read(struct config *c, struct arena *arena,
			       struct config_errors *errors)
{
	struct settings *s = arena_alloc(arena, sizeof(*s));
	const struct option_table t = { config_options, config_option_count,
					c };
	struct span dir = value_dir(c->path);
	size_t before = errors->count;

	s->fill = (struct fill){ arena, c->path, errors, false };
	config_init(&s->cf);
	config_set_include_dir(&s->cf, dir.n > 0 ? arena_str(arena, dir) : ".");
	if (!source_is_fit(c->path, errors))
		return s;
	if (config_read_file(&s->cf, c->path.p) != CONFIG_TRUE &&
	    !read_behind_mark(s)) {
		read_failed(s);
		return s;
	}
	s->is_read = true;
	source_doubt_end(c->path, errors);
	fill_group(&s->fill, &t, config_root_setting(&s->cf), "");
	pair_keys(s, c);
	name_node(c);
	if (errors->count == before)
		check_together(s, c);
	c->bounce.has_relay = c->bounce.relay.host.n > 0 ||
			      c->bounce.relay.addr.family != AF_UNSPEC;
	if (c->bounce.relay.port == 0)
		c->bounce.relay.port = c->drain.port;
	return s;
}

bool settings_were_read(const struct settings *s)
{
	return s->is_read;
}

void settings_fail(struct settings *s, const char *key, struct span why)
{
	FAIL_AT(s, key, "%s: %.*s", key, SPAN_ARG(why));
}

void settings_doubt(struct settings *s, struct config_errors *e,
		    const char *key, const char *fmt, ...)
{
	unsigned line;
	struct span file =
		fill_place(&s->fill, config_lookup(&s->cf, key), &line);
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	config_doubt(e, file, line, "%s: %s", key, text);
}

bool settings_can_read(struct settings *s, const char *key, struct span path)
{
	struct stat st;

	if (path.n == 0)
		return false;
	if (access(path.p, R_OK) != 0 || stat(path.p, &st) != 0)
		FAIL_AT(s, key, "%s: %.*s: %s", key, SPAN_ARG(path),
			strerror(errno));
	else if (!S_ISREG(st.st_mode)) /* not all who read it would end */
		FAIL_AT(s, key, "%s: %.*s: %s", key, SPAN_ARG(path),
			S_ISDIR(st.st_mode) ? strerror(EISDIR) : "not a file");
	else
		return true;
	return false;
}

void settings_close(struct settings *s)
{
	config_destroy(&s->cf);
}
