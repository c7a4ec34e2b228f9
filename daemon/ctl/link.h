/* The connection to the daemon: blocking, with time limits. */
#ifndef MX_CTL_LINK_H
#define MX_CTL_LINK_H

#include "common/control/control.h"
#include "daemon/ctl/ctl.h"

struct link {
	int fd; /* -1: closed */
	struct buf in;
	size_t taken;	  /* of in: given out already */
	char version[32]; /* of the daemon */
	bool hangs;	  /* it is there, and did not answer in time */
};

/*
 * Connect and shake hands.  CTL_UNREACHABLE: nobody answers; CTL_FAILED: we
 * may not.  why gets a sentence.
 */
enum ctl_exit link_open(struct link *l, const struct ctl *ctl, struct buf *why);
void link_close(struct link *l);

/* Send a request; takes it.  False: the connection is lost. */
bool link_send(struct link *l, json_t *request);

/* Does something come within this time, the end of the connection included? */
bool link_waits(const struct link *l, int64_t timeout_ms);

/* The next line; the caller's.  NULL: the connection is lost, or nothing came
 * for timeout_ms (0: wait for ever). */
json_t *link_read(struct link *l, int64_t timeout_ms);

/* Connect, or complain and say how to end. */
enum ctl_exit link_need(struct link *l, const struct ctl *ctl);

/* Send a request and read the end of its answer; parts of it go to each (may
 * be NULL) and are released.  NULL: lost, and it has been said. */
typedef void link_part_cb(const json_t *part, void *arg);
json_t *link_ask(struct link *l, json_t *request, link_part_cb *each,
		 void *arg);

#endif
