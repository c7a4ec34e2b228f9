#include "config/value/error.h"

#include <stdio.h>

static void add(struct buf *out, struct span file, unsigned line,
		const char *fmt, va_list ap)
{
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, ap);
	buf_add(out, file);
	if (line > 0)
		buf_addf(out, ":%u", line);
	buf_addf(out, ": %s\n", text);
}

static void add_rest(struct buf *out, size_t count, size_t listed)
{
	if (count > listed)
		buf_addf(out, "and %zu more\n", count - listed);
}

void config_fail(struct config_errors *e, struct span file, unsigned line,
		 const char *fmt, ...)
{
	va_list ap;

	if (++e->count > CONFIG_ERRORS_LISTED)
		return;
	va_start(ap, fmt);
	add(&e->text, file, line, fmt, ap);
	va_end(ap);
}

void config_doubt(struct config_errors *e, struct span file, unsigned line,
		  const char *fmt, ...)
{
	va_list ap;

	if (++e->doubt_count > CONFIG_DOUBTS_LISTED)
		return;
	va_start(ap, fmt);
	add(&e->doubts, file, line, fmt, ap);
	va_end(ap);
}

void config_errors_end(struct config_errors *e)
{
	add_rest(&e->text, e->count, CONFIG_ERRORS_LISTED);
}

void config_doubts_end(struct config_errors *e)
{
	add_rest(&e->doubts, e->doubt_count, CONFIG_DOUBTS_LISTED);
}

void config_errors_fini(struct config_errors *e)
{
	buf_fini(&e->text);
	buf_fini(&e->doubts);
	e->count = e->doubt_count = 0;
}
