/* What was refused since the start, and why. */
#include <stdlib.h>

#include "common/base/assert.h"
#include "daemon/web/page_priv.h"

enum { REASONS = 2 * METRIC_NUMBERS, SHOWN = 10 };

struct reason {
	struct span word; /* "unknown_recipient" */
	uint64_t count;
};

static int by_count(const void *va, const void *vb)
{
	const struct reason *a = va, *b = vb;

	return a->count == b->count ? 0 : a->count > b->count ? -1 : 1;
}

/* The same word may stand for a recipient and for a message. */
static size_t add_reason(struct reason *all, size_t n, struct span word,
			 uint64_t count)
{
	for (size_t i = 0; i < n; i++)
		if (span_eq(all[i].word, word)) {
			all[i].count += count;
			return n;
		}
	all[n] = (struct reason){ word, count };
	return n + 1;
}

static size_t collect(const struct web_facts *f, struct reason *all)
{
	static const enum metric_id ids[] = { METRIC_RECIPIENTS_REJECTED,
					      METRIC_MESSAGES_REJECTED };
	size_t n = 0;

	for (size_t k = 0; k < COUNT(ids); k++) {
		const struct metric *row = metric_get(ids[k]);

		for (size_t i = 0; i < row->count; i++) {
			struct span rest = span_str(row->labels[i]);

			span_cut(&rest, '"');
			if (f->metrics.numbers[ids[k]][i] > 0)
				n = add_reason(all, n, span_cut(&rest, '"'),
					       f->metrics.numbers[ids[k]][i]);
		}
	}
	qsort(all, n, sizeof(*all), by_count);
	return n;
}

static void add_row(struct buf *out, const struct reason *r, uint64_t most)
{
	struct span rest = r->word;

	buf_adds(out, "<li><p class=\"who\">");
	while (rest.n > 0) {
		html_text(out, span_cut(&rest, '_'));
		if (rest.n > 0)
			buf_addc(out, ' ');
	}
	buf_adds(out, "</p><p class=\"mail\"><b>");
	html_number(out, r->count);
	buf_adds(out, "</b></p>");
	page_bar(out, (double)r->count / (double)most, "none");
	buf_adds(out, "</li>\n");
}

static void add_by_primaries(struct buf *out, const struct web_facts *f)
{
	uint64_t n = f->metrics.numbers[METRIC_REFUSED][0];

	if (n == 0)
		return;
	buf_adds(out, "<p class=\"dim\">Primaries refused ");
	html_count(out, n, "recipient", "recipients");
	buf_adds(out, " for good.</p>\n");
}

void page_refused(struct buf *out, const struct web_facts *f)
{
	struct reason all[REASONS];
	size_t n = collect(f, all);

	page_open(out, "refused", "Refused since the start");
	if (n == 0)
		buf_adds(out, "<p class=\"empty\">Nobody was refused.</p>\n");
	else
		buf_adds(out, "<ol class=\"rows slim\">\n");
	for (size_t i = 0; i < n && i < SHOWN; i++)
		add_row(out, &all[i], all[0].count);
	if (n > 0)
		buf_adds(out, "</ol>\n");
	add_by_primaries(out, f);
	page_close(out);
}
