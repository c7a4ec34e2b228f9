/*
 * One table, on the thread: how it comes, is judged and kept.
 *
 *   idle ──▶ coming ──▶ read ──▶ judged ──▶ kept ──▶ offered to the loop
 *     ▲         │         │         │         │
 *     └─────────┴─────────┴─────────┴─────────┘ no: the former one stays
 */
#ifndef MX_TABLES_JOB_H
#define MX_TABLES_JOB_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "config/allow/feed.h"
#include "daemon/tables/download.h"

struct job;

/* It came to an end: the table is to be offered (table is set), is known to be
 * the same, or there is none to be had. */
typedef void job_cb(struct job *j, int64_t retry_after_ms, void *arg);

struct job {
	TAILQ_ENTRY(job) link; /* the thread's */
	struct feed *feed;     /* a reference */
	struct download *download;  /* NULL: none is under way */
	struct tls_client_ctx *tls; /* while one is */
	job_cb *done;
	void *done_arg;
	char *path, *new_path;	/* of the copy */
	uint64_t reserve_bytes; /* of its disk are left alone */
	uint64_t unlooked_bytes; /* written since that was looked at */
	int fd;
	const atomic_bool *is_over; /* nobody wants it any more */
	struct copy_head has, comes;
	bool is_forced; /* this download */
	/* for the schedule */
	bool is_listed;	  /* still */
	bool is_offered;  /* the loop has it */
	bool wants_force; /* the next one, until one has come */
	bool wants_again; /* at once, when this one is over */
	int64_t due_ms;	  /* monotonic */
	unsigned failures;
	/* for the loop, when it is offered */
	struct table *table;
	struct copy_head head;
};

struct job *job_new(struct feed *feed, struct span folder,
		    const atomic_bool *is_over);
void job_free(struct job **j);

/* The file name of its copy, without the folder. */
struct span job_copy_name(const struct job *j);

/* What was offered was taken: the former table can go.  It may be NULL: no
 * longer there is one in the job. */
void job_forget(struct job *j);

/* Begin. */
void job_start(struct job *j, struct downloads *d, struct tls_client_ctx *tls,
	       job_cb *done, void *arg);

#endif
