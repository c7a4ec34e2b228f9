#include "config/config.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/arena.h"
#include "common/base/assert.h"
#include "config/allow/allowlist.h"
#include "config/settings.h"
#include "config/value/error.h"
#include "config/warnings.h"

/* From here on releasing is worth a thread. */
enum { LARGE = 20000 };

struct snapshot {
	struct config config; /* first: what everyone sees */
	atomic_uint refs;
	struct arena arena;
};

static struct snapshot *snapshot(struct config *c)
{
	return CONTAINER_OF(c, struct snapshot, config);
}

static void snapshot_free(struct snapshot *s)
{
	struct config *c = &s->config;

	if (c->tls_server != NULL)
		tls_server_unref(&c->tls_server);
	if (c->tls_client != NULL)
		tls_client_ctx_unref(&c->tls_client);
	domains_free(&c->domains);
	arena_reset(&s->arena);
	free(s);
}

/* ---- Loading ---- */

static const char *const *c_strings(struct arena *a, const struct span *spans,
				    size_t count)
{
	const char **strings = arena_alloc_array(a, count, sizeof(*strings));

	for (size_t i = 0; i < count; i++)
		strings[i] = spans[i].p; /* arena text ends with NUL */
	return strings;
}

static bool can_read_all(struct settings *st, const char *key,
			 const struct span *paths, size_t count)
{
	bool ok = true;

	for (size_t i = 0; i < count; i++)
		ok = settings_can_read(st, key, paths[i]) && ok;
	return ok;
}

static void make_server(struct snapshot *s, struct settings *st)
{
	struct config *c = &s->config;
	size_t pairs = c->tls.pair_count;
	struct buf why = { 0 };
	bool ok =
		can_read_all(st, "tls.certificate", c->tls.certificates, pairs);

	if (c->tls.keys != c->tls.certificates)
		ok = can_read_all(st, "tls.key", c->tls.keys,
				  c->tls.key_count) &&
		     ok;
	if (pairs == 0 || pairs != c->tls.key_count || !ok)
		return;
	if (tls_server_new(&c->tls_server,
			   c_strings(&s->arena, c->tls.certificates, pairs),
			   c_strings(&s->arena, c->tls.keys, pairs), pairs,
			   c->tls.ca_file.p, &why) != MX_OK)
		settings_fail(st, "tls.certificate", buf_span(&why));
	buf_fini(&why);
}

static void make_client(struct config *c, struct settings *st)
{
	struct buf why = { 0 };

	if (c->tls.ca_file.n > 0 &&
	    !settings_can_read(st, "tls.ca_file", c->tls.ca_file))
		return;
	if (tls_client_ctx_new(&c->tls_client, c->tls.ca_file.p, &why) != MX_OK)
		settings_fail(st, "tls.ca_file", buf_span(&why));
	buf_fini(&why);
}

/* A client certificate is of use to ETRN alone, and there only for a host
 * that has a name. */
static bool has_only_literals(const struct config_domain *row, void *arg)
{
	bool *is_of_use = arg;

	*is_of_use = row->primary_count == 0;
	for (size_t i = 0; i < row->primary_count; i++)
		*is_of_use |= row->primary[i].host.n > 0;
	return !*is_of_use;
}

static void ask_for_certificates(struct config *c)
{
	bool is_of_use = false;

	if (c->tls_server == NULL || c->domains == NULL)
		return;
	domains_each(c->domains, has_only_literals, &is_of_use);
	if (!is_of_use)
		tls_server_ask_nobody(c->tls_server);
}

static void load_domains(struct config *c, struct settings *st,
			 struct config_errors *errors)
{
	const struct allowlist_defaults defaults = {
		.tls = c->tls.outbound,
		.lifetime_ms = c->spool.lifetime_ms,
		.quota_bytes = c->policy.quota_bytes,
		.port = c->drain.port,
		.unknown = c->policy.unknown,
		.standby = c->policy.standby,
		.tables = c->spool.path,
	};

	if (settings_can_read(st, "domains", c->domains_path))
		c->domains = allowlist_read(c->domains_path, &defaults, errors);
	c->domain_count = domains_count(c->domains);
	c->recipient_count = domains_recipients(c->domains);
}

/* What is read besides the settings. */
enum load { LOAD_PART, LOAD_SETTINGS, LOAD_LISTS, LOAD_ALL };

/* Whatever the settings name. */
static void load_files(struct snapshot *s, enum load what, struct settings *st,
		       struct config_errors *errors)
{
	struct config *c = &s->config;

	load_domains(c, st, errors);
	settings_can_read(st, "dns.trust_anchor", c->dns.trust_anchor);
	if (what == LOAD_ALL)
		make_server(s, st);
	ask_for_certificates(c);
	make_client(c, st);
}

/* What was seen in the files comes last: there may be more of it than
 * anybody reads. */
static void keep_doubts(struct snapshot *s, struct settings *st,
			struct config_errors *errors)
{
	struct config_errors all = { 0 };

	if (st != NULL)
		warnings_find(&s->config, st, &all);
	config_doubts_end(errors);
	buf_add(&all.doubts, buf_span(&errors->doubts));
	s->config.doubts = arena_span(&s->arena, buf_span(&all.doubts));
	config_errors_fini(&all);
}

/* With this it can be asked and looked at, whatever else is wrong. */
static bool knows_the_daemon(const struct config *c)
{
	return c->hostname.n > 0 && c->control_path.n > 0 &&
	       c->spool.path.n > 0;
}

static struct config *load(const char *path, enum load what,
			   struct config_errors *errors)
{
	struct snapshot *s = mx_alloc(sizeof(*s));
	struct config *c = &s->config;
	size_t before = errors->count;
	struct settings *st;
	bool is_usable;

	atomic_init(&s->refs, 1);
	c->path = arena_span(&s->arena, span_str(path));
	st = settings_read(c, &s->arena, errors);
	if (what >= LOAD_LISTS)
		load_files(s, what, st, errors);
	if (errors->count == before)
		keep_doubts(s, what == LOAD_ALL ? st : NULL, errors);
	is_usable = errors->count == before ||
		    (what == LOAD_PART && settings_were_read(st) &&
		     knows_the_daemon(c));
	settings_close(st);
	config_errors_end(errors);
	if (is_usable)
		return c;
	snapshot_free(s);
	return NULL;
}

struct config *config_load(const char *path, struct config_errors *errors)
{
	return load(path, LOAD_ALL, errors);
}

struct config *config_load_settings(const char *path,
				    struct config_errors *errors)
{
	return load(path, LOAD_SETTINGS, errors);
}

struct config *config_load_part(const char *path, struct config_errors *errors)
{
	return load(path, LOAD_PART, errors);
}

struct config *config_load_lists(const char *path,
				 struct config_errors *errors)
{
	return load(path, LOAD_LISTS, errors);
}

enum { STALE_MS = 600000 };

/* What is needed is asked for at least at these intervals. */
int64_t config_stale_ms(const struct config *c)
{
	const int64_t a = c->drain.probe_max_ms, b = c->drain.probe_busy_ms;

	return STALE_MS + (a > b ? a : b);
}

/* ---- Sharing ---- */

int64_t config_certificate_end_ms(const struct config *c)
{
	int64_t first_ms = INT64_MAX;

	for (size_t i = 0; c->tls_server != NULL && i < c->tls.pair_count;
	     i++) {
		int64_t end_ms = tls_server_end_ms(c->tls_server, i);

		if (end_ms < first_ms)
			first_ms = end_ms;
	}
	return first_ms < INT64_MAX ? first_ms : 0;
}

struct config *config_ref(struct config *c)
{
	atomic_fetch_add_explicit(&snapshot(c)->refs, 1, memory_order_relaxed);
	return c;
}

static void *free_on_thread(void *arg)
{
	snapshot_free(arg);
	return NULL;
}

/* Unmapping hundreds of megabytes takes a while: not on the loop. */
static bool free_elsewhere(struct snapshot *s)
{
	pthread_attr_t attr;
	pthread_t thread;
	bool ok;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	ok = pthread_create(&thread, &attr, free_on_thread, s) == 0;
	pthread_attr_destroy(&attr);
	return ok;
}

void config_unref(struct config **c)
{
	struct snapshot *s;

	if (*c == NULL)
		return;
	s = snapshot(*c);
	*c = NULL;
	if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (s->config.domain_count + s->config.recipient_count < LARGE ||
	    !free_elsewhere(s))
		snapshot_free(s);
}

/* ---- Warnings ---- */

void config_no_user(const struct config *c, struct buf *why)
{
	buf_addf(why,
		 "user: there is no user \"%.*s\": make it (useradd --system "
		 "--user-group %.*s), or name another",
		 SPAN_ARG(c->user), SPAN_ARG(c->user));
}

void config_warn(const struct config *c)
{
	struct span rest = c->doubts;

	while (rest.n > 0)
		log_warn(EV_CONFIG, LOG_SPAN("warning", span_cut(&rest, '\n')));
}
