#include "config/allow/recipients.h"

#include <errno.h>

#include "common/base/utf8.h"
#include "common/smtp/address.h"
#include "config/value/text.h"

struct file {
	struct recipients_reader *r;
	struct set *set;
	struct span path;
};

#define FAIL(f, ...)                                                           \
	config_fail((f)->r->errors, (f)->path, (f)->r->lines->number,          \
		    __VA_ARGS__)

/* Without comment and blanks.  A quoted local part may hold both. */
static struct span strip(struct span line)
{
	bool quoted = false;

	line = span_trim(line);
	for (size_t i = 0; i < line.n; i++) {
		bool blank =
			i == 0 || line.p[i - 1] == ' ' || line.p[i - 1] == '\t';

		if (line.p[i] == '\\' && quoted)
			i++;
		else if (line.p[i] == '"')
			quoted = !quoted;
		else if (line.p[i] == '#' && blank && !quoted)
			line.n = i;
	}
	return span_trim(line);
}

/* That of the row that covers the domain, if it uses this very file. */
static struct use *owner_of(const struct file *f, struct span domain)
{
	const struct domains *d = f->r->d;
	const struct config_domain *pub = domains_find(d, domain);

	return pub == NULL ? NULL
			   : row_use_of(d, domains_row(pub),
					(uint32_t)(f->set - d->sets));
}

static bool parse(struct span text, struct smtp_path *path)
{
	*path = (struct smtp_path){ .local = text };
	return text.n <= SMTP_PATH_MAX &&
	       (smtp_is_local(text, true) ||
		smtp_mailbox_parse(text, true, path) == MX_OK);
}

/* Why it is no recipient. */
static void refuse(struct file *f, struct span line, struct span text)
{
	struct buf what = { 0 };

	if (span_eq(text, SPAN_LIT("*")))
		FAIL(f, "to accept every local part write recipients=* in the "
			"allowlist");
	else if (text_hides(line, text, &what))
		FAIL(f, TEXT_HIDES, buf_cstr(&what));
	else
		FAIL(f, "expected one address or local part, not \"%.*s\"",
		     SPAN_ARG(text));
	buf_fini(&what);
}

static void take_text(struct file *f, struct span line, struct span text)
{
	struct recipients_reader *r = f->r;
	struct use *owner = NULL;
	struct smtp_path path;

	if (span_eq(text, SPAN_LIT("*")) || !parse(text, &path) ||
	    (span_has_8bit(text) && text_hides(line, text, NULL))) {
		refuse(f, line, text);
		return;
	}
	buf_reset(&r->local);
	smtp_local_canon(&r->local, path.local);
	struct span domain = path.domain;
	buf_reset(&r->domain);
	if (domain.n > 0 && smtp_domain_canon(&r->domain, domain) == MX_OK)
		owner = owner_of(f, buf_span(&r->domain));
	if (domain.n > 0 && owner == NULL) {
		FAIL(f, "%.*s: no domain that uses this file covers it",
		     SPAN_ARG(text));
		return;
	}
	if (!set_add(r->d, f->set, buf_span(&r->local), buf_span(&r->domain),
		     owner))
		FAIL(f, "was written to while it was read");
}

/* False: there is no point in reading on. */
static bool take_line(struct file *f, struct span line)
{
	size_t before = f->r->errors->count;
	struct span text = strip(line);

	if (text.n > 0)
		take_text(f, line, text);
	if (f->r->errors->count > before && f->set->used == 0 &&
	    text_is_complaint(text)) {
		FAIL(f, TEXT_COMPLAINT);
		return false;
	}
	if (f->r->lines->is_cut && text.n > 0)
		config_doubt(f->r->errors, f->path, f->r->lines->number,
			     TEXT_CUT, SPAN_ARG(text));
	return true;
}

static void read_lines(struct file *f)
{
	struct lines *l = f->r->lines;
	size_t count;
	struct span line;

	if (!lines_count(l, &count)) {
		FAIL(f, "cannot be read: %s", strerror(errno));
		count = 0;
	}
	if (l->is_utf16) {
		FAIL(f, TEXT_UTF16);
		count = 0;
	}
	if (count >= ROWS_MAX) {
		FAIL(f, "more than %d lines", ROWS_MAX);
		count = 0;
	}
	set_init(f->r->d, f->set, count);
	while (count > 0 && lines_next(l, &line) && take_line(f, line))
		;
	if (l->error != 0)
		FAIL(f, "cannot be read: %s", strerror(l->error));
}

void recipients_read(struct recipients_reader *r, struct set *set,
		     const struct recipient_file *source)
{
	struct file f = { r, set, source->path };

	if (!lines_open(r->lines, source->path.p)) {
		int errnum = errno;

		config_fail(
			r->errors, r->allowlist, source->line,
			"recipients: %.*s: %s%s", SPAN_ARG(source->path),
			strerror(errnum),
			errnum == ENOENT
				? ": expected a file with one address or "
				  "local part a line; recipients=FILE names "
				  "another, recipients=* accepts all"
				: "");
		/* a set that has none, so that look-ups stay safe */
		set_init(r->d, set, 0);
		return;
	}
	read_lines(&f);
	lines_close(r->lines);
}
