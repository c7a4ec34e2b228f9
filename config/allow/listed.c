#include "config/allow/listed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "config/allow/domains_priv.h"
#include "config/allow/lines.h"

static const char head[] = "mx20-listed 1";
static const char end[] = "end";

/* ---- Writing ---- */

static void write_rows(FILE *f, const struct domains *d)
{
	fprintf(f, "%s %zu %zu\n", head, d->row_count, d->recipient_count);
	for (size_t i = 0; i < d->row_count; i++) {
		const struct row *row = &d->rows[i];

		fprintf(f, "%.*s ", SPAN_ARG(row->pub.name));
		uint64_t recipients = row_recipients(d, row);

		if (recipients == NO_LIMIT)
			fputs("*\n", f);
		else
			fprintf(f, "%" PRIu64 "\n", recipients);
	}
	fprintf(f, "%s\n", end);
}

static bool write_file(const char *path, const struct domains *d)
{
	FILE *f;
	bool ok;

	unlink(path); /* one that another user left cannot be written to */
	f = fopen(path, "wex");
	if (f == NULL)
		return false;
	write_rows(f, d);
	ok = !ferror(f);
	return fclose(f) == 0 && ok;
}

bool listed_write(const char *path, const struct domains *d, struct buf *why)
{
	struct buf new_path = { 0 };
	bool ok;

	buf_addf(&new_path, "%s.new", path);
	ok = write_file(buf_cstr(&new_path), d) &&
	     rename(buf_cstr(&new_path), path) == 0;
	if (!ok) {
		buf_addf(why, "%s: %s", path, strerror(errno));
		unlink(buf_cstr(&new_path));
	}
	buf_fini(&new_path);
	return ok;
}

/* ---- Reading ---- */

/* "mx20-listed 1 ROWS RECIPIENTS" */
static bool take_head(struct span line, uint64_t *rows, uint64_t *recipients)
{
	struct span words = line;

	if (!span_starts(line, span_str(head)) || line.n <= strlen(head))
		return false;
	words = span_skip(line, strlen(head));
	if (words.p[0] != ' ')
		return false;
	words = span_skip(words, 1);
	return span_u64(span_cut(&words, ' '), rows) &&
	       span_u64(words, recipients) && *rows < ROWS_MAX;
}

static bool take_row(struct domains *d, struct span line)
{
	struct row *row = &d->rows[d->row_count];
	struct span count = line, name = span_cut(&count, ' ');
	uint64_t own = 0;
	bool any = span_eq(count, SPAN_LIT("*"));

	if (name.n == 0 ||
	    (!any && (!span_u64(count, &own) || own > UINT32_MAX)))
		return false;
	*row = (struct row){ .use = (uint32_t)d->use_count, .use_count = !any };
	if (!any)
		d->uses[d->use_count++] = (struct use){ .own = (uint32_t)own };
	row->pub.name = pool_span(&d->pool, name);
	row->pub.any_recipient = any;
	return domains_add(d) == NULL;
}

static struct domains *read_lines(struct lines *l)
{
	uint64_t rows, recipients;
	struct domains *d;
	struct span line;
	bool is_whole;
	size_t most;

	if (!lines_count(l, &most) || !lines_next(l, &line) ||
	    !take_head(line, &rows, &recipients) || rows >= most)
		return NULL;
	/* one more: the source that all of them have */
	d = domains_new(span_str(""), rows, rows + 1);
	d->source_count = 1;
	d->recipient_count = recipients;
	while (d->row_count < rows && lines_next(l, &line) && take_row(d, line))
		;
	is_whole = d->row_count == rows && lines_next(l, &line) &&
		   span_eq(line, span_str(end));
	if (!is_whole)
		domains_free(&d);
	return d;
}

struct domains *listed_read(const char *path)
{
	struct domains *d = NULL;
	struct lines l;

	lines_init(&l);
	if (lines_open(&l, path)) {
		d = read_lines(&l);
		lines_close(&l);
	}
	lines_fini(&l);
	return d;
}
