#include "config/settings.h"

#include <errno.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/error.h"
#include "config/fill.h"
#include "config/options.h"

/* Is it libconfig's or the system's fault?  One line for either. */
static void read_failed(struct fill *f, const config_t *cf)
{
	if (config_error_type(cf) != CONFIG_ERR_FILE_IO) {
		config_fail(f->errors, fill_file(f, config_error_file(cf)),
			    (unsigned)config_error_line(cf), "%s",
			    config_error_text(cf));
		return;
	}
	errno = 0;
	if (access(f->path.p, R_OK) == 0)
		errno = EISDIR; /* the only other way a plain open fails */
	config_fail(f->errors, f->path, 0, "cannot be read: %s",
		    strerror(errno));
}

static bool same_socket(const struct config_listen *a,
			const struct config_listen *b)
{
	return a->port == b->port && span_eq(a->address, b->address);
}

static void check_listen(struct fill *f, const config_t *cf,
			 const struct config *c)
{
	const config_setting_t *st = config_lookup(cf, "listen");

	for (size_t i = 0; i < c->listen_count; i++) {
		const struct config_listen *l = &c->listen[i];

		if (l->implicit_tls && c->tls.pair_count == 0)
			fill_fail(f, st,
				  "listen.implicit_tls: needs tls.certificate");
		for (size_t k = 0; k < i; k++)
			if (same_socket(l, &c->listen[k]))
				fill_fail(f, st,
					  "listen: address %.*s port %u twice",
					  SPAN_ARG(l->address),
					  (unsigned)l->port);
	}
}

/* A certificate without a key of its own has it in the same file. */
static void pair_keys(struct fill *f, const config_t *cf, struct config *c)
{
	if (c->tls.key_count == 0 && c->tls.pair_count > 0) {
		c->tls.keys = c->tls.certificates;
		c->tls.key_count = c->tls.pair_count;
	}
	if (c->tls.key_count != c->tls.pair_count)
		fill_fail(
			f, config_lookup(cf, "tls.key"),
			"tls.key: %zu keys for %zu certificates: one each, in "
			"the same order",
			c->tls.key_count, c->tls.pair_count);
}

/* What no single key can say about itself. */
static void check_together(struct fill *f, const config_t *cf, struct config *c)
{
	struct sockaddr_un un;

	check_listen(f, cf, c);
	pair_keys(f, cf, c);
	if (c->control_path.n >= sizeof(un.sun_path))
		fill_fail(f, config_lookup(cf, "control"),
			  "control: a socket's path has at most %zu bytes",
			  sizeof(un.sun_path) - 1);
	if (c->spool.warn_after_ms >= c->spool.lifetime_ms)
		fill_fail(f, config_lookup(cf, "spool.warn_after"),
			  "spool.warn_after: not before spool.lifetime is "
			  "over: shorten it, or 0 for no warning");
	if (c->limits.message_bytes > c->spool.size_bytes)
		fill_fail(f, config_lookup(cf, "limits.message_size"),
			  "limits.message_size: more than spool.size");
	if (c->drain.retry_count == 0)
		fill_fail(f, config_lookup(cf, "drain.retry"),
			  "drain.retry: at least one time is needed");
}

void settings_read(struct config *c, struct arena *arena, struct span path,
		   struct config_errors *errors)
{
	struct fill f = { arena, path, errors };
	const struct option_table t = { config_options, config_option_count,
					c };
	struct span dir = fill_dir(path);
	config_t cf;

	config_init(&cf);
	config_set_include_dir(&cf, dir.n > 0 ? arena_str(arena, dir) : ".");
	if (config_read_file(&cf, path.p) != CONFIG_TRUE) {
		read_failed(&f, &cf);
	} else {
		size_t before = errors->count;

		fill_group(&f, &t, config_root_setting(&cf), "");
		if (errors->count == before)
			check_together(&f, &cf, c);
	}
	c->bounce.has_relay = c->bounce.relay.host.n > 0 ||
			      c->bounce.relay.addr.family != AF_UNSPEC;
	if (c->bounce.relay.port == 0)
		c->bounce.relay.port = c->drain.port;
	config_destroy(&cf);
}
