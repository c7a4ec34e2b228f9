/* xtext, RFC 3461 section 4: any octets as printable ASCII without "+", "="
 * and blanks. */
#include "common/smtp/command.h"

/* Two upper case digits; lower case ones are no xtext. */
static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool smtp_xtext_decode(struct buf *out, struct span xtext)
{
	size_t start = out->n;

	for (size_t i = 0; i < xtext.n; i++) {
		char c = xtext.p[i];

		if (c == '+' && xtext.n - i > 2) {
			int high = hex_digit(xtext.p[i + 1]);
			int low = hex_digit(xtext.p[i + 2]);

			if (high >= 0 && low >= 0) {
				buf_addc(out, (char)(high << 4 | low));
				i += 2;
				continue;
			}
		}
		if (c < 33 || c > 126 || c == '+' || c == '=') {
			out->n = start;
			return false;
		}
		buf_addc(out, c);
	}
	return true;
}
