/* Words of a page: whatever they are made of, they are text and nothing else.
 */
#ifndef MX_WEB_HTML_H
#define MX_WEB_HTML_H

#include "common/base/buf.h"

/* Append it as text, fit for an attribute in double quotes, too.  What does
 * not show, turns the direction of text or is no UTF-8 becomes U+FFFD. */
void html_text(struct buf *out, struct span s);
/* The same, of long ones the beginning and "...". */
void html_text_cut(struct buf *out, struct span s, size_t most);

/* "1,234,567" */
void html_number(struct buf *out, uint64_t n);
/* "1 message", "1,204 messages" */
void html_count(struct buf *out, uint64_t n, const char *one, const char *many);
/* "640 B", "1.2 GiB" */
void html_size(struct buf *out, uint64_t bytes);
/* "12 s", "4 min", "3 h 12 min", "5 d 3 h" */
void html_age(struct buf *out, int64_t ms);
/* <time> with "28 Nov, 12:40" in UTC */
void html_time(struct buf *out, int64_t wall_ms);
/* "1.5", with so many digits behind the point */
void html_decimal(struct buf *out, double v, int digits);

#endif
