/* The status for programs, as JSON; mx20ctl(8) has the members. */
#ifndef MX_WEB_API_H
#define MX_WEB_API_H

#include <jansson.h>

#include "common/status/status.h"

struct api_status {
	struct spool *view;
	const json_t *overview; /* of the loop; NULL: it does not answer */
	struct span hostname;
	uint64_t rows; /* domains that there are */
	size_t most;   /* domains that are shown */
	/* How does the destination of this domain do?  NULL: not known. */
	const struct status_destination *(*state)(struct span domain,
						  void *arg);
	void *arg;
};

/* Append what `mx20ctl status --json` prints; when there are more domains than
 * are shown, with "domains_left_out". */
void api_status(struct buf *out, const struct api_status *s);

/* Append an array of what `mx20ctl outages --json` prints. */
void api_outages(struct buf *out, struct spool *view);

#endif
