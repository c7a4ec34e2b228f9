/*
 * The control protocol: lines of JSON.
 *
 * - Lines are taken off one at a time, and nothing else is.
 * - What is decoded encodes to one line that decodes to the same.
 * - Bytes come back from base 64 as they were.
 */
#include "common/control/control.h"

#include "common/base/utf8.h"
#include "tests/fuzz/fuzz.h"

static void check_object(json_t *object)
{
	struct buf line = { 0 };
	struct span in;
	json_t *again;
	enum mx_err err;

	control_get_text(object, "verb");
	control_get_int(object, "count", 0);
	control_get_bool(object, "ok");
	control_encode(&line, json_incref(object));
	in = buf_span(&line);
	FUZZ_CHECK(span_find(in, '\n') == in.n - 1);
	err = control_decode(&in, &again);
	/* escapes may make it longer than it came */
	if (err == MX_OK || line.n <= CONTROL_LINE_MAX) {
		FUZZ_CHECK(err == MX_OK && in.n == 0);
		FUZZ_CHECK(json_equal(object, again));
		json_decref(again);
	}
	buf_fini(&line);
}

static void check_bytes(struct span s)
{
	json_t *o = json_pack("{s:o, s:o}", "b", control_bytes(s), "text",
			      control_text(s));
	struct buf back = { 0 };

	FUZZ_CHECK(control_get_bytes(o, "b", &back));
	FUZZ_CHECK(span_eq(buf_span(&back), s));
	(void)control_get_bytes(o, "text", &back);
	buf_fini(&back);
	json_decref(o);
}

static void check_text(struct span s)
{
	json_t *text = control_text(s);

	FUZZ_CHECK(json_is_string(text));
	FUZZ_CHECK(utf8_valid(
		span_of(json_string_value(text), json_string_length(text))));
	json_decref(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	size_t before;

	check_text(in);
	check_bytes(in);
	do {
		json_t *object = NULL;
		enum mx_err err;

		before = in.n;
		err = control_decode(&in, &object);
		FUZZ_CHECK(err == MX_OK || object == NULL);
		if (err == MX_OK) {
			FUZZ_CHECK(in.n < before && in.p[-1] == '\n');
			check_object(object);
			json_decref(object);
		}
	} while (in.n > 0 && in.n < before);
	return 0;
}
