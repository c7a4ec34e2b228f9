/*
 * mx20ctl summary: what was done since then.  The numbers come from what the
 * daemon keeps by quarter of an hour (common/status/tally.h), of which it writes
 * the last seconds late; outages from where `outages` has them.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/status/tally.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/source.h"
#include "daemon/ctl/when.h"

enum { OUTAGES_SHOWN = 10 };

struct summary {
	const struct ctl *ctl;
	int64_t since_ms, until_ms;
	json_t *counts, *slowest; /* of all quarters; slowest NULL: none */
	json_t *outages;	  /* the newest first */
	json_t *overview;	  /* NULL: not known */
};

/* ---- Gathering ---- */

static void add_counts(struct summary *s, json_t *counts)
{
	const char *name;
	json_t *n;

	json_object_foreach (counts, name, n) {
		json_int_t had = json_integer_value(
			json_object_get(s->counts, name));

		json_object_set_new(s->counts, name,
				    json_integer(had + json_integer_value(n)));
	}
}

static void add_slowest(struct summary *s, json_t *slowest)
{
	if (!json_is_object(slowest) ||
	    (s->slowest != NULL &&
	     control_get_int(slowest, "wait_s", 0) <=
		     control_get_int(s->slowest, "wait_s", 0)))
		return;
	json_decref(s->slowest);
	s->slowest = json_incref(slowest);
}

static void add_quarters(struct summary *s, const json_t *items)
{
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *q = json_array_get(items, i);

		if (print_get_time(q, "began") >= s->until_ms)
			continue;
		add_counts(s, json_object_get(q, "counts"));
		add_slowest(s, json_object_get(q, "slowest"));
	}
}

static enum mx_err gather_counts(struct summary *s, struct source *from)
{
	struct status_page page = { 0 };
	enum mx_err err;

	do {
		err = source_tally(from, s->since_ms, &page);
		add_quarters(s, page.items);
	} while (err == MX_OK && page.next.n > 0);
	status_page_fini(&page);
	return err;
}

/* Those that went on at any time of it. */
static void add_outages(struct summary *s, const json_t *items)
{
	for (size_t i = 0; i < json_array_size(items); i++) {
		json_t *o = json_array_get(items, i);
		int64_t ended_ms = print_get_time(o, "ended");

		if (print_get_time(o, "began") < s->until_ms &&
		    (ended_ms == 0 || ended_ms >= s->since_ms))
			json_array_append(s->outages, o);
	}
}

static enum mx_err gather_outages(struct summary *s, struct source *from)
{
	struct status_page page = { 0 };
	enum mx_err err;

	do {
		err = source_outages(from, SPAN_LIT(""), &page);
		add_outages(s, page.items);
	} while (err == MX_OK && page.next.n > 0);
	status_page_fini(&page);
	return err;
}

static enum mx_err gather(struct summary *s, struct source *from)
{
	enum mx_err err = gather_counts(s, from);

	if (err == MX_OK)
		err = gather_outages(s, from);
	if (err == MX_OK)
		err = source_overview(from, &s->overview);
	return err;
}

/* ---- What is said ---- */

static uint64_t count(const struct summary *s, const char *name)
{
	return (uint64_t)control_get_int(s->counts, name, 0);
}

static const struct {
	const char *member, *name;
} totals[] = {
	{ "accepted", "messages_accepted" },
	{ "relayed", "recipients_relayed" },
	{ "delivered", "recipients_delivered" },
	{ "deferred", "recipients_deferred" },
	{ "refused", "recipients_refused" },
	{ "reports", "reports_sent" },
};

/* {reason: how many} of a counter that has reasons. */
static json_t *reasons(const struct summary *s, const char *counter)
{
	size_t n = strlen(counter);
	json_t *out = json_object(), *value;
	const char *name;

	json_object_foreach (s->counts, name, value)
		if (strncmp(name, counter, n) == 0 && name[n] == '.')
			json_object_set(out, name + n + 1, value);
	return out;
}

static void print_json(const struct summary *s)
{
	json_t *o = json_pack("{s:o, s:o}", "since", control_time(s->since_ms),
			      "until", control_time(s->until_ms));

	for (size_t i = 0; i < COUNT(totals); i++)
		json_object_set_new(
			o, totals[i].member,
			json_integer((json_int_t)count(s, totals[i].name)));
	json_object_set_new(o, "rejected", reasons(s, "recipients_rejected"));
	json_object_set_new(o, "messages_rejected",
			    reasons(s, "messages_rejected"));
	json_object_set(o, "outages", s->outages);
	json_object_set_new(o, "slowest",
			    s->slowest != NULL ? json_incref(s->slowest)
					       : json_null());
	json_object_set(o, "spool", json_object_get(s->overview, "spool"));
	ctl_print_json(o);
}

struct reason {
	const char *name;
	json_int_t n;
};

static int most_first(const void *a, const void *b)
{
	const struct reason *x = a, *y = b;

	return x->n != y->n ? (x->n < y->n) - (x->n > y->n)
			    : strcmp(x->name, y->name);
}

/* "57 recipients: 40 unknown_recipient, 17 dnsbl" */
static void add_reasons(const struct summary *s, const char *counter,
			const char *what, struct buf *out)
{
	json_t *found = reasons(s, counter), *value;
	size_t n = json_object_size(found), i = 0;
	struct reason *list = calloc(n + 1, sizeof(*list));
	json_int_t sum = 0;
	const char *name;

	MX_ASSERT(list != NULL);
	json_object_foreach (found, name, value) {
		list[i++] = (struct reason){ name, json_integer_value(value) };
		sum += json_integer_value(value);
	}
	qsort(list, n, sizeof(*list), most_first);
	if (n > 0) {
		buf_adds(out, "turned away   ");
		print_count(out, (uint64_t)sum, what);
	}
	for (i = 0; i < n; i++)
		buf_addf(out, "%s%" PRId64 " %s", i == 0 ? ": " : ", ",
			 (int64_t)list[i].n, list[i].name);
	if (n > 0)
		buf_addc(out, '\n');
	free(list);
	json_decref(found);
}

static void add_line(struct buf *out, const char *title, uint64_t n,
		     const char *what)
{
	buf_addf(out, "%-13s ", title);
	print_count(out, n, what);
	buf_addc(out, '\n');
}

static void add_slowest_line(const struct summary *s, struct buf *out)
{
	if (s->slowest == NULL)
		return;
	buf_adds(out, "slowest       ");
	print_age(out, SECONDS(control_get_int(s->slowest, "wait_s", 0)));
	buf_adds(out, ", ");
	print_text(out, control_get_text(s->slowest, "id"));
	buf_adds(out, " for ");
	print_text(out, control_get_text(s->slowest, "to"));
	buf_addc(out, '\n');
}

static void add_outage(const struct summary *s, const json_t *o,
		       struct buf *out)
{
	int64_t began_ms = print_get_time(o, "began");
	int64_t ended_ms = print_get_time(o, "ended");

	buf_adds(out, "  ");
	print_time(out, began_ms);
	buf_adds(out, ended_ms != 0 ? ", " : ", goes on since ");
	print_age(out, (ended_ms != 0 ? ended_ms : s->ctl->now_ms) - began_ms);
	buf_adds(out, ", ");
	print_count(out, (uint64_t)control_get_int(o, "messages", 0),
		    "message");
	buf_adds(out, ": ");
	print_text(out, control_get_text(o, "destination"));
	buf_addc(out, '\n');
}

static void add_all_outages(const struct summary *s, struct buf *out)
{
	size_t n = json_array_size(s->outages);

	buf_addf(out, "%-13s %zu\n", "outages", n);
	for (size_t i = 0; i < n && i < OUTAGES_SHOWN; i++)
		add_outage(s, json_array_get(s->outages, i), out);
	if (n > OUTAGES_SHOWN)
		buf_addf(out, "  and %zu more: mx20ctl outages\n",
			 n - OUTAGES_SHOWN);
}

static void add_waiting(const struct summary *s, struct buf *out)
{
	const json_t *spool = json_object_get(s->overview, "spool");

	buf_adds(out, "waiting now   ");
	print_count(out, (uint64_t)control_get_int(spool, "messages", 0),
		    "message");
	buf_adds(out, ", ");
	human_size(out, (uint64_t)control_get_int(spool, "bytes", 0));
	buf_addc(out, '\n');
}

static void print_all(const struct summary *s)
{
	struct buf out = { 0 };

	print_text(&out, control_get_text(s->overview, "hostname"));
	buf_adds(&out, ", from ");
	print_time(&out, s->since_ms);
	buf_adds(&out, " to ");
	print_time(&out, s->until_ms);
	buf_adds(&out, "\n\n");
	add_line(&out, "accepted", count(s, "messages_accepted"), "message");
	add_line(&out, "relayed", count(s, "recipients_relayed"), "recipient");
	add_line(&out, "delivered", count(s, "recipients_delivered"),
		 "recipient");
	add_slowest_line(s, &out);
	add_line(&out, "deferred", count(s, "recipients_deferred"), "attempt");
	add_line(&out, "refused", count(s, "recipients_refused"), "recipient");
	add_line(&out, "reports sent", count(s, "reports_sent"), "report");
	add_reasons(s, "recipients_rejected", "recipient", &out);
	add_reasons(s, "messages_rejected", "message", &out);
	add_all_outages(s, &out);
	add_waiting(s, &out);
	ctl_write(buf_span(&out));
	buf_fini(&out);
}

/* ---- The verb ---- */

/* Quarters are whole: it begins with the one in which its time is. */
static bool take_times(struct summary *s)
{
	const struct ctl *ctl = s->ctl;

	s->since_ms = ctl->now_ms - DAYS(1);
	s->until_ms = ctl->now_ms;
	if ((ctl->since != NULL &&
	     !when_parse(ctl->since, ctl->now_ms, &s->since_ms)) ||
	    (ctl->until != NULL &&
	     !when_parse(ctl->until, ctl->now_ms, &s->until_ms))) {
		ctl_complain("a time is today, yesterday, 24h, 7d, "
			     "2026-11-27 or \"2026-11-27 10:00\"");
		return false;
	}
	if (s->since_ms < 0)
		s->since_ms = 0;
	s->since_ms -= s->since_ms % TALLY_QUARTER_MS;
	if (s->since_ms < s->until_ms)
		return true;
	ctl_complain("summary: it ends before it begins");
	return false;
}

enum ctl_exit ctl_summary(struct ctl *ctl)
{
	struct summary s = { .ctl = ctl };
	struct source from;
	enum ctl_exit rc;

	if (!take_times(&s))
		return CTL_USAGE;
	s.counts = json_object();
	s.outages = json_array();
	rc = source_open(&from, ctl, SOURCE_SPOOL);
	if (rc == CTL_DONE)
		rc = source_end(&from, gather(&s, &from));
	source_close(&from);
	if (rc == CTL_DONE && ctl->json)
		print_json(&s);
	else if (rc == CTL_DONE)
		print_all(&s);
	json_decref(s.counts);
	json_decref(s.slowest);
	json_decref(s.outages);
	json_decref(s.overview);
	return rc;
}
