/* The history of a daemon: its clock, its timer, its spool.  Outages
 * (history.h), and how full the spool was (plotter.h). */
#ifndef MX_HISTORY_KEEPER_H
#define MX_HISTORY_KEEPER_H

#include <ev.h>

#include "config/config.h"
#include "daemon/history/history.h"
#include "daemon/history/traces.h"

struct keeper;

/* Reads what the spool has. */
struct keeper *keeper_new(struct ev_loop *loop, struct spool *sp,
			  const struct config *config);
/* Before the spool is closed: what is known is handed to it. */
void keeper_free(struct keeper **k);
void keeper_reload(struct keeper *k, const struct config *config);
struct history *keeper_history(struct keeper *k);
struct traces *keeper_traces(struct keeper *k);

#endif
