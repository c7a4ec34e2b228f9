/* What waits now, and how its destinations do. */
#include "common/base/clock.h"
#include "daemon/web/page_priv.h"

enum { OPEN_ROWS = 12, REPLY_MOST = 160 };

static const char *word_of(const struct web_destination *d)
{
	if (d->state.braked != NULL)
		return "stopped";
	if (d->state.hold_reason != NULL)
		return "held";
	if (d->state.is_down)
		return "down";
	if (strcmp(d->state.state, "up") != 0)
		return d->state.state;
	return d->messages > d->held ? "delivering" : "up";
}

static int64_t since_ms(const struct web_destination *d)
{
	return d->state.braked != NULL ? d->state.braked->since_ms
				       : d->state.since_ms;
}

static struct span reply_of(const struct web_destination *d)
{
	return d->state.braked != NULL ? braked_most(d->state.braked)
				       : d->state.last_reply;
}

static void add_name(struct buf *out, const struct web_facts *f,
		     const struct web_destination *d)
{
	buf_addf(out, "<p class=\"who\"><span class=\"pill %s\">%s</span> ",
		 mood_class(mood_of(d)), word_of(d));
	page_name(out, d->name);
	if (page_is_down(d) && since_ms(d) > 0) {
		buf_adds(out, " <span class=\"dim\">· for ");
		html_age(out, f->now_ms - since_ms(d));
		buf_adds(out, "</span>");
	}
	buf_adds(out, "</p>");
}

static void add_mail(struct buf *out, const struct web_facts *f,
		     const struct web_destination *d)
{
	buf_adds(out, "<p class=\"mail\"><b>");
	html_number(out, d->messages);
	buf_addf(out, "</b> <span class=\"dim\">%s",
		 d->messages == 1 ? "message" : "messages");
	if (d->messages > 0) {
		buf_adds(out, ", ");
		html_size(out, d->bytes);
	}
	if (d->oldest_ms > 0) {
		buf_adds(out, ", oldest ");
		html_age(out, f->now_ms - d->oldest_ms);
	}
	buf_adds(out, "</span></p>");
}

static void add_domains(struct buf *out, const struct web_destination *d)
{
	if (d->domain.n == 0)
		return;
	buf_adds(out, "<bdi>");
	html_text_cut(out, d->domain, 120);
	buf_adds(out, "</bdi>");
	if (d->domain_count > 1) {
		buf_adds(out, " and ");
		html_number(out, d->domain_count - 1);
		buf_adds(out, " more");
	}
	if (d->held > 0) {
		buf_adds(out, " · ");
		html_number(out, d->held);
		buf_adds(out, " held");
	}
	if (d->refused > 0) {
		buf_adds(out, " · ");
		html_number(out, d->refused);
		buf_adds(out, " refused");
	}
}

/* The next probe, or how many connections. */
static void add_next(struct buf *out, const struct web_facts *f,
		     const struct web_destination *d)
{
	if (page_is_down(d) && d->state.next_probe_ms > 0) {
		buf_adds(out, d->domain.n > 0 ? " · next try " : "next try ");
		if (d->state.next_probe_ms < f->now_ms + 1000) {
			buf_adds(out, "now");
		} else {
			buf_adds(out, "in ");
			html_age(out, d->state.next_probe_ms - f->now_ms);
		}
	} else if (d->state.connections > 0) {
		buf_adds(out, d->domain.n > 0 ? " · " : "");
		html_count(out, (uint64_t)d->state.connections, "connection",
			   "connections");
	}
}

static void add_row(struct buf *out, const struct web_facts *f,
		    const struct web_destination *d, uint64_t most)
{
	struct span reply = reply_of(d);

	buf_adds(out, "<li>");
	add_name(out, f, d);
	add_mail(out, f, d);
	page_bar(out, most > 0 ? (double)d->messages / (double)most : 0,
		 mood_class(mood_of(d)));
	buf_adds(out, "<p class=\"more dim\">");
	add_domains(out, d);
	add_next(out, f, d);
	buf_adds(out, "</p>");
	if (page_is_down(d) && reply.n > 0) {
		buf_adds(out, "<p class=\"reply\"><bdi>");
		html_text_cut(out, reply, REPLY_MOST);
		buf_adds(out, "</bdi></p>");
	}
	buf_adds(out, "</li>\n");
}

static void add_rows(struct buf *out, const struct web_facts *f, size_t from,
		     size_t to)
{
	buf_adds(out, "<ol class=\"rows\">\n");
	for (size_t i = from; i < to; i++)
		add_row(out, f, &f->destinations[i],
			f->destinations[0].messages);
	buf_adds(out, "</ol>\n");
}

static void add_rest(struct buf *out, const struct web_facts *f)
{
	uint64_t rest = f->destination_count - OPEN_ROWS;

	buf_adds(out, "<details><summary>");
	html_count(out, rest, "more destination", "more destinations");
	buf_adds(out, "</summary>\n");
	add_rows(out, f, OPEN_ROWS, f->destination_count);
	buf_adds(out, "</details>\n");
	if (f->all_destinations <= f->destination_count)
		return;
	buf_adds(out, "<p class=\"dim\">Of ");
	html_number(out, f->all_destinations);
	buf_adds(out, " destinations these have most mail; "
		      "<code>mx20ctl status</code> has all.</p>\n");
}

void page_waits(struct buf *out, const struct web_facts *f)
{
	size_t n = f->destination_count;

	page_open(out, "waits", "What waits now");
	if (n == 0)
		buf_adds(out, "<p class=\"empty\">Nothing waits, and no "
			      "destination is in use. Mail that comes while a "
			      "primary is away shows up here.</p>\n");
	else
		add_rows(out, f, 0, n < OPEN_ROWS ? n : OPEN_ROWS);
	if (n > OPEN_ROWS)
		add_rest(out, f);
	page_close(out);
}

/* ---- Drains in progress ---- */

static const struct web_destination *find(const struct web_facts *f,
					  struct span name)
{
	for (size_t i = 0; i < f->destination_count; i++)
		if (span_eq(f->destinations[i].name, name))
			return &f->destinations[i];
	return NULL;
}

/* The newest outage of it alone tells. */
static bool is_newest(const struct web_facts *f, size_t outage)
{
	for (size_t i = 0; i < outage; i++)
		if (span_eq(f->outages[i].destination,
			    f->outages[outage].destination))
			return false;
	return true;
}

/* What an outage made wait and has not left yet; 0: it is over and done. */
static uint64_t left_of(const struct web_facts *f, const struct outage *o)
{
	const struct web_destination *d = find(f, o->destination);
	uint64_t left = o->messages > o->left ? o->messages - o->left : 0;

	if (o->ended_ms == 0 || d == NULL || page_is_down(d))
		return 0;
	return left < d->messages ? left : d->messages;
}

/* At the speed so far. */
static void add_end(struct buf *out, const struct web_facts *f,
		    const struct outage *o, uint64_t left)
{
	int64_t took_ms = f->now_ms - o->ended_ms;

	buf_adds(out, "<span class=\"dim\">");
	if (o->left == 0 || took_ms <= 0) {
		buf_adds(out, "has just begun");
	} else {
		double ms = (double)took_ms / (double)o->left * (double)left;

		buf_adds(out, "done in about ");
		html_age(out, (int64_t)ms + 1000);
		buf_adds(out, ", ");
		html_time(out, f->now_ms + (int64_t)ms);
	}
	buf_adds(out, "</span>");
}

static void add_drain(struct buf *out, const struct web_facts *f,
		      const struct outage *o, uint64_t left)
{
	double done = (double)o->left / (double)(o->left + left);

	buf_adds(out, "<li><p class=\"who\"><span class=\"pill busy\">");
	html_decimal(out, done * 100, 0);
	buf_adds(out, " %</span> ");
	page_name(out, o->destination);
	buf_adds(out, "</p><p class=\"mail\"><b>");
	html_number(out, left);
	buf_adds(out, "</b> <span class=\"dim\">to go, ");
	html_number(out, o->left);
	buf_adds(out, " done</span></p>");
	page_bar(out, done, "busy");
	buf_adds(out, "<p class=\"more\">");
	add_end(out, f, o, left);
	buf_adds(out, "</p></li>\n");
}

void page_drains(struct buf *out, const struct web_facts *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->outage_count && n < OPEN_ROWS; i++) {
		uint64_t left = left_of(f, &f->outages[i]);

		if (left == 0 || !is_newest(f, i))
			continue;
		if (n++ == 0) {
			page_open(out, "drains", "Catching up");
			buf_adds(out, "<ol class=\"rows\">\n");
		}
		add_drain(out, f, &f->outages[i], left);
	}
	if (n == 0)
		return;
	buf_adds(out, "</ol>\n");
	page_close(out);
}
