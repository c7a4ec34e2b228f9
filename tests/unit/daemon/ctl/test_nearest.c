#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/ctl/nearest.h"

Test(nearest, counts_what_is_wrong)
{
	static const struct {
		const char *word, *other;
		unsigned distance;
		int is_near;
	} cases[] = {
		{ "status", "status", 0, 1 },  { "stauts", "status", 1, 1 },
		{ "statsu", "status", 1, 1 },  { "statu", "status", 1, 1 },
		{ "sttaus", "status", 1, 1 },  { "statuss", "status", 1, 1 },
		{ "qeue", "queue", 1, 1 },     { "queu", "queue", 1, 1 },
		{ "hodl", "hold", 1, 1 },      { "re", "route", 3, 0 },
		{ "x", "hold", 4, 0 },	       { "", "hold", 4, 0 },
		{ "released", "release", 1, 1 }, { "relaod", "reload", 1, 1 },
		{ "remove", "reload", 3, 0 },  { "hi", "hold", 3, 0 },
		{ "list", "hold", 4, 0 },
		{ "a-word-that-is-longer-than-any-verb-is", "hold",
		  NEAREST_FAR, 0 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		unsigned d = nearest_distance(cases[i].word, cases[i].other);

		cr_expect_eq(d, cases[i].distance, "%s: %u", cases[i].word, d);
		cr_expect_eq(nearest_is_near(cases[i].word, d),
			     cases[i].is_near, "%s", cases[i].word);
	}
}
