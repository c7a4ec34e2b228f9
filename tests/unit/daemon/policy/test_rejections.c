/* Refusals by line of the allowlist, in bounded memory. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "daemon/policy/rejections.h"

static uint64_t sum;
static unsigned reasons;

static void on_count(const char *reason, uint64_t n, void *arg)
{
	(void)reason;
	(void)arg;
	sum += n;
	reasons++;
}

static uint64_t count(const struct rejections *r, const char *name)
{
	sum = reasons = 0;
	rejections_each(r, span_str(name), on_count, NULL);
	return sum;
}

Test(rejections, lines_beyond_the_last_are_not_counted)
{
	struct rejections *r = rejections_new();
	char name[32];

	for (int i = 0; i < REJECTIONS_LINES + 10; i++) {
		snprintf(name, sizeof(name), "d%d.example", i);
		rejections_add(r, span_str(name), "quota");
	}
	cr_expect_eq(count(r, "d0.example"), 1);
	cr_expect_eq(count(r, name), 0);
	rejections_add(r, SPAN_LIT("d0.example"), "quota");
	cr_expect_eq(count(r, "d0.example"), 2);
	rejections_free(&r);
	cr_expect_null(r);
}

Test(rejections, so_are_reasons)
{
	static char names[REJECTIONS_REASONS + 2][8];
	struct rejections *r = rejections_new();

	for (int i = 0; i < REJECTIONS_REASONS + 2; i++) {
		snprintf(names[i], sizeof(names[i]), "r%d", i);
		rejections_add(r, SPAN_LIT("example.com"), names[i]);
	}
	cr_expect_eq(count(r, "example.com"), REJECTIONS_REASONS);
	cr_expect_eq(reasons, REJECTIONS_REASONS);
	rejections_free(&r);
}
