#include "common/status/tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/msgid.h"
#include "common/control/control.h"

enum { DIGITS = 8, QUARTERS_A_PAGE = 32 };
#define SLOWEST SPAN_LIT("slowest")

/* ---- The fact ---- */

void tally_key(struct buf *out, int64_t wall_ms)
{
	buf_add(out, TALLY_PREFIX);
	buf_addf(out, "%08" PRIx32, ~(uint32_t)(wall_ms / TALLY_QUARTER_MS));
}

bool tally_key_parse(struct span key, int64_t *began_ms)
{
	char digits[DIGITS + 1] = "", *end;

	if (!span_starts(key, TALLY_PREFIX) ||
	    key.n != TALLY_PREFIX.n + DIGITS)
		return false;
	memcpy(digits, key.p + TALLY_PREFIX.n, DIGITS);
	*began_ms = (int64_t)(uint32_t)~strtoul(digits, &end, 16) *
		    TALLY_QUARTER_MS;
	return *end == '\0';
}

void tally_put(struct buf *out, struct span name, uint64_t n)
{
	buf_add(out, name);
	buf_addf(out, " %" PRIu64 "\n", n);
}

void tally_put_slowest(struct buf *out, const struct tally_slowest *s)
{
	if (s->wait_s < 0)
		return;
	buf_add(out, SLOWEST);
	buf_addf(out, " %" PRId64 " ", s->wait_s);
	msg_id_add(out, s->id);
	buf_addc(out, ' ');
	for (const char *p = s->to; *p != '\0'; p++)
		buf_addc(out, *p == '\n' ? ' ' : *p);
	buf_addc(out, '\n');
}

static bool get_slowest(struct span line, uint64_t n, struct tally_slowest *s)
{
	if (n > INT64_MAX || !msg_id_parse(span_cut(&line, ' '), &s->id))
		return false;
	s->wait_s = (int64_t)n;
	snprintf(s->to, sizeof(s->to), "%.*s", SPAN_ARG(line));
	return true;
}

bool tally_next(struct span *value, struct span *name, uint64_t *n,
		struct tally_slowest *slowest)
{
	while (value->n > 0) {
		struct span line = span_cut(value, '\n');

		*name = span_cut(&line, ' ');
		if (name->n == 0 || name->n > TALLY_NAME_MAX ||
		    !span_u64(span_cut(&line, ' '), n))
			continue;
		if (!span_eq(*name, SLOWEST) || get_slowest(line, *n, slowest))
			return true;
	}
	return false;
}

bool tally_is_over(struct span key, int64_t now_ms)
{
	int64_t began_ms;

	return span_starts(key, TALLY_PREFIX) &&
	       (!tally_key_parse(key, &began_ms) ||
		began_ms < now_ms - TALLY_KEPT_MS);
}

/* ---- For people and programs ---- */

struct listing {
	struct status_page *page;
	int64_t since_ms;
};

static json_t *slowest_object(const struct tally_slowest *s)
{
	struct buf id = { 0 };
	json_t *o;

	if (s->wait_s < 0)
		return json_null();
	msg_id_add(&id, s->id);
	o = json_pack("{s:I, s:o, s:o}", "wait_s", (json_int_t)s->wait_s, "id",
		      control_text(buf_span(&id)), "to",
		      control_text(span_str(s->to)));
	buf_fini(&id);
	return o;
}

static json_t *quarter_object(int64_t began_ms, struct span value)
{
	struct tally_slowest slowest = { .wait_s = -1 };
	json_t *counts = json_object();
	char key[TALLY_NAME_MAX + 1];
	struct span name;
	uint64_t n;

	while (tally_next(&value, &name, &n, &slowest)) {
		if (span_eq(name, SLOWEST))
			continue;
		snprintf(key, sizeof(key), "%.*s", SPAN_ARG(name));
		json_object_set_new(counts, key, json_integer((json_int_t)n));
	}
	return json_pack("{s:o, s:o, s:o}", "began", control_time(began_ms),
			 "counts", counts, "slowest",
			 slowest_object(&slowest));
}

static bool add_quarter(struct span key, struct span value, void *arg)
{
	struct listing *l = arg;
	int64_t began_ms;

	buf_reset(&l->page->next);
	if (!tally_key_parse(key, &began_ms))
		return true;
	if (began_ms < l->since_ms)
		return false;
	json_array_append_new(l->page->items, quarter_object(began_ms, value));
	if (json_array_size(l->page->items) < QUARTERS_A_PAGE)
		return true;
	buf_add(&l->page->next, key);
	return false;
}

enum mx_err status_tally(struct spool *sp, int64_t since_ms, struct span after,
			 struct status_page *out)
{
	struct listing l = { .page = out, .since_ms = since_ms };

	*out = (struct status_page){ .items = json_array() };
	return spool_facts(sp, TALLY_PREFIX,
			   span_starts(after, TALLY_PREFIX) ? after
							    : SPAN_LIT(""),
			   add_quarter, &l);
}
