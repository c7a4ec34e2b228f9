#include "daemon/intake/line.h"

static bool has_control(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return true;
	}
	return false;
}

static struct span without_blanks(struct span line)
{
	while (line.n > 0 &&
	       (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
		line.n--;
	return line;
}

/* True when the rest of the long line has gone by. */
static bool skip(struct span in, bool *skipping, size_t *used)
{
	size_t at = span_find(in, '\n');

	*skipping = at == in.n;
	*used = *skipping ? in.n : at + 1;
	return !*skipping;
}

enum line_kind line_cut(struct span in, bool *skipping, struct span *line,
			size_t *used)
{
	size_t before = 0, at;

	*used = 0;
	if (*skipping) {
		if (!skip(in, skipping, used))
			return LINE_MORE;
		before = *used;
		in = span_skip(in, before);
	}
	at = span_find(in, '\n');
	if (at == in.n && in.n < LINE_MAX_BYTES)
		return LINE_MORE;
	if (at == in.n) {
		*skipping = true;
		*used = before + in.n;
		return LINE_LONG;
	}
	*used = before + at + 1;
	if (at + 1 > LINE_MAX_BYTES)
		return LINE_LONG;
	if (at == 0 || in.p[at - 1] != '\r')
		return LINE_BARE;
	*line = without_blanks(span_of(in.p, at - 1));
	return has_control(*line) ? LINE_BARE : LINE_OK;
}
