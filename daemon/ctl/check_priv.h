/* The inside of mx20ctl check. */
#ifndef MX_CTL_CHECK_PRIV_H
#define MX_CTL_CHECK_PRIV_H

#include "daemon/check/check.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/mirror.h"
#include "daemon/ctl/source.h"

struct report {
	struct ctl *ctl;
	struct source source;
	struct config *config;
	struct check_room room;
	struct check_learned mirror;
	struct buf names; /* of all domains, one behind the other */
	struct span *domains;
	size_t domain_count;
	size_t counts[SEVERITY_ERROR + 1];
	struct buf told; /* uint64_t each: what was said of this host */
	bool has_objects;
	bool shows_progress, has_progress; /* a line is on the terminal */
	struct buf out;
};

/* ---- check_report.c: what is printed ---- */

/* As check_options.progress and .found; arg is the report. */
void report_progress(size_t done, void *arg);
void report_found(struct span domain, const struct findings *f, void *arg);
/* The line with the progress goes. */
void report_clear(struct report *r);
/* All of it is there. */
void report_summary(struct report *r);

#endif
