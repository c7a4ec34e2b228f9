#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/buf.h"
#include "common/base/events.h"

static const struct {
	const char *name, *help;
} events[] = {
#define ROW(id, name, help) { name, help },
	LOG_EVENTS(ROW)
#undef ROW
};

static void read_manual(struct buf *out)
{
	FILE *f = fopen("daemon/mx20d.8", "r"); /* tests run at the top */
	size_t n;

	cr_assert_not_null(f);
	do {
		n = fread(buf_reserve(out, 4096), 1, 4096, f);
		out->n += n;
	} while (n > 0);
	fclose(f);
}

/* mx20d(8) has the events of common/base/events.h: all, in order, no other. */
Test(manual, events_are_those_of_the_log)
{
	struct buf manual = { 0 }, want = { 0 };
	const char *log, *list, *end;

	read_manual(&manual);
	log = strstr(buf_cstr(&manual), "\n.Sh LOG\n");
	cr_assert_not_null(log);
	list = strstr(log, "\n.It Sy ");
	cr_assert_not_null(list);
	end = strstr(list, "\n.El\n");
	cr_assert_not_null(end);
	for (size_t i = 0; i < COUNT(events); i++)
		buf_addf(&want, "\n.It Sy %s\n%s", events[i].name,
			 events[i].help);
	manual.p[end - manual.p] = '\0';
	cr_expect_str_eq(list, buf_cstr(&want));
	buf_fini(&manual);
	buf_fini(&want);
}
