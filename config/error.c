#include "config/error.h"

#include <stdio.h>

void config_fail(struct config_errors *e, struct span file, unsigned line,
		 const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (++e->count > CONFIG_ERRORS_LISTED)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_add(&e->text, file);
	if (line > 0)
		buf_addf(&e->text, ":%u", line);
	buf_addf(&e->text, ": %s\n", text);
}

void config_errors_end(struct config_errors *e)
{
	if (e->count > CONFIG_ERRORS_LISTED)
		buf_addf(&e->text, "and %zu more\n",
			 e->count - CONFIG_ERRORS_LISTED);
}

void config_errors_fini(struct config_errors *e)
{
	buf_fini(&e->text);
	e->count = 0;
}
