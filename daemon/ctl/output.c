/* What every verb needs: a voice, the spool, standard output. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/control/control.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/print.h"

size_t ctl_width(FILE *to)
{
	struct winsize size;
	int fd = fileno(to);

	if (!isatty(fd))
		return 0;
	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

void ctl_complain(const char *fmt, ...)
{
	struct buf text = { 0 }, safe = { 0 }, lines = { 0 };
	va_list ap;
	char *said;

	va_start(ap, fmt);
	if (vasprintf(&said, fmt, ap) < 0)
		abort();
	va_end(ap);
	buf_adds(&text, "mx20ctl: ");
	buf_adds(&text, said);
	free(said);
	print_safe(&safe, buf_span(&text));
	print_wrapped(&lines, buf_span(&safe), ctl_width(stderr));
	fflush(stdout);
	fprintf(stderr, "%s\n", buf_cstr(&lines));
	buf_fini(&text);
	buf_fini(&safe);
	buf_fini(&lines);
}

struct span ctl_domain_text(const char *text)
{
	return span_str(text + (text[0] == '@'));
}

bool ctl_domain(const char *text, struct buf *out)
{
	if (smtp_domain_canon(out, ctl_domain_text(text)) == MX_OK) {
		buf_cstr(out);
		return true;
	}
	ctl_complain("\"%s\" is not a domain", text);
	return false;
}

static int write_errno; /* of the first write that failed */

/* What is written, and to whom. */
static enum { AS_TEXT, AS_JSON, AS_IT_IS } form;
static bool is_terminal;
static size_t width;

void ctl_output(struct ctl *ctl)
{
	form = ctl->raw ? AS_IT_IS : ctl->json ? AS_JSON : AS_TEXT;
	is_terminal = isatty(STDOUT_FILENO);
	width = ctl_width(stdout);
	ctl->width = width;
}

static bool put(struct span s)
{
	if (s.n > 0 && fwrite(s.p, 1, s.n, stdout) != s.n && write_errno == 0)
		write_errno = errno;
	return write_errno == 0;
}

/* Whatever a verb has forgotten to clean: no terminal is told what to do. */
static bool write_as(struct span s, size_t columns)
{
	struct buf safe = { 0 }, lines = { 0 };
	bool ok;

	if (form != AS_TEXT && !is_terminal)
		return put(s);
	if (form == AS_JSON)
		print_json_safe(&lines, s);
	else
		print_safe(&safe, s);
	print_wrapped(&lines, buf_span(&safe), columns);
	ok = put(buf_span(&lines));
	buf_fini(&safe);
	buf_fini(&lines);
	return ok;
}

bool ctl_write(struct span s)
{
	return write_as(s, form == AS_TEXT ? width : 0);
}

bool ctl_write_whole(struct span s)
{
	return write_as(s, 0);
}

bool ctl_print_json(json_t *object)
{
	struct buf line = { 0 };
	bool ok;

	control_encode(&line, object);
	ok = ctl_write(buf_span(&line));
	buf_fini(&line);
	return ok;
}

int ctl_flush_output(void)
{
	if (fflush(stdout) != 0 && write_errno == 0)
		write_errno = errno;
	return write_errno;
}

bool ctl_asks(const struct ctl *ctl)
{
	return !ctl->yes && isatty(STDIN_FILENO) == 1;
}

bool ctl_agrees(const struct ctl *ctl, const char *question)
{
	char answer[16];

	if (!ctl_asks(ctl))
		return true;
	fprintf(stderr, "%s [yes/no] ", question);
	if (fgets(answer, sizeof(answer), stdin) == NULL)
		return false;
	return strcmp(answer, "yes\n") == 0 || strcmp(answer, "y\n") == 0;
}
