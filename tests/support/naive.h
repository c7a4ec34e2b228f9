/* The content codec said as plainly as possible, to compare with. */
#ifndef MX_TESTS_NAIVE_H
#define MX_TESTS_NAIVE_H

#include "common/base/buf.h"

/*
 * What the decoder must do with a whole wire, one byte at a time.  Returns
 * the bytes of it that are used; *ended says whether the end of data was among
 * them.  dots: DATA, else BDAT.
 */
size_t naive_decode(struct span wire, bool dots, struct buf *out, bool *ended);

/*
 * Could a server see an end of data in this outbound DATA before its last
 * three bytes?  Any server, however liberal: CR or LF, dot, CR or LF.
 */
bool naive_ends_early(struct span encoded);

#endif
