/* A reload: another configuration, for all rooms or for none. */
#include <limits.h>

#include "common/base/metrics.h"
#include "config/options.h"
#include "config/reload.h"
#include "daemon/load.h"
#include "daemon/main_priv.h"
#include "daemon/notify.h"

static void log_errors(const struct config_errors *errors)
{
	struct span rest = buf_span(&errors->text);

	while (rest.n > 0)
		log_error(EV_RELOAD, LOG_SPAN("error", span_cut(&rest, '\n')));
}

static void log_notes(struct span text)
{
	while (text.n > 0) {
		struct span what = span_cut(&text, '\n');
		struct span key = span_cut(&what, ':');

		log_warn(EV_RELOAD, LOG_SPAN("key", key),
			 LOG_SPAN("remedy", span_trim(what)));
	}
}

static void swap_config(struct daemon *d, struct config *c)
{
	struct config *old = d->config;
	const struct net_addr *local;
	size_t local_count;

	d->config = c;
	d->hooks.config = c;
	log_set_level(c->log_level);
	spool_set_limits(d->spool, c->spool.size_bytes, c->spool.reserve_bytes);
	policy_reload(d->policy, c);
	intake_reload(d->intake, c);
	local = sockets_addrs(d->sockets, &local_count);
	router_listens(d->router, local, local_count);
	proving_pause(d->proving);
	router_reload(d->router, c);
	keeper_reload(d->keeper, c);
	proving_resume(d->proving, c);
	known_reload(d->known, c);
	drain_reload(d->drain, c);
	daily_reload(d->daily, c);
	control_set_config(d->control, c);
	web_set_config(d->web, c);
	mirror_reload(d->mirror, c);
	config_unref(&old);
}

static void log_taken(const struct config *c, const struct change *ch)
{
	struct buf text = { 0 };
	struct span head;

	change_text(&text, ch);
	head = buf_span(&text);
	config_warn(c);
	guard_log_forced(ch);
	log_info(EV_RELOAD, LOG_INT("domains", c->domain_count),
		 LOG_INT("recipients", c->recipient_count),
		 LOG_SPAN("changes", span_cut(&head, '\n')));
	buf_fini(&text);
}

/* Before anything is replaced: this may still fail. */
static bool listen_as(struct daemon *d, const struct config *c,
		      struct config_errors *errors)
{
	struct buf why = { 0 };
	bool ok = sockets_reload(d->sockets, d->intake, d->config, c, &why) ==
		  MX_OK;

	if (!ok)
		config_fail(errors, c->path, 0, "listen: %.*s",
			    SPAN_ARG(buf_span(&why)));
	buf_fini(&why);
	return ok;
}

/* All or nothing: with a single error the old one stays, and with what looks
 * like an accident. */
static bool take(struct daemon *d, const struct reload_result *result,
		 struct config_errors *late)
{
	const struct change *ch = result->change;

	if (ch->refusals.count > 0 && !result->is_forced) {
		guard_log_refused(ch);
		return false;
	}
	if (!listen_as(d, result->config, late))
		return false;
	swap_config(d, config_ref(result->config));
	guard_taken(d->guard, result->config);
	tables_reload(d->tables, result->config, result->is_forced);
	log_taken(result->config, ch);
	return true;
}

static void conclude(struct daemon *d, const struct reload_result *result)
{
	struct config_errors late = { 0 };
	struct buf notes = { 0 };
	struct control_reload ended = {
		.number = result->number,
		.config = result->config,
		.errors = result->errors,
		.change = result->change,
		.notes = &notes,
	};

	if (ended.config != NULL && load_check(d->loop, ended.config, &late)) {
		options_need_restart(d->config, ended.config, &notes);
		if (result->is_real)
			ended.is_taken = take(d, result, &late);
	}
	if (late.count > 0) {
		ended.config = NULL;
		ended.errors = &late;
	}
	if (ended.config == NULL && result->is_real)
		log_errors(ended.errors);
	if (result->is_real)
		metrics_set(METRIC_RELOAD, ended.is_taken);
	if (ended.is_taken)
		log_notes(buf_span(&notes));
	control_reloaded(d->control, &ended);
	if (result->is_last)
		notify_ready(d->config);
	buf_fini(&notes);
	config_errors_fini(&late);
}

static void on_reloaded(const struct reload_result *result, void *arg)
{
	struct config *c = result->config;
	struct daemon *d = arg;

	if (!d->is_stopping)
		conclude(d, result);
	config_unref(&c);
}

static struct config *current_config(void *arg)
{
	struct daemon *d = arg;

	return d->config;
}

static void look_at_mail(struct change *ch, void *arg)
{
	struct daemon *d = arg;

	guard_mail(d->guard, ch);
}

unsigned daemon_reload_start(unsigned flags, void *arg)
{
	struct daemon *d = arg;

	if (d->is_stopping)
		return UINT_MAX;
	if (!(flags & RELOAD_DRY))
		notify_reloading();
	return reload_start(d->reload, flags);
}

void daemon_reload_open(struct daemon *d)
{
	d->guard = guard_new(d->spool, d->config);
	d->reload = reload_new(d->loop, d->config->path.p,
			       &(struct reload_hooks){ current_config,
						       look_at_mail,
						       on_reloaded, d });
	d->tables = tables_new(d->loop, d->config);
	metrics_set(METRIC_RELOAD, 1);
}
