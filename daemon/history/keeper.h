/* The history of a daemon: its clock, its timer, its spool.  Outages
 * (history.h), and how full the spool was (plotter.h). */
#ifndef MX_HISTORY_KEEPER_H
#define MX_HISTORY_KEEPER_H

#include <ev.h>

#include "config/config.h"
#include "daemon/history/history.h"
#include "daemon/history/tally_keeper.h"
#include "daemon/history/traces.h"

struct keeper;

/* Reads what the spool has. */
struct keeper *keeper_new(struct ev_loop *loop, struct spool *sp,
			  const struct config *config);
/* Nobody tells it anything any more; what is known is handed to the spool when
 * that has been closed but for this.  To be freed behind that. */
void keeper_stop(struct keeper *k);
void keeper_free(struct keeper **k);
void keeper_reload(struct keeper *k, const struct config *config);
struct history *keeper_history(struct keeper *k);
struct traces *keeper_traces(struct keeper *k);
struct tally *keeper_tally(struct keeper *k);

#endif
