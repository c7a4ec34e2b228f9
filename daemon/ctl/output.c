/* What every verb needs: a voice, the spool, standard output. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "daemon/ctl/ctl.h"

void ctl_complain(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("mx20ctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

bool ctl_domain(const char *text, struct buf *out)
{
	if (smtp_domain_canon(out, span_str(text)) == MX_OK) {
		buf_cstr(out);
		return true;
	}
	ctl_complain("\"%s\" is not a domain", text);
	return false;
}

static int write_errno; /* of the first write that failed */

bool ctl_write(struct span s)
{
	if (s.n > 0 && fwrite(s.p, 1, s.n, stdout) != s.n && write_errno == 0)
		write_errno = errno;
	return write_errno == 0;
}

static int write_piece(const char *p, size_t n, void *arg)
{
	(void)arg;
	return ctl_write(span_of(p, n)) ? 0 : -1;
}

bool ctl_print_json(json_t *object)
{
	json_dump_callback(object, write_piece, NULL, JSON_COMPACT);
	json_decref(object);
	return ctl_write(SPAN_LIT("\n"));
}

int ctl_flush_output(void)
{
	if (fflush(stdout) != 0 && write_errno == 0)
		write_errno = errno;
	return write_errno;
}
