/* A whole message on its way into the tables. */
#ifndef MX_SPOOL_ARRIVAL_H
#define MX_SPOOL_ARRIVAL_H

#include "common/spool/pieces.h"

/*
 * A whole message on its way to the writer: the row of the message, then for
 * each unit
 *
 *   domain:str expires:8 warn:8 quota:8 claim:1 recipients:4,
 *                                                of each number:4 row:str
 *
 * encoded by the loop, so that the writer only puts.
 */
struct arrival {
	struct spool_draft *draft;
	struct piece *tail; /* what the writer does not have yet */
	uint64_t id, bytes;
	int64_t arrived_ms;
	uint32_t units;
	bool has_quota; /* one of them does */
	size_t message_n; /* the row of the message */
	size_t n;
	char *blob;
};

/*
 * Takes the draft.  Its error, or MX_EINVAL: some string is longer than can be
 * stored, or a domain is none; then there is no arrival and the draft is gone.
 */
enum mx_err arrival_new(struct arrival **out, struct spool_draft **d,
			const struct envelope *env,
			const struct spool_rcpt *rcpts, size_t count);
/* Memory it holds. */
size_t arrival_bytes(const struct arrival *a);

/* Writer: put all rows.  A fault of the draft goes to *fault. */
enum mx_err arrival_apply(struct batch *b, struct arrival *a,
			  enum mx_err *fault);
/* Loop: its end and the draft's, after success or failure.  NULL is fine. */
void arrival_finish(struct arrival **a, enum mx_err err);

#endif
