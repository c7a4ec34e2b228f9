/*
 * The last good copy of a table, a file beside the spool:
 *
 *   # mx20-table 1
 *   # from https://tables.example/users     without user and password
 *   # etag "5f0c"                           as the server said, if it did
 *   # modified Sat, 21 Nov 2026 21:34:38 GMT
 *   # forced                                if the operator wanted it
 *   #                                       the end of the head
 *   alice@example.com                       as it came
 *
 * The head is comments of a recipient file, so the whole is one.  Its time of
 * modification is when the server last said that this is how things are.
 */
#ifndef MX_ALLOW_COPY_H
#define MX_ALLOW_COPY_H

#include "common/base/buf.h"
#include "config/allow/lines.h"

struct copy_head {
	struct buf etag, modified; /* empty: none */
	bool is_forced;
};
void copy_head_fini(struct copy_head *h);

/* Append where the copy of this URL is, in the folder (without a slash behind
 * it): another password does not change it, another user does. */
void copy_path(struct buf *out, struct span folder, struct span url);

/* Is it the name of a file that copy_path gave, or of one on its way there
 * (".new" behind it)? */
bool copy_is_name(struct span name);

/* Append the head of a copy from this URL. */
void copy_head_add(struct buf *out, struct span url,
		   const struct copy_head *h);

/* Read it from the lines of an open copy.  False: it is none of this URL. */
bool copy_head_read(struct lines *l, struct span url, struct copy_head *h);

#endif
