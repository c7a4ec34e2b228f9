#include "config/config.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/arena.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "config/allowlist.h"
#include "config/error.h"
#include "config/settings.h"

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

/* Whatever the settings name. */
static void load_files(struct snapshot *s, struct settings *st,
		       struct config_errors *errors)
{
	struct config *c = &s->config;

	if (settings_can_read(st, "domains", c->domains_path))
		allowlist_read(c, errors);
	settings_can_read(st, "dns.trust_anchor", c->dns.trust_anchor);
	make_server(s, st);
	make_client(c, st);
}

static struct config *load(const char *path, bool with_files,
			   struct config_errors *errors)
{
	struct snapshot *s = mx_alloc(sizeof(*s));
	struct config *c = &s->config;
	size_t before = errors->count;
	struct settings *st;

	atomic_init(&s->refs, 1);
	c->path = arena_span(&s->arena, span_str(path));
	st = settings_read(c, &s->arena, errors);
	if (with_files)
		load_files(s, st, errors);
	settings_close(st);
	if (errors->count == before) {
		config_doubts_end(errors);
		c->doubts = arena_span(&s->arena, buf_span(&errors->doubts));
		return c;
	}
	config_errors_end(errors);
	snapshot_free(s);
	return NULL;
}

struct config *config_load(const char *path, struct config_errors *errors)
{
	return load(path, true, errors);
}

struct config *config_load_settings(const char *path,
				    struct config_errors *errors)
{
	return load(path, false, errors);
}

/* ---- Sharing ---- */

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

#define LAST_FIELD                                                             \
	{                                                                      \
		LOG_KIND_END, NULL, { NULL, 0 }, 0                             \
	}

struct warner {
	config_warning_cb *cb;
	void *arg;
};

#define WARN(w, ...)                                                           \
	(w)->cb((const struct log_field[]){ __VA_ARGS__, LAST_FIELD }, (w)->arg)

static void warn(struct warner *w, const char *key, const char *text)
{
	WARN(w, LOG_STR("key", key), LOG_STR("warning", text));
}

/* What was seen while the files were read. */
static void warn_of_doubts(const struct config *c, struct warner *w)
{
	struct span rest = c->doubts;

	while (rest.n > 0)
		WARN(w, LOG_SPAN("warning", span_cut(&rest, '\n')));
}

static void warn_of_expiry(const struct config *c, struct warner *w)
{
	struct buf end = { 0 };
	int64_t end_ms;
	size_t i;

	if (c->tls_server == NULL)
		return;
	i = tls_server_first_to_end(c->tls_server, &end_ms);
	if (end_ms > clock_wall_ms())
		return;
	clock_rfc3339(&end, end_ms);
	WARN(w, LOG_STR("key", "tls.certificate"),
	     LOG_SPAN("file", c->tls.certificates[i]),
	     LOG_SPAN("expired", buf_span(&end)),
	     LOG_STR("warning", "senders that check it will not deliver: "
				"renew it, then mx20ctl reload"));
	buf_fini(&end);
}

/* O(1) at any size: the rows were counted while they were read. */
void config_warnings(const struct config *c, config_warning_cb *cb, void *arg)
{
	const struct domains *d = c->domains;
	struct warner sink = { cb, arg }, *w = &sink;

	if (d != NULL && d->any_count > 0)
		WARN(w, LOG_STR("key", "recipients"),
		     LOG_SPAN("domain", d->any_first->name),
		     LOG_INT("domains", d->any_count),
		     LOG_STR("warning",
			     "recipients=* takes mail that the primary "
			     "will refuse, and returns it to senders that "
			     "are mostly forged"));
	if (c->domain_count == 0)
		warn(w, "domains", "the allowlist is empty: no mail is taken");
	if (c->listen_count == 0)
		warn(w, "listen", "listens nowhere: only drains");
	if (c->tls.pair_count == 0)
		warn(w, "tls.certificate",
		     "no certificate: STARTTLS is not offered");
	warn_of_expiry(c, w);
	warn_of_doubts(c, w);
	if (c->spool.lifetime_ms < DAYS(4))
		warn(w, "spool.lifetime",
		     "RFC 5321 section 4.5.4.1 asks for 4 to "
		     "5 days at least");
	if (c->spool.warn_after_ms >= c->spool.lifetime_ms)
		warn(w, "spool.warn_after",
		     "not before spool.lifetime is over: "
		     "no sender is warned");
	if (c->limits.message_bytes > c->spool.size_bytes)
		warn(w, "limits.message_size", "more than spool.size");
}

static void log_warning(const struct log_field *fields, void *arg)
{
	(void)arg;
	log_fields(LOG_LEVEL_WARN, EV_CONFIG, fields);
}

void config_warn(const struct config *c)
{
	config_warnings(c, log_warning, NULL);
}

void config_warning_text(struct buf *out, const struct log_field *fields)
{
	const struct log_field *f, *words = fields;
	const char *before = " (";

	while (words[1].kind != LOG_KIND_END)
		words++;
	if (words > fields) {
		buf_add(out, fields->text);
		buf_adds(out, ": ");
	}
	buf_add(out, words->text);
	for (f = fields + 1; f < words; f++, before = ", ") {
		buf_addf(out, "%s%s ", before, f->key);
		if (f->kind == LOG_KIND_INT)
			buf_addf(out, "%lld", (long long)f->number);
		else
			buf_add(out, f->text);
	}
	if (words > fields + 1)
		buf_addc(out, ')');
}
