/* A text file line by line through one buffer, whatever its size. */
#ifndef MX_ALLOW_LINES_H
#define MX_ALLOW_LINES_H

#include "common/base/buf.h"

struct lines {
	int fd;
	char *buf;         /* kept from file to file */
	size_t start, end; /* what of it is not read yet */
	bool eof;
	bool is_utf16;	   /* known after lines_count */
	bool is_cut;	   /* the line last returned had no LF behind it */
	bool is_marked;	   /* ... and this one a byte order mark in front */
	unsigned number;   /* of the line last returned, from 1 */
	int error;         /* errno once reading failed */
	size_t commas;	   /* in the whole file; known after lines_count */
};

void lines_init(struct lines *l);
void lines_fini(struct lines *l);

/* path ends with NUL.  False: errno says why. */
bool lines_open(struct lines *l, const char *path);
/* The same of a file of our own where others may write: no symbolic link, and
 * nothing but a file. */
bool lines_open_own(struct lines *l, const char *path);
void lines_close(struct lines *l);

/* When the open file was last changed; wall ms, 0: not known. */
int64_t lines_changed_ms(const struct lines *l);

/* An upper bound of the lines in the whole file, before the first
 * lines_next.  False: errno says why. */
bool lines_count(struct lines *l, size_t *count);

/* The next line without its LF or CR LF, and without a byte order mark in
 * front (files are joined, so it may be any line); valid until the next call.
 * False at the end and on failure: see error (EMSGSIZE: no line is that long),
 * and number is that of the line that could not be read.
 */
bool lines_next(struct lines *l, struct span *line);

/* Why reading failed, in words. */
const char *lines_strerror(const struct lines *l);

#endif
