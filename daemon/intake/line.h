/* Command lines cut from what has arrived; pure. */
#ifndef MX_INTAKE_LINE_H
#define MX_INTAKE_LINE_H

#include "common/base/span.h"

/*
 * The longest command line, CRLF included.  RFC 5321 section 4.5.3.1.4 asks
 * for 512, and extensions add to it: SMTPUTF8, DSN (ORCPT alone may add 500),
 * SIZE and the rest stay well below this.
 */
enum { LINE_MAX_BYTES = 2048 };

enum line_kind {
	LINE_MORE, /* not complete; used bytes may be dropped nevertheless */
	LINE_OK,   /* *line holds it without its CRLF and the blanks before
		    * that (RFC 5321 section 4.1.1) */
	LINE_LONG, /* over the limit; said once, the rest of it is skipped */
	LINE_BARE, /* ended by a bare LF, or a control character within */
};

/*
 * Look at the front of in.  *used tells how much of it is dealt with.
 * *skipping is the only state, false at the start: the rest of a line that
 * was too long is still arriving.  So no more than LINE_MAX_BYTES ever need
 * to be kept.
 */
enum line_kind line_cut(struct span in, bool *skipping, struct span *line,
			size_t *used);

#endif
