#include "daemon/web/exposition.h"

#include "common/base/assert.h"
#include "common/base/utf8.h"

/* ---- Words ---- */

static const char *const type_names[] = {
	[METRIC_COUNTER] = "counter",
	[METRIC_GAUGE] = "gauge",
	[METRIC_HISTOGRAM] = "histogram",
};

/* What units there are, by the end of a name. */
static const char *unit_of(struct span family)
{
	static const char *const units[] = { "seconds", "bytes" };

	for (size_t i = 0; i < COUNT(units); i++) {
		struct span unit = span_str(units[i]);

		if (family.n > unit.n &&
		    family.p[family.n - unit.n - 1] == '_' &&
		    span_eq(span_skip(family, family.n - unit.n), unit))
			return units[i];
	}
	return NULL;
}

/* A counter's family has not the ending of its samples in OpenMetrics. */
static struct span family_of(const char *name, enum exposition how)
{
	struct span s = span_str(name), total = SPAN_LIT("_total");

	if (how == EXPOSITION_OPENMETRICS && s.n > total.n &&
	    span_eq(span_skip(s, s.n - total.n), total))
		s.n -= total.n;
	return s;
}

static void add_head(struct buf *out, const char *name, const char *help,
		     enum metric_kind kind, enum exposition how)
{
	struct span family = family_of(name, how);
	const char *unit = unit_of(family);

	buf_addf(out, "# HELP %.*s %s\n", SPAN_ARG(family), help);
	buf_addf(out, "# TYPE %.*s %s\n", SPAN_ARG(family), type_names[kind]);
	if (how == EXPOSITION_OPENMETRICS && unit != NULL)
		buf_addf(out, "# UNIT %.*s %s\n", SPAN_ARG(family), unit);
}

/* Neither control characters nor what turns the direction of text, nor what is
 * no UTF-8, whoever reads it. */
static void add_label(struct buf *out, struct span s)
{
	while (s.n > 0) {
		size_t n = utf8_char(s);
		char c = s.p[0];

		if (n == 0 || utf8_bidi(s, n) != 0 || (unsigned char)c < ' ' ||
		    c == 0x7f)
			buf_adds(out, "\xef\xbf\xbd");
		else if (c == '"' || c == '\\')
			buf_addf(out, "\\%c", c);
		else
			buf_add(out, span_of(s.p, n));
		s = span_skip(s, n > 0 ? n : 1);
	}
}

/* ---- The table of metrics ---- */

static void add_plain(struct buf *out, const struct metric *row,
		      const uint64_t *numbers)
{
	if (row->labels == NULL) {
		buf_addf(out, "%s ", row->name);
		buf_addu(out, numbers[0]);
		buf_addc(out, '\n');
		return;
	}
	for (size_t i = 0; i < row->count; i++) {
		buf_addf(out, "%s{%s} ", row->name, row->labels[i]);
		buf_addu(out, numbers[i]);
		buf_addc(out, '\n');
	}
}

/* In seconds, exactly: 250 of a million are 0.00025.  Bounds in OpenMetrics are
 * floats in their canonical form: "1.0". */
static void add_seconds(struct buf *out, uint64_t value, uint64_t unit)
{
	buf_addf(out, "%llu.", (unsigned long long)(value / unit));
	value %= unit;
	do {
		value *= 10;
		buf_addc(out, (char)('0' + value / unit));
		value %= unit;
	} while (value > 0);
}

static void add_histogram(struct buf *out, enum metric_id id,
			  const struct metrics *m)
{
	const struct metric *row = metric_get(id);
	uint64_t unit = (uint64_t)row->unit;

	for (size_t i = 0; i <= row->count; i++) {
		buf_addf(out, "%s_bucket{le=\"", row->name);
		if (i < row->count)
			add_seconds(out, (uint64_t)row->bounds[i], unit);
		else
			buf_adds(out, "+Inf");
		buf_addf(out, "\"} %llu\n",
			 (unsigned long long)metrics_up_to(m, id, i));
	}
	buf_addf(out, "%s_sum ", row->name);
	add_seconds(out, metrics_sum(m, id), unit);
	buf_addf(out, "\n%s_count %llu\n", row->name,
		 (unsigned long long)metrics_up_to(m, id, row->count));
}

static void add_metric(struct buf *out, const struct web_facts *f,
		       enum metric_id id, enum exposition how)
{
	const struct metric *row = metric_get(id);

	add_head(out, row->name, row->help, row->kind, how);
	if (row->kind == METRIC_HISTOGRAM)
		add_histogram(out, id, &f->metrics);
	else if (id != METRIC_CERTIFICATE || f->metrics.numbers[id][0] != 0)
		add_plain(out, row, f->metrics.numbers[id]);
}

/* ---- Destinations ---- */

static bool is_down(const struct status_destination *d)
{
	return d->is_down || d->braked != NULL;
}

/* Neither up nor down is not known: then there is no number. */
static bool up(const struct web_facts *f, const struct web_destination *d,
	       int64_t *out)
{
	(void)f;
	*out = !is_down(&d->state);
	return is_down(&d->state) || strcmp(d->state.state, "up") == 0;
}

static bool messages(const struct web_facts *f, const struct web_destination *d,
		     int64_t *out)
{
	(void)f;
	*out = (int64_t)d->messages;
	return true;
}

static bool down_seconds(const struct web_facts *f,
			 const struct web_destination *d, int64_t *out)
{
	const struct braked *b = d->state.braked;
	int64_t since_ms = b != NULL ? b->since_ms : d->state.since_ms;

	*out = 0;
	if (is_down(&d->state) && since_ms > 0 && f->now_ms > since_ms)
		*out = (f->now_ms - since_ms) / 1000;
	return true;
}

/* clang-format off */
static const struct {
	const char *name, *help;
	bool (*value)(const struct web_facts *f, const struct web_destination *d,
		      int64_t *out);
} by_destination[] = {
	{ "mx20_destination_up",
	  "1: it answers; 0: it is down, or its brake is pulled.", up },
	{ "mx20_destination_messages",
	  "Messages that wait for it.", messages },
	{ "mx20_destination_down_seconds",
	  "How long it has been down; 0: it is not.", down_seconds },
};
/* clang-format on */

static void add_sample(struct buf *out, const char *name, struct span label,
		       int64_t v)
{
	buf_addf(out, "%s{destination=\"", name);
	add_label(out, label);
	buf_addf(out, "\"} %lld\n", (long long)v);
}

/* Whoever makes us send reports chooses their names, a new one each time, and a
 * label is kept for good by whoever reads it: so they have one together. */
static void add_destinations(struct buf *out, const struct web_facts *f,
			     size_t which, enum exposition how)
{
	const char *name = by_destination[which].name;
	int64_t v, strangers = 0;

	add_head(out, name, by_destination[which].help, METRIC_GAUGE, how);
	for (size_t i = 0; i < f->destination_count && i < WEB_LABELLED; i++) {
		const struct web_destination *d = &f->destinations[i];

		if (d->state.is_strangers)
			strangers += (int64_t)d->messages;
		else if (by_destination[which].value(f, d, &v))
			add_sample(out, name, d->name, v);
	}
	if (strangers > 0 && by_destination[which].value == messages)
		add_sample(out, name, SPAN_LIT("(not listed)"), strangers);
}

void exposition_make(struct buf *out, const struct web_facts *f,
		     enum exposition how)
{
	for (unsigned id = 0; id < METRIC_COUNT; id++)
		add_metric(out, f, id, how);
	for (size_t i = 0; i < COUNT(by_destination); i++)
		add_destinations(out, f, i, how);
	add_head(out, "mx20_build_info", "The version that runs.", METRIC_GAUGE,
		 how);
	buf_adds(out, "mx20_build_info{version=\"" MX_VERSION "\"} 1\n");
	/* for the other it is a comment */
	buf_adds(out, "# EOF\n");
}

/* ---- Which of them ---- */

/* Does it say q=0, which is: not this one? */
static bool is_refused(struct span params)
{
	while (params.n > 0) {
		struct span p = span_trim(span_cut(&params, ';'));

		if (span_istarts(p, SPAN_LIT("q=0")))
			return strspn(p.p + 3, ".0") == p.n - 3;
	}
	return false;
}

enum exposition exposition_wanted(const char *accept)
{
	struct span rest = span_str(accept != NULL ? accept : "");

	while (rest.n > 0) {
		struct span params = span_cut(&rest, ',');
		struct span type = span_trim(span_cut(&params, ';'));

		if (span_ieq(type, SPAN_LIT("application/openmetrics-text")) &&
		    !is_refused(params))
			return EXPOSITION_OPENMETRICS;
	}
	return EXPOSITION_TEXT;
}
