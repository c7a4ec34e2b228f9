/* How full the spool was, as pictures: a day, and as long as is known. */
#include "common/base/clock.h"
#include "daemon/web/page_priv.h"

enum { WIDE = 1000, HIGH = 100, COLUMNS = 360 };

/* What a picture shows. */
struct plot {
	const struct web_facts *f;
	int64_t from_ms, to_ms;
	int64_t gap_ms;	 /* longer without a sample: nobody was there */
	uint64_t peak;	 /* the most that was used */
	uint64_t top;	 /* of the picture, in bytes */
	bool shows_size; /* the size is within it */
};

/* The fullest of what falls into one column. */
struct column {
	double x;
	uint64_t used;
	bool is_after_gap;
};

static double x_of(const struct plot *p, int64_t at_ms)
{
	return (double)(at_ms - p->from_ms) * WIDE /
	       (double)(p->to_ms - p->from_ms);
}

static double y_of(const struct plot *p, uint64_t used)
{
	return HIGH - (double)used * HIGH / (double)p->top;
}

static struct curve_sample sample_at(const struct web_facts *f, size_t i)
{
	if (i < f->curve_count)
		return f->curve[i];
	return (struct curve_sample){ f->now_ms, f->totals.space.used_bytes,
				      f->totals.messages }; /* now */
}

static size_t first_in(const struct plot *p)
{
	size_t i = 0;

	while (i < p->f->curve_count && p->f->curve[i].at_ms < p->from_ms)
		i++;
	return i;
}

/* The size is in the picture if the curve is not flat then. */
static void scale(struct plot *p)
{
	uint64_t size = p->f->totals.space.size_bytes;

	for (size_t i = first_in(p); i <= p->f->curve_count; i++) {
		uint64_t used = sample_at(p->f, i).used_bytes;

		if (used > p->peak)
			p->peak = used;
	}
	p->shows_size = p->peak >= size / 5 && size > 0;
	p->top = p->peak + p->peak / 5 + 1;
	if (p->shows_size && p->top < size + size / 20)
		p->top = size + size / 20;
}

static size_t columns_of(const struct plot *p, struct column *out)
{
	int64_t last_ms = INT64_MAX;
	size_t n = 0;

	for (size_t i = first_in(p); i <= p->f->curve_count; i++) {
		struct curve_sample s = sample_at(p->f, i);
		double x = x_of(p, s.at_ms);
		bool gap = n == 0 || s.at_ms - last_ms > p->gap_ms;

		if (x > WIDE) /* a clock was set */
			x = WIDE;
		last_ms = s.at_ms;
		if (n > 0 && !gap &&
		    (int)(x * COLUMNS / WIDE) ==
			    (int)(out[n - 1].x * COLUMNS / WIDE)) {
			if (s.used_bytes > out[n - 1].used)
				out[n - 1].used = s.used_bytes;
			continue;
		}
		if (n == 2 * COLUMNS)
			break;
		out[n++] = (struct column){ x, s.used_bytes, gap };
	}
	return n;
}

static void point(struct buf *out, char letter, double x, double y)
{
	buf_addc(out, letter);
	html_decimal(out, x, 1);
	buf_addc(out, ' ');
	html_decimal(out, y, 1);
}

static void draw_line(struct buf *out, const struct plot *p,
		      const struct column *c, size_t n)
{
	buf_adds(out, "<path class=\"line\" d=\"");
	for (size_t i = 0; i < n; i++)
		point(out, c[i].is_after_gap ? 'M' : 'L', c[i].x,
		      y_of(p, c[i].used));
	buf_adds(out, "\"/>");
}

static void draw_area(struct buf *out, const struct plot *p,
		      const struct column *c, size_t n)
{
	buf_adds(out, "<path class=\"area\" d=\"");
	for (size_t i = 0; i < n; i++) {
		if (c[i].is_after_gap)
			point(out, 'M', c[i].x, HIGH);
		point(out, 'L', c[i].x, y_of(p, c[i].used));
		if (i + 1 == n || c[i + 1].is_after_gap) {
			point(out, 'L', c[i].x, HIGH);
			buf_addc(out, 'Z');
		}
	}
	buf_adds(out, "\"/>");
}

static void draw_grid(struct buf *out, const struct plot *p)
{
	for (int i = 1; i < 4; i++)
		buf_addf(out, "<path class=\"grid\" d=\"M%d 0V%dM0 %dH%d\"/>",
			 WIDE * i / 4, HIGH, HIGH * i / 4, WIDE);
	if (!p->shows_size)
		return;
	buf_adds(out, "<path class=\"limit\" d=\"M0 ");
	html_decimal(out, y_of(p, p->f->totals.space.size_bytes), 1);
	buf_addf(out, "H%d\"/>", WIDE);
}

static void add_words(struct buf *out, const struct plot *p, const char *title)
{
	uint64_t size = p->f->totals.space.size_bytes;

	buf_addf(out, "<figcaption><b>%s</b> <span class=\"dim\">at most ",
		 title);
	html_size(out, p->peak);
	if (size > 0) {
		buf_adds(out, ", ");
		html_decimal(out, (double)p->peak * 100 / (double)size,
			     p->peak < size / 10 ? 1 : 0);
		buf_adds(out, " % of its size, ");
		html_size(out, size);
	}
	buf_adds(out, "</span></figcaption>");
}

static void add_axis(struct buf *out, const struct plot *p)
{
	buf_adds(out, "<p class=\"axis\" aria-hidden=\"true\"><span>");
	html_time(out, p->from_ms);
	buf_adds(out, "</span><span>");
	html_time(out, p->from_ms + (p->to_ms - p->from_ms) / 2);
	buf_adds(out, "</span><span>now</span></p>");
}

static void add_picture(struct buf *out, struct plot *p, const char *title)
{
	struct column columns[2 * COLUMNS];
	size_t n;

	scale(p);
	n = columns_of(p, columns);
	buf_adds(out, "<figure>");
	add_words(out, p, title);
	buf_adds(out, "<div class=\"plot\"><p class=\"scale dim\" "
		      "aria-hidden=\"true\"><span>");
	html_size(out, p->shows_size ? p->f->totals.space.size_bytes : p->top);
	buf_addf(out,
		 "</span><span>0</span></p><svg viewBox=\"0 0 %d %d\" "
		 "preserveAspectRatio=\"none\" role=\"img\" aria-label=\"%s\">",
		 WIDE, HIGH, title);
	draw_grid(out, p);
	draw_area(out, p, columns, n);
	draw_line(out, p, columns, n);
	buf_adds(out, "</svg></div>");
	add_axis(out, p);
	buf_adds(out, "</figure>\n");
}

static void add_longer(struct buf *out, const struct web_facts *f)
{
	/* as long as is known, in steps that people count in */
	static const struct {
		int64_t ms;
		const char *title;
	} spans[] = {
		{ DAYS(7), "The last week" },
		{ DAYS(31), "The last month" },
		{ DAYS(366), "The last year" },
	};
	int64_t known_ms = f->now_ms - f->curve[0].at_ms;
	size_t i = 0;

	while (i < 2 && known_ms > spans[i].ms)
		i++;
	add_picture(out,
		    &(struct plot){ .f = f,
				    .from_ms = f->now_ms - spans[i].ms,
				    .to_ms = f->now_ms,
				    .gap_ms = HOURS(3) },
		    spans[i].title);
}

void page_curve(struct buf *out, const struct web_facts *f)
{
	page_open(out, "curve", "The spool over time");
	if (f->curve_count == 0) {
		buf_adds(out, "<p class=\"empty\">The curve begins now: there "
			      "is a point for each minute.</p>\n");
		page_close(out);
		return;
	}
	buf_adds(out, "<div class=\"pair\">\n");
	add_picture(out,
		    &(struct plot){ .f = f,
				    .from_ms = f->now_ms - DAYS(1),
				    .to_ms = f->now_ms,
				    .gap_ms = MINUTES(10) },
		    "The last day");
	if (f->now_ms - f->curve[0].at_ms > DAYS(1))
		add_longer(out, f);
	buf_adds(out, "</div>\n");
	page_close(out);
}
