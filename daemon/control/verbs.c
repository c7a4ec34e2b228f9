/* The verbs: what mx20ctl can ask. */
#include "daemon/control/server.h"

#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/log.h"
#include "common/base/msgid.h"
#include "config/domains.h"

enum { /* what a verb takes */
       TAKES_ID = 1,
       TAKES_DOMAIN = 2,
       TAKES_NOTHING = 4, /* all mail, or nothing at all */
};

struct verb {
	const char *name;
	unsigned takes;
	void (*run)(struct request *r);
};

/* ---- Answers that count ---- */

static void log_done(const struct request *r, enum log_event event,
		     uint64_t units)
{
	struct buf id = { 0 };

	if (r->sel.id != 0)
		msg_id_add(&id, r->sel.id);
	log_info(event, LOG_STR("by", "operator"), LOG_INT("uid", r->uid),
		 LOG_STR("verb", r->verb), LOG_SPAN("mid", buf_span(&id)),
		 LOG_STR("domain", r->name),
		 LOG_SPAN("reason", buf_span(&r->reason)),
		 LOG_INT("units", units));
	buf_fini(&id);
}

static enum log_event event_of(const char *verb)
{
	static const struct {
		const char *verb;
		enum log_event event;
	} rows[] = {
		{ "hold", EV_HELD },
		{ "release", EV_RELEASED },
		{ "remove", EV_REMOVED },
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		if (strcmp(rows[i].verb, verb) == 0)
			return rows[i].event;
	return EV_CONTROL;
}

static void on_counted(enum mx_err err, uint64_t units, void *arg)
{
	struct request *r = arg;

	if (err != MX_OK) {
		request_fail_err(r, err);
		return;
	}
	log_done(r, event_of(r->verb), units);
	request_done(r, json_pack("{s:b, s:I}", "ok", 1, "count",
				  (json_int_t)units));
}

/* ---- One verb each ---- */

static void run_hello(struct request *r)
{
	const struct config *config = r->control->opt.config;

	request_done(r, json_pack("{s:b, s:s, s:I, s:o}", "ok", 1, "version",
				  MX_VERSION, "pid", (json_int_t)getpid(),
				  "hostname", control_text(config->hostname)));
}

static void run_state(struct request *r)
{
	struct control *c = r->control;
	json_t *answer = json_pack("{s:b}", "ok", 1);

	json_object_set_new(answer, "domain", control_text(r->sel.domain));
	json_object_set_new(answer, "listed",
			    json_boolean(domains_find(c->opt.config->domains,
						      r->sel.domain) != NULL));
	explain_state(c, r->sel.domain, answer);
	request_done(r, answer);
}

static bool flush_domain_of(const struct unit *u, void *arg)
{
	drain_flush(arg, u->domain);
	return true;
}

/* Deferred mail is ready again: now the destinations. */
static void on_flushed(enum mx_err err, uint64_t units, void *arg)
{
	struct request *r = arg;
	struct spool_totals totals = { 0 };
	struct spool_domain row = { 0 };
	uint64_t waiting = 1;

	if (err != MX_OK) {
		request_fail_err(r, err);
		return;
	}
	if (r->control == NULL) {
		request_drop(r);
		return;
	}
	struct control_options *opt = &r->control->opt;
	if (r->sel.id != 0) {
		(void)spool_message(opt->spool, r->sel.id, flush_domain_of,
				    opt->drain);
	} else if (r->sel.domain.n > 0) {
		drain_flush(opt->drain, r->sel.domain);
		(void)spool_domain_get(opt->spool, r->sel.domain, &row);
		waiting = row.is_held ? 0 : row.units - row.held;
	} else {
		drain_flush(opt->drain, r->sel.domain);
		(void)spool_totals(opt->spool, &totals);
		waiting = totals.messages;
	}
	log_done(r, EV_CONTROL, waiting);
	request_done(r, json_pack("{s:b, s:I, s:I, s:b}", "ok", 1, "count",
				  (json_int_t)waiting, "due", (json_int_t)units,
				  "held", (int)row.is_held));
}

static void run_flush(struct request *r)
{
	/* later than any retry, and far from overflow */
	static const int64_t any_time_ms = INT64_MAX / 2;
	struct spool *sp = r->control->opt.spool;

	if (r->sel.id != 0 || r->sel.domain.n > 0) {
		spool_flush(sp, r->sel, on_flushed, r);
		return;
	}
	spool_requeue_due(sp, any_time_ms);
	on_flushed(MX_OK, 0, r);
}

static void run_hold(struct request *r)
{
	if (r->reason.n == 0)
		buf_adds(&r->reason, "held by the operator");
	spool_hold(r->control->opt.spool, r->sel, buf_span(&r->reason),
		   on_counted, r);
}

static void run_release(struct request *r)
{
	spool_release(r->control->opt.spool, r->sel, on_counted, r);
}

static void run_remove(struct request *r)
{
	spool_remove(r->control->opt.spool, r->sel, on_counted, r);
}

/* clang-format off */
static const struct verb verbs[] = {
	{ "hello",   TAKES_NOTHING,                           run_hello },
	{ "state",   TAKES_DOMAIN,                            run_state },
	{ "route",   TAKES_DOMAIN,                            explain_run },
	{ "flush",   TAKES_ID | TAKES_DOMAIN | TAKES_NOTHING, run_flush },
	{ "hold",    TAKES_ID | TAKES_DOMAIN,                 run_hold },
	{ "release", TAKES_ID | TAKES_DOMAIN,                 run_release },
	{ "remove",  TAKES_ID | TAKES_DOMAIN,                 run_remove },
	{ "bounce",  TAKES_ID | TAKES_DOMAIN,                 bounce_run },
	{ "reload",  TAKES_NOTHING,                           reload_run },
};
/* clang-format on */

/* ---- Which verb, about what ---- */

static const struct verb *verb_find(struct span name)
{
	for (size_t i = 0; i < COUNT(verbs); i++)
		if (span_eq(name, span_str(verbs[i].name)))
			return &verbs[i];
	return NULL;
}

static bool count_unit(const struct unit *u, void *arg)
{
	(void)u;
	*(bool *)arg = true;
	return false;
}

static bool message_exists(struct spool *sp, uint64_t id)
{
	bool found = false;

	(void)spool_message(sp, id, count_unit, &found);
	return found;
}

/* What the request is about.  An English reason when it cannot be. */
static const char *take_selection(struct request *r, const json_t *object)
{
	struct span id = control_get_text(object, "id");
	struct span domain = control_get_text(object, "domain");
	struct buf canon = { 0 };

	if (id.n > 0) {
		if (!msg_id_parse(id, &r->sel.id) || r->sel.id == 0)
			return "not a queue id";
		if (!message_exists(r->control->opt.spool, r->sel.id))
			return "no such message";
	}
	if (domain.n == 0)
		return NULL;
	if (smtp_domain_canon(&canon, domain) != MX_OK ||
	    canon.n >= sizeof(r->name)) {
		buf_fini(&canon);
		return "not a domain";
	}
	memcpy(r->name, canon.p, canon.n);
	r->sel.domain = (struct span){ r->name, canon.n };
	buf_fini(&canon);
	return NULL;
}

static bool verb_takes(const struct verb *v, const struct spool_selection *sel)
{
	if (sel->id != 0)
		return (v->takes & TAKES_ID) != 0;
	if (sel->domain.n != 0)
		return (v->takes & TAKES_DOMAIN) != 0;
	return (v->takes & TAKES_NOTHING) != 0;
}

void verb_run(struct request *r, const json_t *object)
{
	const struct verb *v = verb_find(control_get_text(object, "verb"));
	const char *wrong;

	if (v == NULL) {
		request_fail(r, "no such verb");
		return;
	}
	r->verb = v->name;
	wrong = take_selection(r, object);
	if (wrong == NULL && !verb_takes(v, &r->sel))
		wrong = "an id or a domain is needed";
	if (wrong != NULL) {
		request_fail(r, wrong);
		return;
	}
	buf_add(&r->reason, control_get_text(object, "reason"));
	if (r->reason.n > 200)
		r->reason.n = 200;
	r->is_forced = control_get_bool(object, "force");
	r->is_dry = control_get_bool(object, "dry_run");
	v->run(r);
}
