#include "tests/support/naive.h"

size_t naive_decode(struct span wire, bool dots, struct buf *out, bool *ended)
{
	bool line_start = true;
	size_t i = 0;

	*ended = false;
	while (i < wire.n) {
		struct span rest = span_skip(wire, i);

		if (dots && line_start &&
		    span_starts(rest, SPAN_LIT(".\r\n"))) {
			*ended = true;
			return i + 3;
		}
		if (dots && line_start && rest.p[0] == '.') {
			line_start = false;
			i++;
			continue;
		}
		line_start = span_starts(rest, SPAN_LIT("\r\n"));
		if (line_start || rest.p[0] == '\n')
			buf_adds(out, "\r\n");
		else
			buf_addc(out, rest.p[0] == '\r' ? ' ' : rest.p[0]);
		i += line_start ? 2 : 1;
	}
	return wire.n;
}

static bool is_line_byte(char c)
{
	return c == '\r' || c == '\n';
}

bool naive_ends_early(struct span encoded)
{
	for (size_t i = 0; i + 3 < encoded.n; i++)
		if ((i == 0 || is_line_byte(encoded.p[i - 1])) &&
		    encoded.p[i] == '.' && is_line_byte(encoded.p[i + 1]))
			return true;
	return false;
}
