#include "common/smtp/routed.h"

static bool is_host_char(char c)
{
	const char lower = ascii_lower(c);

	return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || (unsigned char)c > 127;
}

/* A name without a dot is nobody's on the Internet. */
static bool has_host(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '[' ||
		    (s.p[i] == '.' && i > 0 && is_host_char(s.p[i - 1]) &&
		     i + 1 < s.n && is_host_char(s.p[i + 1])))
			return true;
	return false;
}

bool smtp_is_routed(struct span local)
{
	for (size_t i = 0; i < local.n; i++) {
		const char c = local.p[i];

		if ((c == '!' && has_host(span_of(local.p, i))) ||
		    ((c == '%' || c == '@') && has_host(span_skip(local, i))))
			return true;
	}
	return false;
}
