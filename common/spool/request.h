/* What the loop asks of the writer. */
#ifndef MX_SPOOL_REQUEST_H
#define MX_SPOOL_REQUEST_H

#include "common/spool/spool.h"

struct batch;
struct request;

/*
 * In one transaction arrivals are applied first, in id order (their rows can
 * then be appended), the rest in the order of asking.  A barrier keeps its
 * place: what was asked before it is applied before it.
 */
enum request_order { ORDER_ARRIVAL, ORDER_ANY, ORDER_BARRIER };

/* One row per kind of request, in the file that owns the kind. */
struct request_ops {
	const char *name;
	enum request_order order;
	bool fills;   /* needs room: refused first when there is none */
	bool lazy;    /* nobody waits for it: goes with the next commit, within
			 a second, or when a few MiB have gathered */
	bool undoable; /* if a power cut takes it back nobody misses it: it is
			  about a draft */
	bool mirrors; /* goes on while all others wait for the mirror; calm.h */
	bool bounded; /* only so many wait at a time: those that do keep others
			 from coming */
	/*
	 * Writer thread.  What is returned ends the transaction; a fault of
	 * this request alone is put into r->err, and then nothing may have
	 * been changed.  Sets r->again when more is to be done in the next
	 * transaction.
	 */
	enum mx_err (*apply)(struct batch *b, struct request *r);
	/* Writer thread.  It was not applied, and what the writer does next
	 * may depend on that; NULL: nothing does. */
	void (*failed)(struct request *r);
	/* Loop thread, exactly once: call back, free. */
	void (*finish)(struct spool *sp, struct request *r);
};

/* The first member of whatever is asked, and freed with it. */
struct request {
	STAILQ_ENTRY(request) link;
	const struct request_ops *ops;
	uint64_t id;  /* the message it is about, if one */
	size_t bytes; /* memory it holds */
	enum mx_err err;
	bool again;
	bool is_new_mail; /* refused while a mirror that comes first is away */
	/* progress of what takes many transactions; taken back to the copy
	 * when the transaction fails */
	uint64_t pos, count, saved_pos, saved_count;
	unsigned phase, turn; /* its place in the batch */
	/* whom request_finish tells; NULL: nobody */
	spool_count_cb *cb;
	void *arg;
};

STAILQ_HEAD(request_list, request);

/*
 * A request of so many bytes, struct request included.  texts are copied
 * behind it, and say where their copies are from then on.
 */
void *request_new(const struct request_ops *ops, size_t size,
		  struct span *texts, size_t count);
/* The same, with whom to tell. */
struct request *request_ask(const struct request_ops *ops, size_t size,
			    struct span *texts, size_t count,
			    spool_count_cb *cb, void *arg);
/* The usual end: r->err and r->count for r->cb. */
void request_finish(struct spool *sp, struct request *r);

#endif
