/* Well-formed UTF-8, RFC 3629. */
#ifndef MX_BASE_UTF8_H
#define MX_BASE_UTF8_H

#include "common/base/span.h"

/*
 * Length of the well-formed character s begins with: 1 to 4, or 0 when s is
 * empty or begins with anything else (overlong forms, surrogates, characters
 * above U+10FFFF, a sequence cut short).
 */
size_t utf8_char(struct span s);

/*
 * What turns the direction in which text is read (Unicode's Bidi_Control, and
 * the separators of lines and paragraphs): 4 digits of its number, or 0 for
 * all others.  n: the length of the character s begins with.
 */
unsigned utf8_bidi(struct span s, size_t n);

/* Is all of s well-formed?  The empty span is. */
bool utf8_valid(struct span s);

/* Bytes above 127 anywhere?  Eight at a time: fit for whole messages. */
bool span_has_8bit(struct span s);

#endif
