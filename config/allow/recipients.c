#include "config/allow/recipients.h"

#include <errno.h>

#include "common/smtp/address.h"
#include "config/allow/recipient.h"
#include "config/value/text.h"

struct file {
	struct recipients_reader *r;
	struct source *source;
	struct span path;
};

#define FAIL(f, ...)                                                           \
	config_fail((f)->r->errors, (f)->path, (f)->r->lines->number,          \
		    __VA_ARGS__)

/* That of the row that covers the domain, if it uses this very file. */
static struct use *owner_of(const struct file *f, struct span domain)
{
	const struct domains *d = f->r->d;
	const struct config_domain *pub = domains_find(d, domain);

	return pub == NULL ? NULL
			   : row_use_of(d, domains_row(pub),
					(uint32_t)(f->source - d->sources));
}

static void refuse(struct file *f, struct span line, struct span text)
{
	struct buf what = { 0 };

	recipient_wrong(&what, line, text);
	FAIL(f, "%s", buf_cstr(&what));
	buf_fini(&what);
}

static void take_text(struct file *f, struct span line, struct span text)
{
	struct recipients_reader *r = f->r;
	struct use *owner = NULL;
	struct smtp_path path;

	if (!recipient_parse(line, text, &path)) {
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
	if (!domains_take(r->d, &f->source->set, buf_span(&r->local),
			  buf_span(&r->domain), owner))
		FAIL(f, "was written to while it was read");
}

/* False: there is no point in reading on. */
static bool take_line(struct file *f, struct span line)
{
	size_t before = f->r->errors->count;
	struct span text = recipient_strip(line);

	if (text.n > 0)
		take_text(f, line, text);
	if (f->r->errors->count > before && f->source->set.used == 0 &&
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
	if (count >= SET_MAX) {
		FAIL(f, "more than %d lines", SET_MAX);
		count = 0;
	}
	set_init(&f->source->set, &f->r->d->pool, count);
	while (count > 0 && lines_next(l, &line) && take_line(f, line))
		;
	if (l->error != 0)
		FAIL(f, "cannot be read: %s", lines_strerror(l));
}

void recipients_read(struct recipients_reader *r, struct source *source,
		     const struct recipient_file *file)
{
	struct file f = { r, source, file->path };

	if (!lines_open(r->lines, file->path.p)) {
		int errnum = errno;

		config_fail(
			r->errors, r->allowlist, file->line,
			"recipients: %.*s: %s%s", SPAN_ARG(file->path),
			strerror(errnum),
			errnum == ENOENT
				? ": expected a file with one address or "
				  "local part a line; recipients=FILE names "
				  "another, recipients=verify asks the "
				  "primary, recipients=* accepts all"
				: "");
		/* a set that has none, so that look-ups stay safe */
		set_init(&source->set, &r->d->pool, 0);
		return;
	}
	source->changed_ms = lines_changed_ms(r->lines);
	read_lines(&f);
	lines_close(r->lines);
}
