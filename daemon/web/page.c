#include "daemon/web/page_priv.h"

#include "common/base/clock.h"

/* ---- In a sentence ---- */

struct counts {
	size_t down, stopped;
	uint64_t held;
};

static struct counts count(const struct web_facts *f)
{
	struct counts n = { 0 };

	for (size_t i = 0; i < f->destination_count; i++) {
		const struct web_destination *d = &f->destinations[i];

		n.stopped += d->state.braked != NULL;
		n.down += d->state.braked == NULL && d->state.is_down;
		n.held += d->held;
	}
	return n;
}

static void say_down(struct buf *out, const struct web_facts *f, size_t n)
{
	html_count(out, n, "destination is down.", "destinations are down.");
	buf_addc(out, ' ');
	if (f->totals.messages == 0)
		buf_adds(out, "No mail waits.");
	else
		html_count(out, f->totals.messages, "message waits safely.",
			   "messages wait safely.");
}

static enum mood sentence(struct buf *out, const struct web_facts *f)
{
	struct counts n = count(f);

	if (!f->is_loop_well) {
		buf_adds(out, "The daemon does not answer.");
		return MOOD_BAD;
	}
	if (f->totals.space.pressure == SPOOL_FAILED) {
		buf_adds(out, "The disk failed. No mail is taken until it is "
			      "mended.");
		return MOOD_BAD;
	}
	if (f->totals.space.pressure == SPOOL_FULL) {
		buf_adds(out, "The spool is full. Senders are told to try "
			      "again later.");
		return MOOD_BAD;
	}
	if (n.stopped > 0) {
		html_count(out, n.stopped,
			   "destination refused too much and was stopped.",
			   "destinations refused too much and were stopped.");
		return MOOD_BAD;
	}
	if (n.down > 0) {
		say_down(out, f, n.down);
		return MOOD_WARN;
	}
	if (f->totals.messages > n.held) {
		buf_adds(out, "Delivering ");
		html_count(out, f->totals.messages - n.held, "message.",
			   "messages.");
		return MOOD_BUSY;
	}
	if (f->totals.messages > 0) {
		html_count(out, f->totals.messages, "message is held.",
			   "messages are held.");
		return MOOD_WARN;
	}
	buf_adds(out, "All quiet. No mail waits.");
	return MOOD_GOOD;
}

/* ---- The top ---- */

static void add_top(struct buf *out, const struct web_facts *f)
{
	struct buf words = { 0 };
	enum mood mood = sentence(&words, f);

	buf_adds(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
		      "<meta charset=\"utf-8\">\n"
		      "<meta name=\"viewport\" "
		      "content=\"width=device-width, initial-scale=1\">\n"
		      "<meta name=\"color-scheme\" content=\"light dark\">\n"
		      "<meta name=\"robots\" content=\"noindex\">\n<title>");
	buf_add(out, buf_span(&words));
	buf_adds(out, " - ");
	html_text(out, f->hostname);
	buf_adds(out, "</title>\n<link rel=\"stylesheet\" href=\"style.css\">\n"
		      "<link rel=\"icon\" href=\"icon.svg\">\n</head>\n<body>\n"
		      "<header>\n<p class=\"host\"><span class=\"brand\">mx20"
		      "</span> <span class=\"name\">");
	html_text(out, f->hostname);
	buf_addf(out, "</span></p>\n<h1 class=\"%s\">", mood_class(mood));
	buf_add(out, buf_span(&words));
	buf_adds(out, "</h1>\n<p class=\"asof\">As of ");
	html_time(out, f->now_ms);
	buf_adds(out, " UTC. <a href=\"./\">Look again</a></p>\n</header>\n"
		      "<main>\n");
	buf_fini(&words);
}

/* ---- Some numbers ---- */

static uint64_t number(const struct web_facts *f, enum metric_id id)
{
	const struct metric *row = metric_get(id);
	size_t n = row->labels != NULL ? row->count : 1;
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += f->metrics.numbers[id][i];
	return sum;
}

static void open_tile(struct buf *out, const char *name)
{
	buf_addf(out, "<div class=\"tile\"><dt>%s</dt><dd><strong>", name);
}

/* What is said below the number; "" ends it without. */
static void close_tile(struct buf *out, struct buf *below)
{
	buf_adds(out, "</strong>");
	if (below->n > 0) {
		buf_adds(out, "<span>");
		buf_add(out, buf_span(below));
		buf_adds(out, "</span>");
	}
	buf_adds(out, "</dd></div>\n");
	buf_reset(below);
}

static void add_waiting(struct buf *out, const struct web_facts *f,
			struct buf *below)
{
	const struct spool_totals *t = &f->totals;

	open_tile(out, "Messages waiting");
	html_number(out, t->messages);
	if (t->messages > 0) {
		html_size(below, t->bytes);
		buf_adds(below, ", the oldest for ");
		html_age(below, f->now_ms - t->oldest_ms);
	} else {
		buf_adds(below, "the spool is empty");
	}
	close_tile(out, below);
}

static double share(uint64_t part, uint64_t whole)
{
	return whole > 0 ? (double)part / (double)whole : 0;
}

static void add_room(struct buf *out, const struct web_facts *f,
		     struct buf *below)
{
	const struct spool_space *s = &f->totals.space;
	double used = share(s->used_bytes, s->size_bytes);

	open_tile(out, "Spool used");
	html_decimal(out, used * 100, used < 0.1 ? 1 : 0);
	buf_adds(out, " %");
	html_size(below, s->used_bytes);
	buf_adds(below, " of ");
	html_size(below, s->size_bytes);
	buf_adds(below, "; ");
	html_size(below, s->disk_bytes);
	buf_adds(below, " free on the disk");
	close_tile(out, below);
}

static void add_clients(struct buf *out, const struct web_facts *f,
			struct buf *below)
{
	open_tile(out, "Clients connected");
	html_number(out, number(f, METRIC_SESSIONS));
	buf_adds(below, "of ");
	html_number(below, number(f, METRIC_SESSION_LIMIT));
	buf_adds(below, " at most");
	close_tile(out, below);
}

static void add_flow(struct buf *out, const struct web_facts *f,
		     struct buf *below)
{
	open_tile(out, "Messages taken");
	html_number(out, number(f, METRIC_ACCEPTED));
	html_number(below, number(f, METRIC_DELIVERED));
	buf_adds(below, " recipients delivered, ");
	html_number(below, number(f, METRIC_RELAYED));
	buf_adds(below, " relayed");
	close_tile(out, below);
}

static void add_certificate(struct buf *out, const struct web_facts *f,
			    struct buf *below)
{
	int64_t end_ms =
		SECONDS((int64_t)f->metrics.numbers[METRIC_CERTIFICATE][0]);

	open_tile(out, "Certificate");
	if (end_ms == 0) {
		buf_adds(out, "none");
		buf_adds(below, "STARTTLS is not offered");
	} else if (end_ms <= f->now_ms) {
		buf_adds(out, "expired");
		html_time(below, end_ms);
	} else {
		html_count(out, (uint64_t)((end_ms - f->now_ms) / DAYS(1)),
			   "day", "days");
		buf_adds(below, "left");
	}
	close_tile(out, below);
}

static void add_tiles(struct buf *out, const struct web_facts *f)
{
	struct buf below = { 0 };

	buf_adds(out, "<dl class=\"tiles\" aria-label=\"Numbers\">\n");
	add_waiting(out, f, &below);
	add_room(out, f, &below);
	add_flow(out, f, &below);
	add_clients(out, f, &below);
	add_certificate(out, f, &below);
	buf_adds(out, "</dl>\n");
	buf_fini(&below);
}

/* ---- The end ---- */

static void add_foot(struct buf *out, const struct web_facts *f)
{
	buf_adds(out, "</main>\n<footer>\n<p>For programs: "
		      "<a href=\"metrics\">metrics</a>, "
		      "<a href=\"api/status\">status</a>, "
		      "<a href=\"api/outages\">outages</a>, "
		      "<a href=\"healthz\">health</a>. "
		      "To change something: <code>mx20ctl</code>.</p>\n"
		      "<p>mx20 " MX_VERSION ", running for ");
	html_age(out, f->now_ms - f->started_ms);
	buf_adds(out, ". Times are UTC.</p>\n</footer>\n</body>\n</html>\n");
}

void page_make(struct buf *out, const struct web_facts *f)
{
	add_top(out, f);
	add_tiles(out, f);
	page_drains(out, f);
	page_waits(out, f);
	page_curve(out, f);
	page_outages(out, f);
	page_refused(out, f);
	add_foot(out, f);
}
