/* Pages of what waits: each bounded, together all of it, once. */
#include "common/base/assert.h"
#include "common/base/msgid.h"
#include "common/control/control.h"
#include "common/status/outage.h"
#include "common/status/status.h"
#include "tests/unit/common/spool/fixture.h"

static struct fixture f;
static unsigned asked; /* for the state of a row */

static void setup(void)
{
	fixture_open(&f);
	asked = 0;
}

static void teardown(void)
{
	fixture_close(&f);
}

TestSuite(status, .init = setup, .fini = teardown, .timeout = 120);

static void a_state(const struct spool_domain *row,
		    struct status_destination *out, void *arg)
{
	(void)row;
	(void)arg;
	asked++;
	out->state = "down";
	out->is_down = true;
	out->last_reply = SPAN_LIT("(connect) Connection refused");
}

static bool is_text(const json_t *o, const char *key, const char *text)
{
	return span_eq(control_get_text(o, key), span_str(text));
}

static void hold(struct spool_selection sel, const char *reason)
{
	spool_hold(f.sp, sel, span_str(reason), on_counted, &f);
	turn_until(&f, &f.counted, 1);
	f.counted = 0;
}

static json_t *get(const char *name)
{
	json_t *row;

	cr_assert_eq(
		status_domain_get(f.sp, span_str(name), a_state, NULL, &row),
		MX_OK);
	return row;
}

Test(status, a_domain_has_its_row_and_its_state)
{
	json_t *row;

	put_simple(&f, "a.example");
	row = get("a.example");
	cr_expect(is_text(row, "domain", "a.example"));
	cr_expect_eq(control_get_int(row, "messages", 0), 1);
	cr_expect_eq(control_get_int(row, "ready", 0), 1);
	cr_expect(is_text(row, "state", "down"));
	cr_expect(control_get_bool(row, "down"));
	cr_expect(json_is_false(json_object_get(row, "held")));
	cr_expect(json_is_null(json_object_get(row, "hold")));
	cr_expect(json_is_null(json_object_get(row, "destination")));
	json_decref(row);
	row = get("nothing.example");
	cr_expect_eq(control_get_int(row, "messages", -1), 0);
	cr_expect(json_is_null(json_object_get(row, "oldest")));
	json_decref(row);
}

/* Who holds it, and why: whoever shows it must not have to guess. */
Test(status, each_kind_of_hold_has_its_name)
{
	struct spool_domain row = { .name = "a.example", .units = 3 };
	static const struct {
		bool is_held, is_unlisted;
		const char *reason, *pattern, *destination_hold, *hold;
	} cases[] = {
		{ false, false, "", "", NULL, NULL },
		{ true, false, "", "", NULL, "domain" },
		{ true, false, "x", "*.example", NULL, "pattern" },
		{ true, true, SPOOL_UNLISTED, "", NULL, "unlisted" },
		{ true, true, "by hand", "", NULL, "domain" },
		{ false, true, SPOOL_UNLISTED, "", NULL, NULL },
		{ false, false, "", "", "moving", "destination" },
		{ true, false, "x", "", "moving", "domain" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct status_destination d = { .state = "unknown" };
		json_t *o;

		row.is_held = cases[i].is_held;
		row.is_unlisted = cases[i].is_unlisted;
		snprintf(row.hold_reason, sizeof(row.hold_reason), "%s",
			 cases[i].reason);
		snprintf(row.hold_pattern, sizeof(row.hold_pattern), "%s",
			 cases[i].pattern);
		d.hold_reason = cases[i].destination_hold;
		o = status_domain(&row, &d);
		if (cases[i].hold != NULL)
			cr_expect(is_text(o, "hold", cases[i].hold), "%zu", i);
		else
			cr_expect(json_is_null(json_object_get(o, "hold")),
				  "%zu", i);
		cr_expect_eq(control_get_bool(o, "held"),
			     cases[i].hold != NULL);
		json_decref(o);
	}
}

Test(status, domains_come_in_pages_and_once)
{
	enum { DOMAINS = 2 * STATUS_ROWS + 5 };
	struct status_page page = { 0 };
	char name[32], last[32] = "";
	size_t rows = 0, pages = 0;

	for (int i = 0; i < DOMAINS; i++) {
		snprintf(name, sizeof(name), "d%03d.example", i);
		put_simple(&f, name);
	}
	hold((struct spool_selection){ .domain = SPAN_LIT("@mx.example") },
	     "moving");
	do {
		struct buf after = page.next;

		page.next = (struct buf){ 0 };
		status_page_fini(&page);
		cr_assert_eq(status_domains(f.sp, buf_span(&after), a_state,
					    NULL, &page),
			     MX_OK);
		cr_expect_leq(json_array_size(page.items), STATUS_ROWS);
		buf_fini(&after);
		pages++;
		for (size_t i = 0; i < json_array_size(page.items); i++) {
			const json_t *o = json_array_get(page.items, i);
			struct span at = control_get_text(o, "domain");

			if (at.n == 0) { /* the hold of a destination */
				cr_expect(is_text(o, "destination",
						  "mx.example"));
				cr_expect(is_text(o, "reason", "moving"));
				continue;
			}
			snprintf(name, sizeof(name), "%.*s", SPAN_ARG(at));
			cr_expect_gt(strcmp(name, last), 0);
			memcpy(last, name, sizeof(last));
			rows++;
		}
	} while (page.next.n > 0);
	status_page_fini(&page);
	cr_expect_eq(rows, DOMAINS);
	cr_expect_eq(asked, DOMAINS, "a hold has no state");
	cr_expect_eq(pages, 3);
}

/* Walk all messages; the largest page in messages and in recipients. */
static size_t walk(struct span domain, size_t *most, size_t *most_rcpts)
{
	struct status_page page = { 0 };
	uint64_t after = 0;
	size_t messages = 0;

	*most = *most_rcpts = 0;
	do {
		size_t n, rcpts = 0;
		uint64_t id = after;

		status_page_fini(&page);
		cr_assert_eq(
			status_messages(f.sp, domain, after, SIZE_MAX, &page),
			MX_OK);
		n = json_array_size(page.items);
		for (size_t i = 0; i < n; i++) {
			const json_t *m = json_array_get(page.items, i);

			cr_assert(msg_id_parse(control_get_text(m, "id"), &id));
			cr_expect_gt(id, after, "in order, and once");
			after = id;
			rcpts += json_array_size(
				json_object_get(m, "recipients"));
		}
		messages += n;
		*most = n > *most ? n : *most;
		*most_rcpts = rcpts > *most_rcpts ? rcpts : *most_rcpts;
	} while (page.next.n > 0);
	status_page_fini(&page);
	return messages;
}

Test(status, messages_come_in_pages_and_once)
{
	struct spool_rcpt two[] = { a_rcpt("u@a.example", "a.example"),
				    a_rcpt("u@b.example", "b.example") };
	size_t most, rcpts;

	for (uint64_t i = 0; i < 2 * STATUS_MESSAGES + 3; i++)
		put_message(&f, i, 100, two, 2);
	cr_expect_eq(walk(SPAN_LIT(""), &most, &rcpts),
		     2 * STATUS_MESSAGES + 3);
	cr_expect_eq(most, STATUS_MESSAGES);
	cr_expect_eq(rcpts, 2 * STATUS_MESSAGES, "no message is cut in two");
	cr_expect_eq(walk(SPAN_LIT("b.example"), &most, &rcpts),
		     2 * STATUS_MESSAGES + 3);
	cr_expect_eq(rcpts, STATUS_MESSAGES, "only those of the domain");
	cr_expect_eq(walk(SPAN_LIT("c.example"), &most, &rcpts), 0);
}

/* The daemon's loop makes these pages: messages with a thousand recipients
 * each must not all be in one. */
Test(status, a_page_ends_early_when_there_are_many_recipients)
{
	enum { RCPTS = 900, MESSAGES = 40 };
	struct spool_rcpt *many = calloc(RCPTS, sizeof(*many));
	size_t most, rcpts;

	for (int i = 0; i < RCPTS; i++)
		many[i] = a_rcpt("u@a.example", "a.example");
	for (uint64_t i = 0; i < MESSAGES; i++)
		put_message(&f, i, 100, many, RCPTS);
	free(many);
	cr_expect_eq(walk(SPAN_LIT(""), &most, &rcpts), MESSAGES);
	cr_expect_eq(most, 1);
	cr_expect_eq(rcpts, RCPTS);
	cr_expect_eq(walk(SPAN_LIT("a.example"), &most, &rcpts), MESSAGES);
}

Test(status, one_message_has_all_its_recipients)
{
	struct spool_rcpt two[] = { a_rcpt("u@a.example", "a.example"),
				    a_rcpt("u@b.example", "b.example") };
	uint64_t id = put_message(&f, 1, 100, two, 2);
	json_t *m;
	const json_t *r;

	settle_one_rcpt(&f, id, "a.example", OUTCOME_TRANSIENT, NOW + 60000);
	cr_assert_eq(status_message(f.sp, id, SIZE_MAX, &m), MX_OK);
	cr_expect_eq(json_array_size(json_object_get(m, "recipients")), 2);
	cr_expect(is_text(m, "from", "a@sender.example"));
	cr_expect(is_text(m, "protocol", "esmtp"));
	cr_expect(is_text(m, "body", "8bitmime"));
	cr_expect(is_text(m, "ret", "hdrs"));
	cr_expect(json_is_null(json_object_get(m, "tls")));
	r = json_array_get(json_object_get(m, "recipients"), 0);
	cr_expect(is_text(r, "state", "deferred"));
	cr_expect(is_text(r, "last_reply", "450 4.2.1 wait"));
	cr_expect_eq(control_get_int(r, "attempts", 0), 1);
	cr_expect_not(json_is_null(json_object_get(r, "due")));
	r = json_array_get(json_object_get(m, "recipients"), 1);
	cr_expect(is_text(r, "state", "ready"));
	cr_expect(json_is_null(json_object_get(r, "due")));
	json_decref(m);
	cr_expect_eq(status_message(f.sp, id + 1, SIZE_MAX, &m), MX_ENOENT);
	cr_expect_null(m);
}

static void expect_cut(const json_t *m, size_t shown, int64_t left_out)
{
	cr_expect_eq(json_array_size(json_object_get(m, "recipients")), shown);
	cr_expect_eq(control_get_int(m, "recipients_left_out", 0), left_out);
}

/* The daemon's loop makes it: what is not shown is not made either. */
Test(status, recipients_of_a_message_are_bounded)
{
	enum { EACH = 300, MOST = 450 };
	struct spool_rcpt *many = calloc(2 * EACH, sizeof(*many));
	struct status_page page;
	uint64_t id;
	json_t *m;

	for (int i = 0; i < 2 * EACH; i++)
		many[i] = i < EACH ? a_rcpt("u@a.example", "a.example")
				   : a_rcpt("u@b.example", "b.example");
	id = put_message(&f, 1, 100, many, 2 * EACH);
	put_message(&f, 2, 100, many, EACH);
	free(many);
	cr_assert_eq(status_message(f.sp, id, MOST, &m), MX_OK);
	expect_cut(m, MOST, 2 * EACH - MOST);
	json_decref(m);
	cr_assert_eq(status_message(f.sp, id, 2 * EACH, &m), MX_OK);
	expect_cut(m, 2 * EACH, 0);
	json_decref(m);
	cr_assert_eq(status_messages(f.sp, SPAN_LIT(""), 0, 100, &page), MX_OK);
	cr_assert_eq(json_array_size(page.items), 2);
	expect_cut(json_array_get(page.items, 0), 100, 2 * EACH - 100);
	expect_cut(json_array_get(page.items, 1), 100, EACH - 100);
	status_page_fini(&page);
}

static void put_outage(uint64_t n, const char *domains, uint64_t left_out)
{
	struct outage o = {
		.began_ms = NOW + (int64_t)n,
		.ended_ms = n == 3 ? 0 : NOW + (int64_t)n + 1,
		.destination = SPAN_LIT("mx.example:25"),
		.domains = span_str(domains),
		.domains_left_out = left_out,
		.messages = n,
	};
	struct buf key = { 0 }, value = { 0 };

	outage_key(&key, (uint64_t)o.began_ms << 16);
	outage_put(&value, &o);
	spool_fact_put(f.sp, buf_span(&key), buf_span(&value));
	buf_fini(&key);
	buf_fini(&value);
}

/* All pages of a domain's; "": of all.  What is in them goes to the caller. */
static json_t *all_outages(const char *domain)
{
	json_t *all = json_array();
	struct buf after = { 0 };
	struct status_page p;

	do {
		cr_assert_eq(status_outages(f.sp, span_str(domain),
					    buf_span(&after), &p),
			     MX_OK);
		cr_expect_leq(json_array_size(p.items), STATUS_OUTAGES);
		json_array_extend(all, p.items);
		buf_reset(&after);
		buf_add(&after, buf_span(&p.next));
		status_page_fini(&p);
	} while (after.n > 0);
	buf_fini(&after);
	return all;
}

Test(status, outages_come_in_pages_and_the_newest_first)
{
	json_t *all;

	spool_fact_put(f.sp, SPAN_LIT("outagf"), SPAN_LIT("x"));
	spool_fact_put(f.sp, SPAN_LIT("last:a.example"), SPAN_LIT("x"));
	for (uint64_t n = 0; n < 1000; n++)
		put_outage(n,
			   n % 500 == 3 ? "a.example b.example" : "c.example",
			   n == 17 ? 9000 : 0);
	put_simple(&f, "a.example");
	put_simple(&f, "d.example");
	spool_domain_destination(f.sp, SPAN_LIT("d.example"),
				 SPAN_LIT("mx.example:25"));
	put_simple(&f, "e.example");
	all = all_outages("");
	cr_assert_eq(json_array_size(all), 1000);
	for (size_t i = 0; i < 999; i++)
		cr_assert_eq(
			control_get_int(json_array_get(all, i), "messages", 0),
			999 - (int64_t)i + (i == 996));
	json_decref(all);
	all = all_outages("a.example");
	cr_assert_eq(json_array_size(all), 2);
	cr_expect_eq(control_get_int(json_array_get(all, 1), "messages", 0), 4,
		     "it goes on: what waits is in it");
	json_decref(all);
	all = all_outages("d.example");
	cr_assert_eq(json_array_size(all), 1, "too many to be named");
	cr_expect_eq(
		control_get_int(json_array_get(all, 0), "domains_left_out", 0),
		9000);
	json_decref(all);
	all = all_outages("example");
	cr_expect_eq(json_array_size(all), 0);
	json_decref(all);
}

/* The shelf among much that is not on it. */
Test(status, lists_who_is_on_the_shelf)
{
	struct settlement s = { .outcome = OUTCOME_SHELVED,
				.reply = SPAN_LIT("550 5.7.1 no"),
				.until_ms = NOW + 1000 };
	json_t *shelf = json_pack("{s:s}", "states", "refused");
	struct status_filter filter;
	struct buf after = { 0 };
	struct status_page p;
	uint64_t id = 0, last = 0;
	size_t n = 0, pages = 0;

	cr_assert_null(status_filter_take(&filter, shelf));
	for (int i = 0; i < STATUS_LOOKED_AT * 2 + 3; i++)
		id = put_simple(&f, "a.example");
	spool_settle(f.sp, id, SPAN_LIT("a.example"), &s, 1, NOW, 0, NULL,
		     on_settled, &f);
	turn_until(&f, &f.done, 1);
	do {
		(void)msg_id_parse(buf_span(&after), &last);
		cr_assert_eq(status_search(f.sp, SPAN_LIT(""), last, 9, &filter,
					   &p),
			     MX_OK);
		for (size_t i = 0; i < json_array_size(p.items); i++, n++) {
			const json_t *list = json_object_get(
				json_array_get(p.items, i), "recipients");

			cr_assert_eq(json_array_size(list), 1);
			cr_expect(is_text(json_array_get(list, 0), "state",
					  "refused"));
		}
		buf_reset(&after);
		buf_add(&after, buf_span(&p.next));
		status_page_fini(&p);
		pages++;
	} while (after.n > 0);
	cr_expect_eq(n, 1);
	cr_expect_eq(pages, 3);
	buf_fini(&after);
	status_filter_fini(&filter);
	json_decref(shelf);
}

/* Messages found with a filter such as {"from":"..."}. */
static size_t found(const char *filter_text)
{
	json_t *object = json_loads(filter_text, 0, NULL);
	struct status_filter filter;
	struct status_page p;
	size_t n;

	cr_assert_null(status_filter_take(&filter, object), "%s", filter_text);
	cr_assert_eq(status_search(f.sp, SPAN_LIT(""), 0, 9, &filter, &p),
		     MX_OK);
	n = json_array_size(p.items);
	status_page_fini(&p);
	status_filter_fini(&filter);
	json_decref(object);
	return n;
}

Test(status, finds_by_address_age_state_and_word)
{
	struct settlement s = { .outcome = OUTCOME_TRANSIENT,
				.reply = SPAN_LIT("450 4.2.0 later (id 4XyZ1)") };
	struct spool_rcpt a = a_rcpt("u@a.example", "a.example"),
			  b = a_rcpt("\"U\"@B.example", "b.example");
	uint64_t id = put_message(&f, 1, 300, &a, 1);

	put_message(&f, 2, 300, &b, 1);
	spool_settle(f.sp, id, SPAN_LIT("a.example"), &s, 1, NOW, NOW + 1000,
		     NULL, on_settled, &f);
	turn_until(&f, &f.done, 1);
	cr_expect_eq(found("{}"), 2);
	cr_expect_eq(found("{\"to\":\"@a.example\"}"), 1);
	cr_expect_eq(found("{\"to\":\"@example\"}"), 0, "no subdomains");
	cr_expect_eq(found("{\"to\":\"EXAMPLE\"}"), 2, "a part");
	cr_expect_eq(found("{\"states\":\"deferred\"}"), 1);
	cr_expect_eq(found("{\"states\":\"deferred,ready\"}"), 2);
	cr_expect_eq(found("{\"states\":\"held\"}"), 0);
	cr_expect_eq(found("{\"word\":\"4xyz1\"}"), 1);
	cr_expect_eq(found("{\"word\":\"4xyz\"}"), 0, "a word is whole");
	cr_expect_eq(found("{\"before_ms\":1}"), 0);
	cr_expect_eq(found("{\"before_ms\":9000000000000}"), 2);
	cr_expect_eq(found("{\"from\":\"<>\"}"), 0);
	cr_expect_eq(found("{\"from\":\"A@Sender.example\"}"), 2);
	cr_expect_eq(found("{\"either\":\"u@b.example\"}"), 1);
	cr_expect_eq(found("{\"either\":\"@sender.example\"}"), 2);
}

Test(status, what_is_no_filter)
{
	static const char *const texts[] = {
		"{\"states\":\"waiting\"}", "{\"states\":\"ready,\\u0000\"}",
		"{\"from\":\"\"}", "{\"to\":\"@\"}", "{\"to\":\"@a..b\"}",
	};

	for (size_t i = 0; i < COUNT(texts); i++) {
		json_t *object = json_loads(texts[i], JSON_ALLOW_NUL, NULL);
		struct status_filter filter;

		cr_expect_not_null(status_filter_take(&filter, object), "%s",
				   texts[i]);
		status_filter_fini(&filter);
		json_decref(object);
	}
}

/* Whatever a message has of recipients: a look is bounded by them, too. */
Test(status, many_recipients_are_looked_at_in_pieces)
{
	json_t *nobody = json_pack("{s:s}", "to", "x@nobody.example");
	struct status_filter filter;
	struct spool_rcpt many[400];
	struct status_page p;

	for (size_t i = 0; i < COUNT(many); i++)
		many[i] = a_rcpt("u@a.example", "a.example");
	for (uint64_t i = 0; i < 4; i++)
		put_message(&f, i, 300, many, COUNT(many));
	cr_assert_null(status_filter_take(&filter, nobody));
	cr_assert_eq(status_search(f.sp, SPAN_LIT(""), 0, 9, &filter, &p),
		     MX_OK);
	cr_expect_eq(json_array_size(p.items), 0);
	cr_expect_gt(p.next.n, 0, "the rest is another look");
	status_page_fini(&p);
	status_filter_fini(&filter);
	json_decref(nobody);
}
