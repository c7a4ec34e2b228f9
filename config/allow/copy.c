#include "config/allow/copy.h"

#include <inttypes.h>
#include <string.h>

#include "config/allow/url.h"

#define MAGIC SPAN_LIT("# mx20-table 1")

void copy_head_fini(struct copy_head *h)
{
	buf_fini(&h->etag);
	buf_fini(&h->modified);
}

/* FNV-1a: it names a file, and has to be the same tomorrow. */
static uint64_t name_of(struct span text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < text.n; i++)
		hash = (hash ^ (unsigned char)text.p[i]) *
		       UINT64_C(0x100000001b3);
	return hash;
}

void copy_path(struct buf *out, struct span folder, struct span url)
{
	struct buf text = { 0 };

	buf_add(&text, url_user(url));
	buf_addc(&text, '@');
	url_show(&text, url);
	buf_add(out, folder);
	buf_addf(out, "/table-%016" PRIx64, name_of(buf_span(&text)));
	buf_fini(&text);
}

bool copy_is_name(struct span name)
{
	const struct span prefix = SPAN_LIT("table-");
	struct span rest = span_skip(name, prefix.n);
	size_t digits = 0;

	while (digits < rest.n && digits < 16 &&
	       strchr("0123456789abcdef", rest.p[digits]) != NULL)
		digits++;
	rest = span_skip(rest, 16);
	return span_starts(name, prefix) && digits == 16 &&
	       (rest.n == 0 || span_eq(rest, SPAN_LIT(".new")));
}

static void add_line(struct buf *out, const char *key, struct span value)
{
	if (value.n > 0)
		buf_addf(out, "# %s %.*s\n", key, SPAN_ARG(value));
}

void copy_head_add(struct buf *out, struct span url, const struct copy_head *h)
{
	struct buf from = { 0 };

	url_show(&from, url);
	buf_add(out, MAGIC);
	buf_addc(out, '\n');
	add_line(out, "from", buf_span(&from));
	add_line(out, "etag", buf_span(&h->etag));
	add_line(out, "modified", buf_span(&h->modified));
	buf_adds(out, h->is_forced ? "# forced\n#\n" : "#\n");
	buf_fini(&from);
}

/* "# key value" */
static bool take(struct span line, const char *key, struct span *value)
{
	struct span rest = span_skip(line, 2);

	if (!span_starts(line, SPAN_LIT("# ")) ||
	    !span_eq(span_cut(&rest, ' '), span_str(key)))
		return false;
	*value = rest;
	return true;
}

static bool is_from(struct span line, struct span url)
{
	struct buf from = { 0 };
	struct span value;
	bool ok;

	url_show(&from, url);
	ok = take(line, "from", &value) && span_eq(value, buf_span(&from));
	buf_fini(&from);
	return ok;
}

bool copy_head_read(struct lines *l, struct span url, struct copy_head *h)
{
	struct span line, value;

	if (!lines_next(l, &line) || !span_eq(line, MAGIC) ||
	    !lines_next(l, &line) || !is_from(line, url))
		return false;
	while (lines_next(l, &line)) {
		if (span_eq(line, SPAN_LIT("#")))
			return true;
		if (take(line, "etag", &value))
			buf_add(&h->etag, value);
		else if (take(line, "modified", &value))
			buf_add(&h->modified, value);
		else if (take(line, "forced", &value))
			h->is_forced = true;
		else
			return false;
	}
	return false;
}
