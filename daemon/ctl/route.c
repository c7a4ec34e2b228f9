/* mx20ctl route: where a domain's mail goes, and how safely.  The tool to
 * open first when mail does not move. */
#include "common/base/assert.h"
#include "daemon/ctl/link.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/status.h"
#include "daemon/ctl/table.h"

/* The lists of an answer, gathered from its parts. */
struct answer {
	json_t *published, *hosts, *notes;
};

static void take_part(const json_t *part, void *arg)
{
	struct answer *a = arg;
	const struct {
		const char *key;
		json_t *list;
	} rows[] = {
		{ "published", a->published },
		{ "host", a->hosts },
		{ "note", a->notes },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		json_t *o = json_object_get(part, rows[i].key);

		if (o != NULL)
			json_array_append(rows[i].list, o);
	}
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
	{ "permanent", "There is nowhere to send its mail to.  Mail of a "
		       "listed domain waits; a report to it is given up." },
	{ "null-mx",   "The domain says it takes no mail (RFC 7505): remove it "
		       "from the allowlist." },
	{ "self",      "This host is the best MX of the domain: mail waits "
		       "until another one ranks before it. Look at the MX "
		       "records, hostname and aliases." },
};

static const struct column mx_columns[] = {
	{ "PREF",      true,  0, 2 },
	{ "PUBLISHED", false, 12, 0 },
	{ "DNSSEC",    false, 0, 1 },
	{ "WHAT BECAME OF IT", false, 12, 0 },
};

static const struct column columns[] = {
	{ "PREF",    true,  0, 4 },
	{ "HOST",    false, 12, 0 },
	{ "ADDRESS", false, 12, 0 },
	{ "DNSSEC",  false, 0, 2 },
	{ "TLSA",    false, 0, 1 },
	{ "TLS",     false, 0, 0 },
	{ "BECAUSE", false, 12, 3 },
};
/* clang-format on */

static void number_cell(struct table *t, int64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)n);
	table_cell(t, span_str(text));
}

/* "2 secure", "1 of 3 usable, secure", "none". */
static void tlsa_cell(struct table *t, const json_t *host)
{
	int64_t published = control_get_int(host, "tlsa", 0);
	int64_t usable =
		control_get_int(json_object_get(host, "tls"), "tlsa_usable", 0);
	struct span dnssec = control_get_text(host, "tlsa_dnssec");
	struct buf b = { 0 };

	if (published == 0)
		buf_adds(&b, "none");
	else if (usable == published)
		buf_addf(&b, "%lld %.*s", (long long)published,
			 SPAN_ARG(dnssec));
	else
		buf_addf(&b, "%lld of %lld usable, %.*s", (long long)usable,
			 (long long)published, SPAN_ARG(dnssec));
	table_cell(t, buf_span(&b));
	buf_fini(&b);
}

static struct span address_of(const json_t *addrs, size_t i)
{
	const char *text = json_string_value(json_array_get(addrs, i));

	return span_str(text != NULL ? text : "none");
}

/* A line for each address; the host's facts stand on the first. */
static void host_rows(struct table *t, const json_t *host)
{
	const json_t *addrs = json_object_get(host, "addresses");
	const json_t *tls = json_object_get(host, "tls");
	struct span name = control_get_text(host, "host");

	number_cell(t, control_get_int(host, "preference", 0));
	table_cell(t, name.n > 0 ? name : SPAN_LIT("-"));
	table_cell(t, address_of(addrs, 0));
	table_cell(t, control_get_text(host, "dnssec"));
	tlsa_cell(t, host);
	table_cell(t, control_get_text(tls, "level"));
	table_cell(t, control_get_text(tls, "reason"));
	for (size_t i = 1; i < json_array_size(addrs); i++) {
		table_cell(t, SPAN_LIT(""));
		table_cell(t, SPAN_LIT(""));
		table_cell(t, address_of(addrs, i));
		for (int column = 0; column < 4; column++)
			table_cell(t, SPAN_LIT(""));
	}
}

static void add_published(const struct ctl *ctl, const json_t *end,
			  const json_t *published, struct buf *out)
{
	bool from_mx = span_eq(control_get_text(end, "source"), SPAN_LIT("mx"));
	struct table t;

	if (!from_mx || json_array_size(published) == 0)
		return;
	table_init(&t, mx_columns, COUNT(mx_columns), ctl->width);
	for (size_t i = 0; i < json_array_size(published); i++) {
		const json_t *mx = json_array_get(published, i);

		number_cell(&t, control_get_int(mx, "preference", 0));
		table_cell(&t, control_get_text(mx, "host"));
		table_cell(&t, control_get_text(mx, "dnssec"));
		table_cell(&t, control_get_text(mx, "fate"));
	}
	table_print(&t, out);
	buf_adds(out, "\n");
	table_fini(&t);
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
		buf_adds(out, "\n");
	for (size_t i = 0; i < json_array_size(notes); i++) {
		const json_t *o = json_array_get(notes, i);
		struct span host = control_get_text(o, "host");

		buf_adds(out, "note: ");
		print_text(out, host);
		buf_adds(out, host.n > 0 ? ": " : "");
		print_text(out, control_get_text(o, "text"));
		buf_adds(out, "\n");
	}
}

/* Where the hosts come from, by its name. */
static const char *source_text(struct span source)
{
	static const struct {
		const char *source, *text;
	} rows[] = {
		{ "primary", "from primary= in the allowlist" },
		{ "mx", "from the MX records" },
		{ "address", "without MX records: from its own addresses" },
		{ "relay", "by bounce.relay" },
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		if (span_eq(source, span_str(rows[i].source)))
			return rows[i].text;
	return "";
}

static void add_source(const json_t *end, struct buf *out)
{
	const json_t *sts = json_object_get(end, "mta_sts");

	buf_adds(out, source_text(control_get_text(end, "source")));
	buf_adds(out, "; DNSSEC ");
	print_text(out, control_get_text(end, "mx_dnssec"));
	buf_adds(out, ", MTA-STS ");
	if (json_is_object(sts))
		print_text(out, control_get_text(sts, "mode"));
	else
		buf_adds(out, "none");
	if (control_get_bool(end, "stale"))
		buf_adds(out, "; DNS fails now: this is an older answer");
	buf_adds(out, "\n");
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
	if (json_is_false(json_object_get(end, "listed")))
		buf_adds(out, "not in the allowlist: no mail is taken for it\n");
	add_source(end, out);
	buf_adds(out, "\n");
}

static void add_state(const struct ctl *ctl, const json_t *end, struct buf *out)
{
	int64_t next_ms = print_get_time(end, "next_probe");

	buf_adds(out, "\ndestination ");
	print_text(out, control_get_text(end, "state"));
	if (next_ms != 0) {
		buf_adds(out, ", next try ");
		print_wait(out, next_ms - ctl->now_ms);
	}
	buf_adds(out, "\n");
	status_show_targets(ctl, end, out);
}

/* ---- The verb ---- */

static void print_route(const struct ctl *ctl, json_t *end,
			const struct answer *a)
{
	struct buf out = { 0 };

	if (ctl->json) {
		json_object_set(end, "published", a->published);
		json_object_set(end, "hosts", a->hosts);
		json_object_set(end, "notes", a->notes);
		json_object_del(end, "ok");
		ctl_print_json(json_incref(end));
		return;
	}
	add_result(end, &out);
	add_published(ctl, end, a->published, &out);
	add_hosts(ctl, a->hosts, &out);
	add_notes(a->notes, &out);
	add_state(ctl, end, &out);
	ctl_write(buf_span(&out));
	buf_fini(&out);
}

enum ctl_exit ctl_route(struct ctl *ctl)
{
	struct answer a = { json_array(), json_array(), json_array() };
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
	json_decref(a.published);
	json_decref(a.hosts);
	json_decref(a.notes);
	buf_fini(&name);
	return rc;
}
