/* When destinations were down: a line each, and a table. */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/web/page_priv.h"

enum { LANES = 12, TABLE_ROWS = 50, WIDE = 1000, HIGH = 10 };

static int64_t end_of(const struct web_facts *f, const struct outage *o)
{
	return o->ended_ms != 0 ? o->ended_ms : f->now_ms;
}

/* ---- The picture ---- */

static double x_of(const struct web_facts *f, int64_t from_ms, int64_t at_ms)
{
	double x = (double)(at_ms - from_ms) * WIDE /
		   (double)(f->now_ms - from_ms);

	return x < 0 ? 0 : x > WIDE ? WIDE : x;
}

static void draw(struct buf *out, const struct web_facts *f, int64_t from_ms,
		 const struct outage *o)
{
	double x = x_of(f, from_ms, o->began_ms);
	double w = x_of(f, from_ms, end_of(f, o)) - x;

	if (w < 3) /* to be seen at all */
		w = 3;
	if (x + w > WIDE)
		x = WIDE - w;
	buf_addf(out, "<rect class=\"%s\" x=\"",
		 o->ended_ms == 0 ? "on" : "over");
	html_decimal(out, x, 1);
	buf_adds(out, "\" width=\"");
	html_decimal(out, w, 1);
	buf_addf(out, "\" height=\"%d\"><title>", HIGH);
	html_age(out, end_of(f, o) - o->began_ms);
	buf_adds(out, "</title></rect>");
}

/* A lane for each destination, the one that was down last first. */
static size_t lanes_of(const struct web_facts *f, int64_t from_ms,
		       size_t lanes[static LANES])
{
	size_t n = 0;

	for (size_t i = 0; i < f->outage_count && n < LANES; i++) {
		const struct outage *o = &f->outages[i];
		size_t k = 0;

		if (end_of(f, o) < from_ms)
			continue;
		while (k < n && !span_eq(f->outages[lanes[k]].destination,
					 o->destination))
			k++;
		if (k == n)
			lanes[n++] = i;
	}
	return n;
}

static void add_lane(struct buf *out, const struct web_facts *f,
		     int64_t from_ms, struct span name)
{
	buf_adds(out, "<li><p>");
	page_name(out, name);
	buf_addf(out,
		 "</p><svg viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" "
		 "aria-hidden=\"true\"><rect class=\"track\" width=\"%d\" "
		 "height=\"%d\"/>",
		 WIDE, HIGH, WIDE, HIGH);
	for (size_t i = 0; i < f->outage_count; i++)
		if (span_eq(f->outages[i].destination, name) &&
		    end_of(f, &f->outages[i]) >= from_ms)
			draw(out, f, from_ms, &f->outages[i]);
	buf_adds(out, "</svg></li>\n");
}

/* A day, a week, a month: so that the newest are not crowded. */
static int64_t window_of(const struct web_facts *f)
{
	static const int64_t spans[] = { DAYS(1), DAYS(7), DAYS(31) };
	int64_t oldest = f->outages[f->outage_count - 1].began_ms;
	size_t i = 0;

	while (i + 1 < COUNT(spans) && oldest < f->now_ms - spans[i])
		i++;
	return spans[i];
}

static void add_picture(struct buf *out, const struct web_facts *f)
{
	int64_t from_ms = f->now_ms - window_of(f);
	size_t lanes[LANES];
	size_t n = lanes_of(f, from_ms, lanes);

	if (n == 0) {
		buf_adds(out, "<p class=\"empty\">None in the last month.</p>"
			      "\n");
		return;
	}
	buf_adds(out, "<p class=\"legend dim\"><i class=\"on\"></i>goes on "
		      "<i class=\"over\"></i>over</p>\n"
		      "<ol class=\"lanes\">\n");
	for (size_t i = 0; i < n; i++)
		add_lane(out, f, from_ms, f->outages[lanes[i]].destination);
	buf_adds(out, "</ol>\n<p class=\"axis\" aria-hidden=\"true\"><span>");
	html_time(out, from_ms);
	buf_adds(out, "</span><span>");
	html_time(out, from_ms + (f->now_ms - from_ms) / 2);
	buf_adds(out, "</span><span>now</span></p>\n");
}

/* ---- The table ---- */

static uint64_t messages_of(const struct web_facts *f, const struct outage *o)
{
	if (o->ended_ms != 0)
		return o->messages;
	for (size_t i = 0; i < f->destination_count; i++)
		if (span_eq(f->destinations[i].name, o->destination))
			return o->messages + f->destinations[i].messages;
	return o->messages;
}

static void add_row(struct buf *out, const struct web_facts *f,
		    const struct outage *o)
{
	buf_adds(out, "<tr><td>");
	html_time(out, o->began_ms);
	buf_adds(out, "</td><td>");
	html_age(out, end_of(f, o) - o->began_ms);
	if (o->ended_ms == 0)
		buf_adds(out, " so far");
	buf_adds(out, "</td><td class=\"n\">");
	html_number(out, messages_of(f, o));
	buf_adds(out, "</td><td class=\"n\">");
	html_number(out, o->refused);
	buf_adds(out, "</td><td><bdi>");
	html_text_cut(out, o->destination, 80);
	buf_adds(out, "</bdi></td><td><bdi>");
	html_text_cut(out, o->reply, 120);
	buf_adds(out, "</bdi></td></tr>\n");
}

static void add_table(struct buf *out, const struct web_facts *f)
{
	size_t n = f->outage_count < TABLE_ROWS ? f->outage_count : TABLE_ROWS;

	buf_adds(out, "<details><summary>");
	html_count(out, n, "outage", "outages");
	buf_adds(out, " in words</summary>\n<div class=\"wide\" tabindex=\"0\" "
		      "role=\"region\" "
		      "aria-label=\"Outages in words\"><table>\n"
		      "<thead><tr><th scope=\"col\">Began</th>"
		      "<th scope=\"col\">Lasted</th>"
		      "<th scope=\"col\" class=\"n\">Messages</th>"
		      "<th scope=\"col\" class=\"n\">Refused</th>"
		      "<th scope=\"col\">Destination</th>"
		      "<th scope=\"col\">What it said</th>"
		      "</tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < n; i++)
		add_row(out, f, &f->outages[i]);
	buf_adds(out, "</tbody></table></div></details>\n");
}

void page_outages(struct buf *out, const struct web_facts *f)
{
	page_open(out, "outages", "Outages");
	if (f->outage_count == 0) {
		buf_adds(out, "<p class=\"empty\">No outage is on record.</p>"
			      "\n");
	} else {
		add_picture(out, f);
		add_table(out, f);
	}
	page_close(out);
}
