#include "common/base/msgid.h"

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void msg_id_add(struct buf *out, uint64_t id)
{
	char *at = buf_reserve(out, MSG_ID_CHARS);

	for (int i = MSG_ID_CHARS - 1; i >= 0; i--, id >>= 5)
		at[i] = digits[id & 31];
	out->n += MSG_ID_CHARS;
}

bool msg_id_parse(struct span text, uint64_t *id)
{
	uint64_t v = 0;

	if (text.n != MSG_ID_CHARS)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		const char *at;

		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		at = c != '\0' ? strchr(digits, c) : NULL;
		/* the first digit holds the top 4 of 64 bits */
		if (at == NULL || (i == 0 && at - digits > 15))
			return false;
		v = v << 5 | (uint64_t)(at - digits);
	}
	*id = v;
	return true;
}
