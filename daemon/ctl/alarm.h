/* What needs a person: for `mx20ctl status --alarm` and whoever calls it every
 * minute. */
#ifndef MX_CTL_ALARM_H
#define MX_CTL_ALARM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"
#include "config/config.h"

struct alarms {
	int64_t now_ms;
	bool keeps_refused; /* bounce.mode is hold */
	bool has_relay;	    /* bounce.relay: reports go there */
	json_t *list;
	json_t *down, *braked, *held; /* groups, by what they have in common */
};

void alarms_init(struct alarms *a, int64_t now_ms, const struct config *c);
void alarms_fini(struct alarms *a);
/* The daemon does not answer; why in words. */
void alarms_unreachable(struct alarms *a, struct span why);
/* The spool's room, the certificate, the mirror; of source_overview. */
void alarms_overview(struct alarms *a, const json_t *overview);
/* Append what is the matter with one of its "tables_failing". */
void alarms_table_text(struct buf *out, const json_t *t, int64_t now_ms);
/* A status_domain.  A thousand domains behind one host that is down are one
 * alarm. */
void alarms_row(struct alarms *a, const json_t *row);

/*
 * All of them, an array of {"alarm","text"} and for mail that waits
 * {"domains","messages","domain","since"}: to be called once, the caller's.
 * "alarm" is "unreachable", "spool", "certificate", "recipients", "mirror",
 * "down", "brake" or "held".
 */
json_t *alarms_take(struct alarms *a);

#endif
