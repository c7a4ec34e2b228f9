/*
 * Message content on the wire: dot transparency (RFC 5321 section 4.5.2) and
 * the one line ending there is (section 2.3.8).
 *
 * Inside mx20 content is canonical: every line ends with CR LF, there is no
 * bare CR or LF, and no dot is doubled.
 */
#ifndef MX_SMTP_CONTENT_H
#define MX_SMTP_CONTENT_H

#include "common/base/buf.h"

/* All zero is the start of a message. */
struct smtp_decoder {
	int state;
	bool bare; /* a bare LF or CR was seen and repaired */
};

/*
 * DATA: decode from *in into dst, at most room bytes; steps over what was
 * used and sets *used to what was written.  True when CR LF . CR LF was
 * reached (*in starts behind it; *d is at a start of message again, but for
 * bare).  False: *in is used up or room ran out.  room must be at least 4.
 *
 * Nothing else ends the data: a bare LF becomes CR LF, a bare CR a space, all
 * other octets pass.  A dot is dropped only behind a CR LF that stood on the
 * wire; one behind a repaired LF is text, and the encoder will double it.  So
 * what a next hop could take for an end of data never passes (SMTP
 * smuggling).
 */
bool smtp_decode_data(struct smtp_decoder *d, struct span *in, char *dst,
		      size_t room, size_t *used);

/*
 * BDAT: the same line endings, no dots and no end: the chunk size says that
 * (RFC 3030).  Content that does not end with CR LF stays so.  At the end of
 * the last chunk, call smtp_decode_end for what is still held back, a CR.
 */
void smtp_decode_bdat(struct smtp_decoder *d, struct span *in, char *dst,
		      size_t room, size_t *used);
size_t smtp_decode_end(struct smtp_decoder *d, char dst[static 4]);

/* All zero is the start of a message. */
struct smtp_encoder {
	int state;
};

/*
 * DATA, outbound: append content with dots doubled where a line starts with
 * one.  State carries across chunks.  Line ends are taken as they come: what
 * goes in is canonical.
 */
void smtp_encode_data(struct smtp_encoder *e, struct span content,
		      struct buf *out);

/* The end: CR LF if the content did not end with one, then . CR LF. */
void smtp_encode_end(struct smtp_encoder *e, struct buf *out);

#endif
