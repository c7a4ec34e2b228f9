/*
 * Where intake lays down what it takes: the spool.  A door, so that a test can
 * stand behind it with a disk that does what the test says.
 */
#ifndef MX_INTAKE_STORE_H
#define MX_INTAKE_STORE_H

#include "common/spool/spool.h"

/* Each as the function of the spool with that name. */
struct store {
	enum mx_err (*room)(struct spool *sp, uint64_t expect);
	uint64_t (*left)(const struct spool *sp);
	bool (*is_tight)(const struct spool *sp, uint64_t bytes);
	enum mx_err (*domain_room)(struct spool *sp, struct span domain,
				   uint64_t bytes, enum spool_claim claim);
	bool (*is_busy)(const struct spool *sp);
	void (*wait)(struct spool *sp, struct spool_waiter *w);
	void (*wait_cancel)(struct spool *sp, struct spool_waiter *w);

	enum mx_err (*draft_new)(struct spool *sp, int64_t now_ms,
				 uint64_t expect, struct spool_draft **out);
	uint64_t (*draft_id)(const struct spool_draft *d);
	char *(*draft_buffer)(struct spool_draft *d, size_t *room);
	void (*draft_used)(struct spool_draft *d, size_t n);
	void (*draft_write)(struct spool_draft *d, struct span s);
	enum mx_err (*draft_prefix)(struct spool_draft *d, struct span lines);
	enum mx_err (*draft_error)(const struct spool_draft *d);
	void (*draft_discard)(struct spool_draft **d);
	void (*commit)(struct spool_draft **d, const struct envelope *env,
		       const struct spool_rcpt *rcpts, size_t count,
		       spool_commit_cb *cb, void *arg);
};

extern const struct store store_spool;

#endif
