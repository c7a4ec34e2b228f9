/* xtext, RFC 3461 section 4: any octets as printable ASCII without "+", "="
 * and blanks; and what RFC 6533 has for characters beyond ASCII. */
#include "common/smtp/command.h"

#include "common/base/utf8.h"

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

/* c is one character of two octets or more. */
static unsigned code_point(struct span c)
{
	unsigned value = (unsigned char)c.p[0] & (0x7fU >> c.n);

	for (size_t i = 1; i < c.n; i++)
		value = value << 6 | ((unsigned char)c.p[i] & 0x3f);
	return value;
}

void smtp_utf8_xtext_add(struct buf *out, struct span address)
{
	while (address.n > 0) {
		size_t n = utf8_char(address);

		if (n > 1)
			buf_addf(out, "\\x{%X}",
				 code_point(span_of(address.p, n)));
		else
			buf_addc(out, n == 1 ? address.p[0] : '?');
		address = span_skip(address, n > 0 ? n : 1);
	}
}
