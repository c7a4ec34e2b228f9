/* What the sections are made of. */
#include "daemon/web/page_priv.h"

const char *mood_class(enum mood m)
{
	static const char *const names[] = {
		[MOOD_GOOD] = "good", [MOOD_BUSY] = "busy",
		[MOOD_WARN] = "warn", [MOOD_BAD] = "bad",
		[MOOD_NONE] = "none",
	};

	return names[m];
}

bool page_is_down(const struct web_destination *d)
{
	return d->state.is_down || d->state.braked != NULL;
}

void page_open(struct buf *out, const char *id, const char *title)
{
	buf_addf(out,
		 "<section aria-labelledby=\"%s\">\n<h2 id=\"%s\">%s</h2>\n",
		 id, id, title);
}

void page_close(struct buf *out)
{
	buf_adds(out, "</section>\n");
}

void page_bar(struct buf *out, double share, const char *class)
{
	double w = share < 0 ? 0 : share > 1 ? 1 : share;

	if (share > 0 && w < 0.004)
		w = 0.004; /* something is not nothing */
	buf_addf(out,
		 "<svg class=\"bar %s\" viewBox=\"0 0 100 1\" "
		 "preserveAspectRatio=\"none\" aria-hidden=\"true\">"
		 "<rect class=\"track\" width=\"100\" height=\"1\"/>"
		 "<rect class=\"fill\" width=\"",
		 class);
	html_decimal(out, w * 100, 2);
	buf_adds(out, "\" height=\"1\"/></svg>");
}

enum mood mood_of(const struct web_destination *d)
{
	if (d->state.braked != NULL)
		return MOOD_BAD;
	if (d->state.hold_reason != NULL)
		return MOOD_NONE;
	if (d->state.is_down)
		return MOOD_WARN;
	if (strcmp(d->state.state, "up") != 0)
		return MOOD_NONE;
	return d->messages > d->held ? MOOD_BUSY : MOOD_GOOD;
}

void page_name(struct buf *out, struct span name)
{
	struct span rest = name, host = span_cut(&rest, ' ');

	if (span_eq(span_skip(name, host.n), SPAN_LIT("")) ||
	    !span_starts(rest, SPAN_LIT("tls=")))
		host = name;
	buf_adds(out, "<bdi><b>");
	html_text_cut(out, host, 120);
	buf_adds(out, "</b></bdi>");
	if (host.n == name.n)
		return;
	buf_adds(out, " <span class=\"dim\">");
	html_text_cut(out, rest, 40);
	buf_adds(out, "</span>");
}
