/* Values that go into requests and answers, and come out of them. */
#include "common/control/control.h"

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/utf8.h"

json_t *control_text(struct span s)
{
	struct buf clean = { 0 };
	json_t *text;

	while (s.n > 0) {
		size_t n = utf8_char(s);

		if (n == 0 || s.p[0] == '\0')
			buf_adds(&clean, "\xef\xbf\xbd");
		else
			buf_add(&clean, (struct span){ s.p, n });
		s = span_skip(s, n > 0 ? n : 1);
	}
	text = json_stringn(buf_cstr(&clean), clean.n);
	MX_ASSERT(text != NULL);
	buf_fini(&clean);
	return text;
}

json_t *control_text_or_null(struct span s)
{
	return s.n > 0 ? control_text(s) : json_null();
}

json_t *control_time(int64_t wall_ms)
{
	struct buf text = { 0 };
	json_t *value;

	if (wall_ms == 0)
		return json_null();
	clock_rfc3339(&text, wall_ms);
	value = json_stringn(buf_cstr(&text), text.n);
	buf_fini(&text);
	return value;
}

struct span control_get_text(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);

	return json_is_string(v)
		       ? span_of(json_string_value(v), json_string_length(v))
		       : (struct span){ "", 0 };
}

int64_t control_get_int(const json_t *object, const char *key, int64_t dflt)
{
	const json_t *v = json_object_get(object, key);

	return json_is_integer(v) ? json_integer_value(v) : dflt;
}

bool control_get_bool(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}
