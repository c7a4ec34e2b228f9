/*
 * The verbs that only look: what `mx20ctl status`, `queue` and `show` print for
 * those who may not open the spool.  Each is answered at once and with so much
 * at most; who wants more asks again, for what is behind it.
 */
#include "daemon/control/control_priv.h"

#include "common/base/msgid.h"
#include "common/status/outage.h"
#include "common/status/status.h"
#include "common/status/tally.h"
#include "config/allow/domains.h"
#include "daemon/mirror/tell.h"
#include "daemon/policy/policy.h"
#include "daemon/policy/rejections.h"

enum {
	PIECE = 45 * 1024, /* of content: in base 64 it fits a line */
	RECIPIENTS_A_LINE = 16,
	RECIPIENTS_SHOWN = 4096, /* of one message */
};

/* status_state_fn */
static void live_state(const struct spool_domain *row,
		       struct status_destination *out, void *arg)
{
	struct control *c = arg;
	struct span name = span_str(row->name);
	bool is_listed = domains_find(c->opt.config->domains, name) != NULL;

	(void)explain_state(c, name, out);
	out->listed = is_listed ? STATUS_LISTED : STATUS_UNLISTED;
}

/* ---- Parts ---- */

static void send_recipients(struct request *r, const json_t *list)
{
	size_t n = json_array_size(list);

	for (size_t i = 0; i < n;) {
		json_t *some = json_array();

		while (i < n && json_array_size(some) < RECIPIENTS_A_LINE)
			json_array_append(some, json_array_get(list, i++));
		request_part(r, json_pack("{s:o}", "recipients", some));
	}
}

/* The recipients of a message come behind it: a line must not be long. */
static void send_item(struct request *r, json_t *item)
{
	json_t *list = json_incref(json_object_get(item, "recipients"));

	if (list != NULL)
		json_object_set_new(item, "recipients", json_array());
	request_part(r, json_pack("{s:O}", "item", item));
	send_recipients(r, list);
	json_decref(list);
}

/* Also what was read before an error. */
static void send_page(struct request *r, struct status_page *p, enum mx_err err)
{
	for (size_t i = 0; i < json_array_size(p->items); i++)
		send_item(r, json_array_get(p->items, i));
	if (err != MX_OK)
		request_fail_err(r, err);
	else
		request_done(r, json_pack("{s:b, s:o}", "ok", 1, "next",
					  control_text(buf_span(&p->next))));
	status_page_fini(p);
}

static void send_one(struct request *r, json_t *item, enum mx_err err)
{
	if (item != NULL)
		send_item(r, item);
	json_decref(item);
	if (err == MX_ENOENT)
		request_fail(r, "no such message");
	else if (err != MX_OK)
		request_fail_err(r, err);
	else
		request_done(r, json_pack("{s:b}", "ok", 1));
}

/* ---- Verbs ---- */

void look_overview(struct request *r)
{
	const struct control_options *opt = &r->control->opt;
	struct spool_totals totals;
	enum mx_err err = spool_totals(opt->spool, &totals);
	json_t *o;

	if (err != MX_OK) {
		request_fail_err(r, err);
		return;
	}
	o = status_overview(opt->config, &totals);
	mirror_tell_into(o, opt->mirror, opt->config);
	request_done(r, o);
}

void look_domains(struct request *r)
{
	struct status_page page;
	enum mx_err err =
		status_domains(r->control->opt.spool, buf_span(&r->after),
			       live_state, r->control, &page);

	send_page(r, &page, err);
}

/* null: it is not known, or nothing that can be counted. */
static json_t *count_or_null(int64_t n)
{
	return n < 0 ? json_null() : json_integer((json_int_t)n);
}

/* {"source","count","fetched","error"} of each source of its recipients. */
static json_t *sources_of(const struct config *c, struct span domain)
{
	const struct config_domain *row = domains_find(c->domains, domain);
	struct domains_source s = { 0 };
	json_t *list = json_array();

	for (size_t i = 0;
	     row != NULL && domains_source(c->domains, row, i, &s); i++)
		json_array_append_new(
			list, json_pack("{s:o, s:o, s:o, s:o}", "source",
					control_text(buf_span(&s.name)),
					"count", count_or_null(s.count),
					"fetched", control_time(s.fetched_ms),
					"error",
					control_text_or_null(
						buf_span(&s.error))));
	domains_source_fini(&s);
	return list;
}

static void add_rejection(const char *reason, uint64_t count, void *arg)
{
	json_array_append_new(arg, json_pack("{s:s, s:I}", "reason", reason,
					     "count", (json_int_t)count));
}

/* {"reason","count"} of recipients that were refused since the start; those of
 * a pattern count together. */
static json_t *rejected(const struct control_options *opt, struct span domain)
{
	const struct config_domain *row =
		domains_find(opt->config->domains, domain);
	json_t *list = json_array();

	if (row != NULL)
		rejections_each(policy_rejections(opt->policy), row->name,
				add_rejection, list);
	return list;
}

void look_domain(struct request *r)
{
	json_t *item;
	enum mx_err err =
		status_domain_get(r->control->opt.spool, r->sel.domain,
				  live_state, r->control, &item);
	if (item != NULL)
		json_object_set_new(item, "recipients",
				    sources_of(r->control->opt.config,
					       r->sel.domain));
	if (item != NULL)
		json_object_set_new(
			item, "rejected",
			rejected(&r->control->opt, r->sel.domain));
	if (item != NULL && r->control->opt.known != NULL)
		json_object_set_new(
			item, "catch_all",
			json_boolean(known_is_catch_all(r->control->opt.known,
							r->sel.domain)));
	send_one(r, item, err);
}

static bool take_after(struct request *r, uint64_t *after)
{
	*after = 0;
	if (r->after.n == 0 || msg_id_parse(buf_span(&r->after), after))
		return true;
	request_fail(r, "not a queue id");
	return false;
}

void look_messages(struct request *r)
{
	struct status_page page;
	uint64_t after;
	enum mx_err err;

	if (!take_after(r, &after))
		return;
	err = status_messages(r->control->opt.spool, r->sel.domain, after,
			      RECIPIENTS_SHOWN, &page);
	send_page(r, &page, err);
}

void look_search(struct request *r, const json_t *object)
{
	struct status_filter filter;
	struct status_page page;
	const char *wrong = status_filter_take(&filter, object);
	uint64_t after;
	enum mx_err err;

	if (wrong != NULL) {
		request_fail(r, wrong);
	} else if (take_after(r, &after)) {
		err = status_search(r->control->opt.spool, r->sel.domain, after,
				    RECIPIENTS_SHOWN, &filter, &page);
		send_page(r, &page, err);
	}
	status_filter_fini(&filter);
}

void look_message(struct request *r)
{
	json_t *item;
	enum mx_err err = status_message(r->control->opt.spool, r->sel.id,
					 RECIPIENTS_SHOWN, &item);

	send_one(r, item, err);
}

void look_content(struct request *r)
{
	struct buf piece = { 0 };
	enum mx_err err = spool_content(r->control->opt.spool, r->sel.id,
					r->offset, PIECE, &piece);

	if (err == MX_OK)
		request_done(r, json_pack("{s:b, s:o}", "ok", 1, "content",
					  control_bytes(buf_span(&piece))));
	else
		send_one(r, NULL, err);
	buf_fini(&piece);
}

void look_outages(struct request *r)
{
	struct status_page page;
	enum mx_err err = status_outages(r->control->opt.spool, r->sel.domain,
					 buf_span(&r->after), &page);

	send_page(r, &page, err);
}

/* Of those that have left; who waits is found by `search`. */
void look_find(struct request *r, const json_t *object)
{
	const struct control_options *opt = &r->control->opt;
	struct trace_filter filter;
	struct trace_recent recent;
	struct status_page page;
	enum mx_err err;

	if (!trace_filter_take(&filter, control_get_text(object, "word"))) {
		request_fail(r, "nothing can be found by that");
	} else {
		if (opt->traces != NULL)
			traces_recent(opt->traces, &recent);
		err = status_traces(opt->spool, &filter, buf_span(&r->after),
				    opt->traces != NULL ? &recent : NULL,
				    &page);
		send_page(r, &page, err);
	}
	trace_filter_fini(&filter);
}

void look_tally(struct request *r, const json_t *object)
{
	struct status_page page;
	enum mx_err err = status_tally(r->control->opt.spool,
				       control_get_int(object, "since_ms", 0),
				       buf_span(&r->after), &page);

	send_page(r, &page, err);
}
