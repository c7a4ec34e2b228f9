/* The best of an MX set, however large it is: RFC 5321 section 5.1. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "daemon/route/mx_set.h"

/* "a.test" in wire format, behind its preference. */
static struct span record(struct arena *a, unsigned preference, const char *name)
{
	struct span rest = span_str(name);
	struct buf wire = { 0 };
	struct span made;

	buf_addc(&wire, (char)(preference >> 8));
	buf_addc(&wire, (char)preference);
	while (rest.n > 0) {
		struct span label = span_cut(&rest, '.');

		buf_addc(&wire, (char)label.n);
		buf_add(&wire, label);
	}
	buf_addc(&wire, '\0');
	made = arena_span(a, buf_span(&wire));
	buf_fini(&wire);
	return made;
}

struct fixture {
	struct arena arena;
	struct span rdata[3000];
	struct dns_answer answer;
	struct span me;
	struct self self;
	struct mx_record *rows;
	size_t count;
};

static void add(struct fixture *f, unsigned preference, const char *name)
{
	f->rdata[f->answer.count++] = record(&f->arena, preference, name);
}

static void add_many(struct fixture *f, unsigned preference, size_t n)
{
	char name[32];

	for (size_t i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "m%zu.test", i);
		add(f, preference, name);
	}
}

static struct fixture *setup(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	cr_assert_not_null(f);
	f->answer.rdata = f->rdata;
	f->me = SPAN_LIT("me.test");
	f->self = (struct self){ .names = &f->me, .name_count = 1 };
	return f;
}

static void read_set(struct fixture *f)
{
	f->count = mx_set_read(&f->arena, &f->answer, &f->self, &f->rows);
}

static void teardown(struct fixture *f)
{
	arena_reset(&f->arena);
	free(f);
}

static void expect(const struct fixture *f, size_t i, unsigned preference,
		   const char *name)
{
	cr_expect_eq(f->rows[i].preference, preference);
	cr_expect(span_eq(f->rows[i].name, span_str(name)), "%.*s",
		  SPAN_ARG(f->rows[i].name));
}

Test(mx_set, in_order_and_each_name_once)
{
	struct fixture *f = setup();

	add(f, 20, "b.test");
	add(f, 10, "c.test");
	add(f, 20, "a.test");
	add(f, 5, "b.test");
	read_set(f);
	cr_assert_eq(f->count, 3);
	expect(f, 0, 5, "b.test");
	expect(f, 1, 10, "c.test");
	expect(f, 2, 20, "a.test");
	teardown(f);
}

/* The best may come last, and so may we. */
Test(mx_set, the_best_of_thousands)
{
	struct fixture *f = setup();

	add_many(f, 30, 2000);
	add(f, 20, "me.test");
	add(f, 10, "best.test");
	read_set(f);
	cr_assert_eq(f->count, MX_SET_MOST);
	expect(f, 0, 10, "best.test");
	expect(f, 1, 20, "me.test");
	teardown(f);
}

/* Equals of ours fill the set: that they are equal must be seen. */
Test(mx_set, this_host_is_never_left_out)
{
	struct fixture *f = setup();

	add_many(f, 10, 2000);
	add(f, 10, "me.test");
	f->me = SPAN_LIT("zz.test");
	add(f, 10, "zz.test");
	add(f, 20, "zz.test");
	read_set(f);
	cr_assert_eq(f->count, MX_SET_MOST);
	expect(f, MX_SET_MOST - 1, 10, "zz.test");
	teardown(f);
}
