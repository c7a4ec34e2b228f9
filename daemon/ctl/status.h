/* mx20ctl status: the views that others share. */
#ifndef MX_CTL_STATUS_H
#define MX_CTL_STATUS_H

#include "daemon/ctl/source.h"
#include "daemon/ctl/table.h"

/* Everything about one domain (a status_domain), and what to do. */
void status_show_domain(const struct ctl *ctl, const json_t *row, bool is_live,
			struct buf *out);

/* Targets of an object with "targets", one line each. */
void status_show_targets(const struct ctl *ctl, const json_t *state,
			 struct buf *out);

/* How long ago; "-": never. */
void status_age_cell(struct table *t, int64_t since_ms, int64_t now_ms);

/* mx20ctl status --alarm */
enum ctl_exit ctl_alarm(const struct ctl *ctl);

/* Is the whole domain held, by itself or with its destination? */
bool status_is_held(const json_t *row);

#endif
