/* The parts of digest.h. */
#ifndef MX_REPORT_DIGEST_PRIV_H
#define MX_REPORT_DIGEST_PRIV_H

#include "daemon/report/digest.h"

/* ---- digest_page.c: the same text twice ---- */

/*
 * A page for people: plain text of at most 78 columns, and HTML.  What is
 * given to it is shown as it is, in both: nothing in it is taken for markup,
 * and control characters do not get this far (digest_clean).
 */
struct page {
	struct buf plain, html;
};
void page_fini(struct page *p);
void page_heading(struct page *p, struct span text);
void page_paragraph(struct page *p, struct span text);
/* A row of a table: a number, then some lines.  title: the words above it. */
void page_table(struct page *p, const char *title);
void page_row(struct page *p, struct span number, const struct span *lines,
	      size_t count);
void page_table_end(struct page *p);
/* As it is typed, and what it does. */
void page_command(struct page *p, struct span command, const char *what);
void page_end(struct page *p);

/* ---- digest_words.c ---- */

/* Text of strangers, at most `most` bytes of it: control characters, what turns
 * the direction of reading and what is no UTF-8 become '?'. */
void digest_clean(struct buf *out, struct span text, size_t most);
void digest_number(struct buf *out, uint64_t n); /* "1,234" */
void digest_count(struct buf *out, uint64_t n, const char *what);
void digest_time(struct buf *out, int64_t wall_ms); /* "2026-11-21 21:34" */
void digest_lasted(struct buf *out, int64_t ms);    /* "2h03m" "3d04h" */
/* quoted-printable, RFC 2045 section 6.7; lines end with LF in text and with
 * CR LF behind. */
void digest_encode(struct buf *out, struct span text);

#endif
