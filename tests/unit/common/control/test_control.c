#include <criterion/criterion.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/control/control.h"

Test(control, one_line_is_one_object)
{
	struct span in = SPAN_LIT("{\"verb\":\"a\"}\n{\"verb\":\"b\"}\n{\"ver");
	json_t *got;

	cr_assert_eq(control_decode(&in, &got), MX_OK);
	cr_expect(span_eq(control_get_text(got, "verb"), SPAN_LIT("a")));
	json_decref(got);
	cr_assert_eq(control_decode(&in, &got), MX_OK);
	cr_expect(span_eq(control_get_text(got, "verb"), SPAN_LIT("b")));
	json_decref(got);
	cr_assert_eq(control_decode(&in, &got), MX_EBUSY);
	cr_expect_null(got);
	cr_expect(span_eq(in, SPAN_LIT("{\"ver")), "nothing is taken");
}

Test(control, what_is_no_object_is_refused_and_taken)
{
	static const char *const cases[] = {
		"\n",	   "[]\n",
		"\"a\"\n", "{\n",
		"{}{}\n",  "{\"a\":1,}\n",
		"hello\n", "{\"a\":\"\xff\"}\n",
		"null\n",  "{\"a\":1,\"a\":2}\n",
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct span in = span_str(cases[i]);
		json_t *got;

		cr_expect_eq(control_decode(&in, &got), MX_EINVAL, "%s",
			     cases[i]);
		cr_expect_null(got);
		cr_expect_eq(in.n, 0);
	}
}

Test(control, a_line_without_end_is_not_collected_for_ever)
{
	char *line = malloc(CONTROL_LINE_MAX + 2);
	struct span in = { line, CONTROL_LINE_MAX - 1 };
	json_t *got;

	memset(line, 'x', CONTROL_LINE_MAX + 2);
	cr_expect_eq(control_decode(&in, &got), MX_EBUSY);
	for (in.n = CONTROL_LINE_MAX; in.n < CONTROL_LINE_MAX + 2; in.n++)
		cr_expect_eq(control_decode(&in, &got), MX_EINVAL);
	free(line);
}

/* Deep nesting must end in an error, not at the end of the stack. */
Test(control, depth_is_bounded)
{
	char *line = malloc(60001);
	struct span in = { line, 60001 };
	json_t *got;

	memset(line, '[', 60000);
	line[60000] = '\n';
	cr_expect_eq(control_decode(&in, &got), MX_EINVAL);
	free(line);
}

Test(control, encodes_one_line_whatever_the_text)
{
	struct buf out = { 0 };
	struct span in;
	json_t *o, *got;

	o = json_pack("{s:o}", "t", control_text(SPAN_LIT("a\r\nb\"\\\x1b\0")));
	control_encode(&out, o);
	cr_expect_eq(span_find(buf_span(&out), '\n'), out.n - 1);
	in = buf_span(&out);
	cr_assert_eq(control_decode(&in, &got), MX_OK);
	cr_expect(span_eq(control_get_text(got, "t"),
			  SPAN_LIT("a\r\nb\"\\\x1b\xef\xbf\xbd")));
	json_decref(got);
	buf_fini(&out);
}

/* RFC 3629: JSON must be UTF-8, what peers say need not be. */
Test(control, text_becomes_utf8)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "plain", "plain" },
		{ "\xc3\xbc", "\xc3\xbc" },
		{ "\xe2\x82\xac", "\xe2\x82\xac" },
		{ "\xf0\x9f\x93\xa7", "\xf0\x9f\x93\xa7" },
		{ "a\xff", "a\xef\xbf\xbd" },
		{ "\xc3", "\xef\xbf\xbd" },
		{ "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xf4\x90\x80\x80",
		  "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		json_t *v = control_text(span_str(cases[i].in));

		cr_expect_str_eq(json_string_value(v), cases[i].out);
		json_decref(v);
	}
}

Test(control, times_are_rfc3339_or_null)
{
	json_t *v = control_time(1700000000999);

	cr_expect_str_eq(json_string_value(v), "2023-11-14T22:13:20Z");
	json_decref(v);
	cr_expect(json_is_null(control_time(0)));
}

Test(control, members_of_the_wrong_kind_count_as_missing)
{
	json_t *o = json_pack("{s:s, s:i, s:b}", "s", "x", "i", 7, "b", 1);

	cr_expect_eq(control_get_text(o, "i").n, 0);
	cr_expect_eq(control_get_text(o, "none").n, 0);
	cr_expect_eq(control_get_int(o, "i", -1), 7);
	cr_expect_eq(control_get_int(o, "s", -1), -1);
	cr_expect(control_get_bool(o, "b"));
	cr_expect_not(control_get_bool(o, "i"));
	json_decref(o);
}

/* RFC 4648 section 10 has these. */
Test(control, bytes_are_base_64)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
		{ "\xff\xfe\xfd", "//79" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		json_t *v = control_bytes(span_str(cases[i].in));

		cr_expect_str_eq(json_string_value(v), cases[i].out);
		json_decref(v);
	}
}

Test(control, bytes_come_back_whatever_they_are)
{
	char all[259];
	struct buf back = { 0 };

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)i;
	for (size_t n = 0; n <= sizeof(all); n++) {
		json_t *o = json_pack("{s:o}", "b",
				      control_bytes(span_of(all, n)));

		buf_reset(&back);
		cr_expect(control_get_bytes(o, "b", &back));
		cr_expect(span_eq(buf_span(&back), span_of(all, n)), "%zu", n);
		json_decref(o);
	}
	buf_fini(&back);
}

Test(control, what_is_no_base_64_adds_nothing)
{
	static const char *const cases[] = { "Z",    "Zg=",	"Zg==Zg==",
					     "Z===", "====",	"Zm9v!m9v",
					     "=g==", "Zm\xc3\xa9" };
	struct buf out = { 0 };
	json_t *o = json_pack("{s:i}", "i", 7);

	for (size_t i = 0; i < COUNT(cases); i++) {
		json_object_set_new(o, "b", json_string(cases[i]));
		cr_expect_not(control_get_bytes(o, "b", &out), "%s", cases[i]);
		cr_expect_eq(out.n, 0);
	}
	cr_expect_not(control_get_bytes(o, "i", &out));
	cr_expect_not(control_get_bytes(o, "none", &out));
	json_decref(o);
	buf_fini(&out);
}
