#include "common/status/outage.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/control/control.h"

/* ---- The fact ---- */

void outage_key(struct buf *out, uint64_t id)
{
	buf_add(out, OUTAGE_PREFIX);
	buf_addf(out, "%016" PRIx64, ~id);
}

static bool key_get(struct span key, uint64_t *id)
{
	char digits[17] = "", *end;

	if (!span_starts(key, OUTAGE_PREFIX) ||
	    key.n != OUTAGE_PREFIX.n + sizeof(digits) - 1)
		return false;
	memcpy(digits, key.p + OUTAGE_PREFIX.n, sizeof(digits) - 1);
	*id = ~strtoull(digits, &end, 16);
	return *end == '\0';
}

/* On a line of its own. */
static void put_line(struct buf *out, struct span text)
{
	size_t at = out->n;

	buf_add(out, text);
	for (; at < out->n; at++)
		if (out->p[at] == '\n' || out->p[at] == '\0')
			out->p[at] = ' ';
	buf_addc(out, '\n');
}

void outage_put(struct buf *out, const struct outage *o)
{
	buf_addf(out,
		 "%" PRId64 " %" PRId64 " %" PRId64 " %" PRIu64 " %" PRIu64
		 " %" PRIu64 " %" PRId64 " %" PRIu64 "\n",
		 o->began_ms, o->ended_ms, o->seen_ms, o->messages, o->left,
		 o->refused, o->worst_ms, o->domains_left_out);
	put_line(out, o->destination);
	put_line(out, o->reply);
	put_line(out, o->domains);
}

/* The next number of the line; not more than a time can be. */
static bool get_number(struct span *line, uint64_t *out)
{
	return span_u64(span_cut(line, ' '), out) && *out <= INT64_MAX;
}

bool outage_get(struct span key, struct span value, struct outage *o)
{
	struct span line = span_cut(&value, '\n');
	uint64_t n[8];

	*o = (struct outage){ 0 };
	if (!key_get(key, &o->id))
		return false;
	for (size_t i = 0; i < sizeof(n) / sizeof(n[0]); i++)
		if (!get_number(&line, &n[i]))
			return false;
	o->began_ms = (int64_t)n[0];
	o->ended_ms = (int64_t)n[1];
	o->seen_ms = (int64_t)n[2];
	o->messages = n[3];
	o->left = n[4];
	o->refused = n[5];
	o->worst_ms = (int64_t)n[6];
	o->domains_left_out = n[7];
	o->destination = span_cut(&value, '\n');
	o->reply = span_cut(&value, '\n');
	o->domains = span_cut(&value, '\n');
	return o->destination.n > 0;
}

bool outage_is_over(struct span key, struct span value, int64_t now_ms)
{
	struct outage o;

	if (!span_starts(key, OUTAGE_PREFIX))
		return false;
	return !outage_get(key, value, &o) ||
	       (o.ended_ms != 0 && o.ended_ms < now_ms - OUTAGE_KEPT_MS);
}

bool outage_names(const struct outage *o, struct span domain)
{
	struct span rest = o->domains;

	while (rest.n > 0)
		if (span_eq(span_cut(&rest, ' '), domain))
			return true;
	return false;
}

/* ---- For people and programs ---- */

enum { LOOKED_AT_MAX = 256 }; /* for one page */

struct listing {
	struct spool *sp;
	struct span domain;
	struct spool_domain row; /* of it */
	struct status_page *page;
	size_t looked_at;
};

static bool is_wanted(const struct listing *l, const struct outage *o)
{
	return l->domain.n == 0 || outage_names(o, l->domain) ||
	       (o->domains_left_out > 0 &&
		span_eq(o->destination, span_str(l->row.destination)));
}

static json_t *names_of(const struct outage *o)
{
	json_t *list = json_array();
	struct span rest = o->domains;

	while (rest.n > 0)
		json_array_append_new(list, control_text(span_cut(&rest, ' ')));
	return list;
}

static uint64_t waiting(struct spool *sp, const struct outage *o)
{
	struct span rest = o->domains;
	struct spool_domain row;
	uint64_t n = 0;

	while (rest.n > 0)
		if (spool_domain_get(sp, span_cut(&rest, ' '), &row) == MX_OK)
			n += row.ready + row.deferred;
	return n;
}

static json_t *outage_object(struct spool *sp, const struct outage *o)
{
	uint64_t messages =
		o->messages + (o->ended_ms == 0 ? waiting(sp, o) : 0);
	json_t *object = json_pack(
		"{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o}", "destination",
		control_text(o->destination), "domains", names_of(o), "began",
		control_time(o->began_ms), "ended", control_time(o->ended_ms),
		"messages", (json_int_t)messages, "refused",
		(json_int_t)o->refused, "worst_wait_s",
		(json_int_t)(o->worst_ms / 1000), "reply",
		control_text_or_null(o->reply));

	if (o->domains_left_out > 0)
		json_object_set_new(
			object, "domains_left_out",
			json_integer((json_int_t)o->domains_left_out));
	return object;
}

static bool add_outage(struct span key, struct span value, void *arg)
{
	struct listing *l = arg;
	json_t *items = l->page->items;
	struct outage o;

	if (outage_get(key, value, &o) && is_wanted(l, &o))
		json_array_append_new(items, outage_object(l->sp, &o));
	if (json_array_size(items) < STATUS_OUTAGES &&
	    ++l->looked_at < LOOKED_AT_MAX)
		return true;
	buf_add(&l->page->next, key);
	return false;
}

enum mx_err status_outages(struct spool *sp, struct span domain,
			   struct span after, struct status_page *out)
{
	struct listing l = { .sp = sp, .domain = domain, .page = out };

	*out = (struct status_page){ .items = json_array() };
	if (domain.n > 0)
		(void)spool_domain_get(sp, domain, &l.row);
	return spool_facts(sp, OUTAGE_PREFIX,
			   span_starts(after, OUTAGE_PREFIX) ? after
							     : SPAN_LIT(""),
			   add_outage, &l);
}
