/* A whole message on its way into the tables. */
#ifndef MX_SPOOL_ARRIVAL_H
#define MX_SPOOL_ARRIVAL_H

#include "common/spool/pieces.h"

/*
 * A whole message on its way to the writer: the row of the message, then for
 * each unit
 *
 *   domain:str expires:8 warn:8 claim:1 recipients:4, of each number:4 row:str
 *
 * encoded by the loop, so that the writer only puts.
 */
struct arrival {
	struct spool_draft *draft;
	struct piece *tail; /* what the writer does not have yet */
	uint64_t id, bytes;
	int64_t arrived_ms;
	uint32_t units;
	size_t message_n; /* the row of the message */
	size_t n;
	char *blob;
};

/*
 * Memory for one arrival behind extra bytes of the caller's; *at is the whole
 * of it (free() it).  NULL: some string is longer than can be stored.
 */
struct arrival *arrival_new(size_t extra, struct spool_draft *d,
			    const struct envelope *env,
			    const struct spool_rcpt *rcpts, size_t count,
			    void **at);

/* Writer: put all rows.  A fault of the draft goes to *fault. */
enum mx_err arrival_apply(struct batch *b, struct arrival *a,
			  enum mx_err *fault);
/* Loop: the draft's end, after success or failure. */
void arrival_finish(struct arrival *a, enum mx_err err);

#endif
