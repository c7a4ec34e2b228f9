#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/buf.h"
#include "common/base/events.h"
#include "common/base/metrics.h"
#include "daemon/web/exposition.h"

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

/* Every family that is served has its entry, with the help it has there. */
Test(manual, metrics_are_those_that_are_served)
{
	struct buf manual = { 0 }, served = { 0 }, want = { 0 };
	struct web_facts f = { 0 };
	struct span rest;
	size_t n = 0;

	read_manual(&manual);
	buf_cstr(&manual);
	exposition_make(&served, &f, EXPOSITION_TEXT);
	for (rest = buf_span(&served); rest.n > 0;) {
		struct span line = span_cut(&rest, '\n');
		struct span name;

		if (!span_starts(line, SPAN_LIT("# HELP ")))
			continue;
		line = span_skip(line, 7);
		name = span_cut(&line, ' ');
		buf_reset(&want);
		buf_addf(&want, "\n.It Ic %.*s", SPAN_ARG(name));
		const char *entry = strstr(manual.p, buf_cstr(&want));

		cr_assert_not_null(entry, "%.*s", SPAN_ARG(name));
		entry = strchr(entry + 1, '\n');
		buf_reset(&want);
		buf_addf(&want, "\n%.*s\n", SPAN_ARG(line));
		cr_expect_eq(strncmp(entry, buf_cstr(&want), want.n), 0,
			     "%.*s", SPAN_ARG(name));
		n++;
	}
	cr_expect_gt(n, METRIC_COUNT);
	buf_fini(&manual);
	buf_fini(&served);
	buf_fini(&want);
}
