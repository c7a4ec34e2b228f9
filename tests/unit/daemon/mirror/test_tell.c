/* The mirror's state as JSON: what mx20ctl and programs build on. */
#include <criterion/criterion.h>

#include "common/base/clock.h"
#include "common/control/control.h"
#include "daemon/mirror/tell.h"

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

Test(mirror_tell, the_whole)
{
	const struct config c = { .mirror.lease_ms = SECONDS(30) };
	const struct mirror_status s = {
		.state = MIRROR_AWAY,
		.since_ms = SECONDS(1700000000),
		.node = "mx2a",
		.refuses = true,
		.lag_messages = 7,
		.lag_oldest_ms = SECONDS(1700000000),
		.lease_ms = -1, /* just over: not 0, which would be left */
		.error = "no \xff answer",
	};
	json_t *o = mirror_tell(&s, &c);
	const json_t *lag = json_object_get(o, "lag");

	cr_expect_str_eq(text(o, "state"), mirror_state_name(MIRROR_AWAY));
	cr_expect_str_eq(text(o, "since"), "2023-11-14T22:13:20Z");
	cr_expect_str_eq(text(o, "node"), "mx2a");
	cr_expect_str_eq(text(o, "when_away"), "refuse");
	cr_expect_str_eq(text(o, "error"), "no \xef\xbf\xbd answer");
	cr_expect_eq(control_get_int(o, "lease_left_s", 9), -1);
	cr_expect_eq(control_get_int(o, "lease_s", 9), 30);
	cr_expect_eq(control_get_int(lag, "messages", 0), 7);
	cr_expect_str_eq(text(lag, "oldest"), "2023-11-14T22:13:20Z");
	json_decref(o);
}

Test(mirror_tell, what_there_is_not_is_null)
{
	const struct config c = { 0 };
	const struct mirror_status s = { 0 };
	json_t *o = mirror_tell(&s, &c);

	cr_expect(json_is_null(json_object_get(o, "error")));
	cr_expect(json_is_null(json_object_get(o, "since")));
	cr_expect(json_is_null(
		json_object_get(json_object_get(o, "lag"), "oldest")));
	json_decref(o);
}

Test(mirror_tell, nodes)
{
	const struct mirror_status s = {
		.node_count = 4,
		.nodes = { { .name = "a", .is_self = true, .lease_ms = 1500 },
			   { .name = "b", .lease_ms = -1500, .messages = 3 },
			   { .name = "c", .lease_ms = -1, .is_given = true },
			   { .name = "d", .has_left = true, .taken = 2,
			     .taken_by = "a" } },
	};
	static const char *const states[] = { "alive", "over", "given",
					      "left" };
	static const int left_s[] = { 2, -2, -1, 0 };
	json_t *list = mirror_tell_nodes(&s);

	cr_assert_eq(json_array_size(list), 4u);
	for (size_t i = 0; i < 4; i++) {
		const json_t *o = json_array_get(list, i);

		cr_expect_str_eq(text(o, "state"), states[i]);
		cr_expect_eq(control_get_int(o, "lease_left_s", 9), left_s[i]);
		cr_expect_eq(control_get_bool(o, "self"), i == 0);
	}
	cr_expect_str_eq(text(json_array_get(list, 3), "taken_by"), "a");
	cr_expect(json_is_null(
		json_object_get(json_array_get(list, 1), "taken_by")));
	json_decref(list);
}

Test(mirror_tell, an_overview_without_a_mirror_says_nothing)
{
	const struct config c = { 0 };
	json_t *o = json_object();

	mirror_tell_into(o, NULL, &c);
	cr_expect_eq(json_object_size(o), 0u);
	json_decref(o);
}

Test(mirror_tell, who_is_lost)
{
	const struct config c = { 0 };
	struct mirror_status s = {
		.state = MIRROR_STEP,
		.node_count = 7,
		.nodes = { { .name = "f", .lease_ms = -1, .is_stopped = true },
			   { .name = "a", .is_self = true, .lease_ms = -1 },
			   { .name = "b", .lease_ms = -44000, .messages = 3 },
			   { .name = "c", .lease_ms = -1, .is_given = true },
			   { .name = "d", .lease_ms = -1, .has_left = true },
			   { .name = "e", .lease_ms = -1 }, /* its old disk */
			   { .name = "e", .lease_ms = 1 } },
	};
	json_t *o = mirror_tell(&s, &c), *lost = json_object_get(o, "lost");

	cr_assert_eq(json_array_size(lost), 1u);
	cr_expect_str_eq(text(json_array_get(lost, 0), "node"), "b");
	cr_expect_eq(control_get_int(json_array_get(lost, 0), "over_s", 0), 44);
	cr_expect_eq(json_array_size(json_object_get(o, "doubled")), 0u);
	json_decref(o);
	s.state = MIRROR_AWAY; /* old news */
	o = mirror_tell(&s, &c);
	cr_expect_eq(json_array_size(json_object_get(o, "lost")), 0u);
	json_decref(o);
}

Test(mirror_tell, two_of_one_name)
{
	const struct config c = { 0 };
	const struct mirror_status s = {
		.state = MIRROR_STEP,
		.node_count = 2,
		.nodes = { { .name = "a", .is_self = true, .lease_ms = 9 },
			   { .name = "a", .lease_ms = 9 } },
	};
	json_t *o = mirror_tell(&s, &c);
	const json_t *doubled = json_object_get(o, "doubled");

	cr_assert_eq(json_array_size(doubled), 1u);
	cr_expect_str_eq(json_string_value(json_array_get(doubled, 0)), "a");
	json_decref(o);
}
