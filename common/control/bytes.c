/* Bytes that are no text, as text: base 64. */
#include "common/control/control.h"

#include "common/base/assert.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "abcdefghijklmnopqrstuvwxyz0123456789+/";

static unsigned byte_at(struct span s, size_t i)
{
	return i < s.n ? (unsigned char)s.p[i] : 0;
}

json_t *control_bytes(struct span s)
{
	struct buf text = { 0 };
	json_t *value;

	for (size_t i = 0; i < s.n; i += 3) {
		unsigned three = byte_at(s, i) << 16 | byte_at(s, i + 1) << 8 |
				 byte_at(s, i + 2);

		buf_addc(&text, digits[three >> 18]);
		buf_addc(&text, digits[three >> 12 & 63]);
		buf_addc(&text, i + 1 < s.n ? digits[three >> 6 & 63] : '=');
		buf_addc(&text, i + 2 < s.n ? digits[three & 63] : '=');
	}
	value = json_stringn(buf_cstr(&text), text.n);
	MX_ASSERT(value != NULL);
	buf_fini(&text);
	return value;
}

static bool add_three(struct buf *out, const char *four, size_t pads)
{
	unsigned three = 0;

	for (size_t i = 0; i < 4; i++) {
		const char *at = i < 4 - pads && four[i] != '\0'
					 ? strchr(digits, four[i])
					 : NULL;

		if (at == NULL && i < 4 - pads)
			return false;
		three = three << 6 | (at != NULL ? (unsigned)(at - digits) : 0);
	}
	for (size_t i = 0; i < 3 - pads; i++)
		buf_addc(out, (char)(three >> (16 - 8 * i) & 0xff));
	return true;
}

static size_t pads_of(struct span s)
{
	if (s.n == 0 || s.p[s.n - 1] != '=')
		return 0;
	return s.p[s.n - 2] == '=' ? 2 : 1;
}

bool control_get_bytes(const json_t *object, const char *key, struct buf *out)
{
	struct span s = control_get_text(object, key);
	size_t had = out->n;

	if (s.n % 4 != 0 || !json_is_string(json_object_get(object, key)))
		return false;
	for (; s.n > 0; s = span_skip(s, 4)) {
		if (add_three(out, s.p, s.n == 4 ? pads_of(s) : 0))
			continue;
		out->n = had;
		return false;
	}
	return true;
}
