#include "common/status/curve.h"

#include "common/base/clock.h"

enum { HOUR_DIGITS = 8 };

int64_t curve_hour(int64_t wall_ms)
{
	return wall_ms > 0 ? wall_ms / HOURS(1) : 0;
}

void curve_key(struct buf *out, int64_t hour)
{
	buf_add(out, CURVE_PREFIX);
	buf_addf(out, "%08llx", (unsigned long long)hour);
}

static int digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *p = c != '\0' ? strchr(digits, c) : NULL;

	return p != NULL ? (int)(p - digits) : -1;
}

bool curve_key_get(struct span key, int64_t *hour)
{
	struct span digits = span_skip(key, CURVE_PREFIX.n);
	int64_t v = 0;

	if (!span_starts(key, CURVE_PREFIX) || digits.n != HOUR_DIGITS)
		return false;
	for (size_t i = 0; i < digits.n; i++) {
		int d = digit(digits.p[i]);

		if (d < 0)
			return false;
		v = v * 16 + d;
	}
	*hour = v;
	return true;
}

void curve_put(struct buf *value, const struct curve_sample *s)
{
	buf_addf(value, "%02d %llu %llu\n",
		 (int)(s->at_ms % HOURS(1) / MINUTES(1)),
		 (unsigned long long)s->used_bytes,
		 (unsigned long long)s->messages);
}

bool curve_next(struct span *value, int64_t hour, struct curve_sample *out)
{
	struct span line = span_cut(value, '\n');
	uint64_t minute;

	if (!span_u64(span_cut(&line, ' '), &minute) || minute > 59 ||
	    !span_u64(span_cut(&line, ' '), &out->used_bytes) ||
	    !span_u64(line, &out->messages))
		return false;
	out->at_ms = hour * HOURS(1) + (int64_t)minute * MINUTES(1);
	return true;
}

bool curve_condense(struct buf *out, int64_t hour, struct span value)
{
	struct curve_sample s, fullest = { 0 };
	unsigned n = 0;

	while (curve_next(&value, hour, &s))
		if (n++ == 0 || s.used_bytes > fullest.used_bytes)
			fullest = s;
	if (n > 0)
		curve_put(out, &fullest);
	return n > 1;
}
