/*
 * Where a domain's mail goes, and how that destination does: the answers
 * behind `mx20ctl route` and the states of `mx20ctl status`.
 */
#include "daemon/control/control_priv.h"

#include "common/status/status.h"
#include "config/allow/domains.h"

enum { TARGETS_SHOWN = 64 }; /* keeps a line below CONTROL_LINE_MAX */

bool explain_state(struct control *c, struct span domain,
		   struct status_destination *out)
{
	bool known = drain_status(c->opt.drain, domain, out);

	if (out->target_count > TARGETS_SHOWN)
		out->target_count = TARGETS_SHOWN;
	return known;
}

static void set_state(struct control *c, struct span domain, json_t *o)
{
	struct status_destination d;
	bool known = explain_state(c, domain, &d);

	json_object_set_new(o, "known", json_boolean(known));
	status_set_state(o, &d);
	if (d.name.n > 0)
		json_object_set_new(o, "destination", control_text(d.name));
	json_object_set_new(o, "destination_hold",
			    d.hold_reason != NULL
				    ? control_text(span_str(d.hold_reason))
				    : json_null());
	json_object_set_new(o, "connections", json_integer(d.connections));
	json_object_set_new(o, "targets", status_targets(&d));
}

static json_t *tls_object(const struct route_tls *t)
{
	json_t *names = json_array();

	for (size_t i = 0; i < t->name_count; i++)
		json_array_append_new(names, control_text(t->names[i]));
	return json_pack("{s:s, s:b, s:b, s:I, s:o, s:o, s:s}", "level",
			 value_tls_name(t->level), "dane", (int)t->is_dane,
			 "mta_sts", (int)t->is_sts, "tlsa_usable",
			 (json_int_t)t->tlsa_count, "names", names, "sni",
			 control_text_or_null(t->sni), "reason",
			 t->reason != NULL ? t->reason : "");
}

static json_t *host_object(const struct route_host *h)
{
	json_t *addrs = json_array();
	struct buf text = { 0 };

	for (size_t i = 0; i < h->addr_count; i++) {
		buf_reset(&text);
		net_endpoint_add(&text, &h->addrs[i]);
		json_array_append_new(addrs, control_text(buf_span(&text)));
	}
	buf_fini(&text);
	return json_pack("{s:o, s:I, s:b, s:s, s:s, s:I, s:o, s:o, s:o}",
			 "host", control_text_or_null(h->name), "preference",
			 (json_int_t)h->preference, "secure", (int)h->secure,
			 "dnssec", route_dnssec_name(h->addr_dnssec),
			 "tlsa_dnssec", route_dnssec_name(h->tlsa_dnssec),
			 "tlsa", (json_int_t)h->tlsa_published, "cname",
			 control_text_or_null(h->canon), "addresses", addrs,
			 "tls", tls_object(&h->tls));
}

static json_t *mx_object(const struct route_mx *mx)
{
	return json_pack("{s:o, s:I, s:s, s:s}", "host", control_text(mx->host),
			 "preference", (json_int_t)mx->preference, "fate",
			 route_fate_name(mx->fate), "dnssec",
			 route_dnssec_name(mx->addr_dnssec));
}

static json_t *sts_object(const struct route_sts *sts)
{
	if (sts->domain.n == 0)
		return json_null();
	return json_pack("{s:s, s:o, s:o, s:I, s:o}", "mode",
			 sts_mode_name(sts->mode), "domain",
			 control_text(sts->domain), "id",
			 control_text_or_null(sts->id), "max_age",
			 (json_int_t)sts->max_age_s, "fetched",
			 control_time(sts->fetched_ms));
}

static json_t *note_object(const struct route_note *n)
{
	return json_pack("{s:o, s:o}", "host", control_text_or_null(n->host),
			 "text", control_text(n->text));
}

/* A list goes out a line each: its length is DNS's to decide. */
static void send_parts(struct request *r, const struct route *route)
{
	for (size_t i = 0; i < route->published_count; i++)
		request_part(r, json_pack("{s:o}", "published",
					  mx_object(&route->published[i])));
	for (size_t i = 0; i < route->host_count; i++)
		request_part(r, json_pack("{s:o}", "host",
					  host_object(&route->hosts[i])));
	for (size_t i = 0; i < route->note_count; i++)
		request_part(r, json_pack("{s:o}", "note",
					  note_object(&route->notes[i])));
}

static void on_route(struct route *route, void *arg)
{
	struct request *r = arg;
	json_t *end;

	r->query = NULL; /* it has answered: nothing to cancel */
	send_parts(r, route);
	end = json_pack("{s:b, s:o, s:s, s:o, s:s, s:s, s:o, s:b, s:o}", "ok",
			1, "domain", control_text(r->sel.domain), "result",
			route_result_name(route->result), "reason",
			control_text_or_null(route->reason), "source",
			route_source_name(route->source), "mx_dnssec",
			route_dnssec_name(route->mx_dnssec), "mta_sts",
			sts_object(&route->sts), "stale", (int)route->is_stale,
			"destination", control_text_or_null(route->key));
	set_state(r->control, r->sel.domain, end);
	json_object_set_new(end, "listed",
			    json_boolean(domains_find(
				    r->control->opt.config->domains,
				    r->sel.domain) != NULL));
	route_unref(&route);
	request_done(r, end);
}

void explain_run(struct request *r)
{
	r->query =
		router_ask(r->control->opt.router, r->sel.domain, on_route, r);
}
