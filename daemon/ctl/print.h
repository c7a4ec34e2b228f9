/* Numbers and words for people: ages, counts, text that is safe to show. */
#ifndef MX_CTL_PRINT_H
#define MX_CTL_PRINT_H

#include <jansson.h>

#include "common/base/buf.h"
#include "common/base/human.h"

/* "0s" "59s" "12m" "3h12m" "3d4h" "120d"; less than nothing is "0s". */
void print_age(struct buf *out, int64_t ms);
/* "in 5s", or "now". */
void print_wait(struct buf *out, int64_t ms);

/* "2026-11-21 21:34:38 UTC"; "-" for 0. */
void print_time(struct buf *out, int64_t wall_ms);

/*
 * Text as it may go to a terminal: control characters (also those of Latin 1)
 * and what is no UTF-8 become '?'.  A peer's words must not move the cursor.
 */
void print_text(struct buf *out, struct span s);

/* The same, tabs and line ends aside; CR LF becomes LF. */
void print_safe(struct buf *out, struct span text);
/* JSON as it may: what would do harm becomes an escape, and the value stays. */
void print_json_safe(struct buf *out, struct span text);

/* Columns that printed text takes on a terminal. */
size_t print_columns(struct span s);

/* At most columns of it; when something is missing "~" says so. */
void print_cut(struct buf *out, struct span s, size_t columns);

/* Lines that are longer than width are broken between words, and go on two
 * columns further to the right than they began; 0: none is.  A word that is
 * longer stays whole. */
void print_wrapped(struct buf *out, struct span text, size_t width);

/* "1 message", "2 messages". */
void print_count(struct buf *out, uint64_t n, const char *what);

/* A member that control_time made, in wall ms; 0: none. */
int64_t print_get_time(const json_t *object, const char *key);

/* RFC 3339 in UTC with whole seconds; false when it is not. */
bool print_parse_time(struct span s, int64_t *wall_ms);

#endif
