/* Faults of the configuration, gathered: all of them, not the first. */
#ifndef MX_VALUE_ERROR_H
#define MX_VALUE_ERROR_H

#include "common/base/buf.h"

/* Every fault found, one per line: "mx20.conf:12: limits.hops: ...". */
struct config_errors {
	struct buf text;
	size_t count;
	struct buf doubts; /* no faults: warnings, in the same form */
	size_t doubt_count;
};
void config_errors_fini(struct config_errors *e);

/* What is listed; the rest is only counted. */
enum { CONFIG_ERRORS_LISTED = 1000 };

/* Add "file:line: text"; line 0 is left out. */
void config_fail(struct config_errors *e, struct span file, unsigned line,
		 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* What is legal and still most likely a mistake: a warning in the log, in
 * --check and in what a reload prints.  The form is that of a fault. */
enum { CONFIG_DOUBTS_LISTED = 20 };
void config_doubt(struct config_errors *e, struct span file, unsigned line,
		  const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void config_doubts_end(struct config_errors *e);

/* After the last fault: say how many were not listed. */
void config_errors_end(struct config_errors *e);

#endif
