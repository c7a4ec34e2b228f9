/*
 * A page of a digest in two forms.  The plain one is laid out here, the other
 * by whoever shows it: nothing but a few elements without links, pictures,
 * scripts or anything that is loaded.
 */
#include "daemon/report/digest_priv.h"

enum { COLUMNS = 76, NUMBER = 10, INDENT = NUMBER + 2 };

void page_fini(struct page *p)
{
	buf_fini(&p->plain);
	buf_fini(&p->html);
}

/* ---- Bytes ---- */

static void escape(struct buf *out, struct span text)
{
	static const struct {
		char c;
		const char *as;
	} entities[] = {
		{ '&', "&amp;" },  { '<', "&lt;" },   { '>', "&gt;" },
		{ '"', "&quot;" }, { '\'', "&#39;" },
	};

	for (size_t i = 0; i < text.n; i++) {
		const char *as = NULL;

		for (size_t e = 0; e < sizeof(entities) / sizeof(*entities);
		     e++)
			if (entities[e].c == text.p[i])
				as = entities[e].as;
		if (as != NULL)
			buf_adds(out, as);
		else
			buf_addc(out, text.p[i]);
	}
}

static void element(struct buf *out, const char *name, struct span text)
{
	buf_addf(out, "<%s>", name);
	escape(out, text);
	buf_addf(out, "</%s>\n", name);
}

static void fill(struct buf *out, size_t n, char c)
{
	while (n-- > 0)
		buf_addc(out, c);
}

/* At most so many bytes of the word, and no half of a character. */
static struct span piece_of(struct span word, size_t most)
{
	if (word.n <= most)
		return word;
	while (most > 1 && ((unsigned char)word.p[most] & 0xc0) == 0x80)
		most--;
	return span_of(word.p, most);
}

/* Words on lines that begin with so many blanks; the first stands at `at`. */
static void wrap(struct buf *out, size_t at, size_t indent, struct span text)
{
	bool is_first = true; /* of the line */

	while (text.n > 0) {
		struct span word = span_cut(&text, ' ');

		if (word.n == 0)
			continue;
		if (!is_first && at + 1 + word.n > COLUMNS) {
			buf_addc(out, '\n');
			fill(out, indent, ' ');
			at = indent;
		} else if (!is_first) {
			buf_addc(out, ' ');
			at++;
		}
		is_first = false;
		while (at + word.n > COLUMNS) { /* longer than a line */
			struct span piece = piece_of(word, COLUMNS - at);

			buf_add(out, piece);
			word = span_skip(word, piece.n);
			buf_addc(out, '\n');
			fill(out, indent, ' ');
			at = indent;
		}
		buf_add(out, word);
		at += word.n;
	}
	buf_addc(out, '\n');
}

/* ---- Elements ---- */

void page_heading(struct page *p, struct span text)
{
	size_t n = text.n < COLUMNS ? text.n : COLUMNS;

	if (p->plain.n > 0)
		buf_addc(&p->plain, '\n');
	wrap(&p->plain, 0, 0, text);
	fill(&p->plain, n, '-');
	buf_adds(&p->plain, "\n\n");
	if (p->html.n == 0)
		buf_adds(&p->html,
			 "<!DOCTYPE html>\n<html lang=\"en\"><head>"
			 "<meta charset=\"utf-8\">"
			 "<title>Refused mail</title></head><body>\n");
	element(&p->html, "h2", text);
}

void page_paragraph(struct page *p, struct span text)
{
	wrap(&p->plain, 0, 0, text);
	buf_addc(&p->plain, '\n');
	element(&p->html, "p", text);
}

void page_table(struct page *p, const char *title)
{
	buf_addf(&p->plain, "%*s  %s\n", NUMBER, "RECIPIENTS", title);
	buf_addf(&p->html,
		 "<table border=\"1\" cellpadding=\"4\" cellspacing=\"0\">\n"
		 "<tr><th>RECIPIENTS</th><th align=\"left\">%s</th></tr>\n",
		 title);
}

void page_row(struct page *p, struct span number, const struct span *lines,
	      size_t count)
{
	fill(&p->plain, number.n < NUMBER ? NUMBER - number.n : 0, ' ');
	buf_add(&p->plain, number);
	buf_adds(&p->plain, "  ");
	buf_adds(&p->html, "<tr><td align=\"right\" valign=\"top\">");
	escape(&p->html, number);
	buf_adds(&p->html, "</td><td>\n");
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			fill(&p->plain, INDENT, ' ');
		wrap(&p->plain, INDENT, INDENT + (i > 0 ? 6 : 0), lines[i]);
		escape(&p->html, lines[i]);
		buf_adds(&p->html, i + 1 < count ? "<br>\n" : "\n");
	}
	buf_adds(&p->html, "</td></tr>\n");
}

void page_table_end(struct page *p)
{
	buf_addc(&p->plain, '\n');
	buf_adds(&p->html, "</table>\n");
}

void page_command(struct page *p, struct span command, const char *what)
{
	buf_adds(&p->plain, "    ");
	buf_add(&p->plain, command);
	buf_addf(&p->plain, "\n            %s\n", what);
	buf_adds(&p->html, "<p><code>");
	escape(&p->html, command);
	buf_addf(&p->html, "</code><br>\n%s</p>\n", what);
}

void page_end(struct page *p)
{
	buf_adds(&p->html, "</body></html>\n");
}
