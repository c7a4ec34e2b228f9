/* mx20ctl route: where a domain's mail goes, and how safely.  The tool to
 * open first when mail does not move. */
#include "common/base/assert.h"
#include "daemon/ctl/link.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/status.h"
#include "daemon/ctl/table.h"

struct answer {
	json_t *hosts, *notes;
};

static void take_part(const json_t *part, void *arg)
{
	struct answer *a = arg;
	json_t *host = json_object_get(part, "host");
	json_t *dropped = json_object_get(part, "note");

	if (host != NULL)
		json_array_append(a->hosts, host);
	if (dropped != NULL)
		json_array_append(a->notes, dropped);
}

/* ---- For people ---- */

/* What the result means; by its name. */
/* clang-format off */
static const struct {
	const char *result;
	const char *text;
} meanings[] = {
	{ "ok",        "" },
	{ "transient", "The look-up failed for now; mail waits and it is "
		       "asked again." },
	{ "permanent", "The domain has nowhere to send mail to: mail is "
		       "reported to its senders." },
	{ "null-mx",   "The domain says it takes no mail (RFC 7505): remove it "
		       "from the allowlist." },
	{ "self",      "This host is the best MX of the domain: mail is held "
		       "until another one ranks before it. Look at the MX "
		       "records, hostname and aliases." },
};

static const struct column columns[] = {
	{ "PREF",    true,  0 },
	{ "HOST",    false, 12 },
	{ "ADDRESS", false, 12 },
	{ "DNSSEC",  false, 0 },
	{ "TLS",     false, 0 },
	{ "TLSA",    true,  0 },
	{ "BECAUSE", false, 12 },
};
/* clang-format on */

static void number_cell(struct table *t, int64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)n);
	table_cell(t, span_str(text));
}

/* A line for each address; the host's facts stand on the first. */
static void host_rows(struct table *t, const json_t *host)
{
	const json_t *addrs = json_object_get(host, "addresses");
	const json_t *tls = json_object_get(host, "tls");
	struct span name = control_get_text(host, "host");

	number_cell(t, control_get_int(host, "preference", 0));
	table_cell(t, name.n > 0 ? name : SPAN_LIT("-"));
	table_cell(t, json_array_size(addrs) > 0
			      ? span_str(json_string_value(
					json_array_get(addrs, 0)))
			      : SPAN_LIT("none"));
	table_cell(t, control_get_bool(host, "dnssec") ? SPAN_LIT("secure")
						       : SPAN_LIT("no"));
	table_cell(t, control_get_text(tls, "level"));
	number_cell(t, control_get_int(tls, "tlsa", 0));
	table_cell(t, control_get_text(tls, "reason"));
	for (size_t i = 1; i < json_array_size(addrs); i++) {
		table_cell(t, SPAN_LIT(""));
		table_cell(t, SPAN_LIT(""));
		table_cell(t, span_str(json_string_value(
				      json_array_get(addrs, i))));
		for (int column = 0; column < 4; column++)
			table_cell(t, SPAN_LIT(""));
	}
}

static void add_hosts(const struct ctl *ctl, const json_t *hosts,
		      struct buf *out)
{
	struct table t;

	if (json_array_size(hosts) == 0) {
		buf_adds(out, "no host to deliver to\n");
		return;
	}
	table_init(&t, columns, COUNT(columns), ctl->width);
	for (size_t i = 0; i < json_array_size(hosts); i++)
		host_rows(&t, json_array_get(hosts, i));
	table_print(&t, out);
	table_fini(&t);
}

static void add_notes(const json_t *notes, struct buf *out)
{
	if (json_array_size(notes) > 0)
		buf_adds(out, "\nOf what is published:\n");
	for (size_t i = 0; i < json_array_size(notes); i++) {
		const json_t *o = json_array_get(notes, i);
		struct span host = control_get_text(o, "host");

		buf_adds(out, "  ");
		print_text(out, host);
		buf_adds(out, host.n > 0 ? ": " : "");
		print_text(out, control_get_text(o, "text"));
		buf_adds(out, "\n");
	}
}

static void add_result(const json_t *end, struct buf *out)
{
	struct span result = control_get_text(end, "result");
	struct span reason = control_get_text(end, "reason");

	print_text(out, control_get_text(end, "domain"));
	buf_adds(out, ": ");
	print_text(out, result);
	if (reason.n > 0) {
		buf_adds(out, ", ");
		print_text(out, reason);
	}
	buf_adds(out, "\n");
	for (size_t i = 0; i < COUNT(meanings); i++)
		if (span_eq(result, span_str(meanings[i].result)) &&
		    meanings[i].text[0] != '\0')
			buf_addf(out, "%s\n", meanings[i].text);
	buf_adds(out, "\n");
}

static void add_state(const struct ctl *ctl, const json_t *end, struct buf *out)
{
	int64_t next_ms = status_time(end, "next_probe");

	buf_adds(out, "\ndestination ");
	print_text(out, control_get_text(end, "state"));
	if (next_ms != 0) {
		buf_adds(out, ", next try in ");
		print_age(out, next_ms - ctl->now_ms);
	}
	buf_adds(out, "\n");
	status_targets(ctl, end, out);
}

/* ---- The verb ---- */

static void print_route(const struct ctl *ctl, json_t *end,
			const struct answer *a)
{
	struct buf out = { 0 };

	if (ctl->json) {
		json_object_set(end, "hosts", a->hosts);
		json_object_set(end, "notes", a->notes);
		json_object_del(end, "ok");
		ctl_print_json(json_incref(end));
		return;
	}
	add_result(end, &out);
	add_hosts(ctl, a->hosts, &out);
	add_notes(a->notes, &out);
	add_state(ctl, end, &out);
	ctl_write(buf_span(&out));
	buf_fini(&out);
}

enum ctl_exit ctl_route(struct ctl *ctl)
{
	struct answer a = { json_array(), json_array() };
	struct buf name = { 0 };
	struct link link = { .fd = -1 };
	json_t *end = NULL;
	enum ctl_exit rc = CTL_FAILED;

	if (!ctl_domain(ctl->argument, &name))
		goto done;
	rc = link_need(&link, ctl);
	if (rc != CTL_DONE)
		goto done;
	end = link_ask(&link,
		       json_pack("{s:s, s:s}", "verb", "route", "domain",
				 buf_cstr(&name)),
		       take_part, &a);
	if (end == NULL) {
		rc = CTL_UNREACHABLE;
	} else if (!control_get_bool(end, "ok")) {
		ctl_complain("route %s: %.*s", buf_cstr(&name),
			     SPAN_ARG(control_get_text(end, "error")));
		rc = CTL_FAILED;
	} else {
		print_route(ctl, end, &a);
	}
done:
	link_close(&link);
	json_decref(end);
	json_decref(a.hosts);
	json_decref(a.notes);
	buf_fini(&name);
	return rc;
}
