/*
 * What an editor does not show: bytes and characters that turn a name into
 * another one while it looks the same; pure.
 */
#ifndef MX_VALUE_TEXT_H
#define MX_VALUE_TEXT_H

#include "common/base/buf.h"

/*
 * Has the word, which is a part of line, a character that nobody sees or that
 * is no text: a control, a blank other than space and tab, a soft hyphen, a
 * mark of direction, an octet that is no UTF-8?  Then describe the first one:
 * "U+00AD soft hyphen at column 9".  Columns count characters from 1.  what may
 * be NULL.
 *
 * Joiners between letters beyond ASCII are text (Persian, emoji), and so are
 * variation selectors.
 */
bool text_hides(struct span line, struct span word, struct buf *what);

/* What some editors write in front of UTF-8. */
#define BYTE_ORDER_MARK SPAN_LIT("\xef\xbb\xbf")

/* UTF-16 by the first octets of a file, with its mark or without. */
bool text_is_utf16(struct span head);

/* A line that is no entry of a list: is it one of an error page, a trace or a
 * message that a program left in the place of its output? */
bool text_is_complaint(struct span line);

/* How that is said, of whatever file. */
#define TEXT_HIDES "holds %s"
#define TEXT_UTF16 "is UTF-16: save it as UTF-8"
#define TEXT_COMPLAINT                                                         \
	"looks like an error page or a message of a program, not like a "      \
	"list: the rest is not read"
#define TEXT_CUT                                                               \
	"ends without a line end: was it cut short? Its last line is "         \
	"\"%.*s\""

#endif
