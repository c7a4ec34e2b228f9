/*
 * The tables of recipients=https://...: fetched at the start, at a reload and
 * every policy.refresh, on a thread of its own, which reads them, too.  One
 * that is believed is put in force by the loop; the last good copy lies beside
 * the spool (config/allow/copy.h).
 */
#ifndef MX_TABLES_TABLES_H
#define MX_TABLES_TABLES_H

#include <ev.h>

#include "config/config.h"

struct tables;

/* Begins to fetch.  Costs nothing while no domain has such a source. */
struct tables *tables_new(struct ev_loop *loop, struct config *config);
/* Fetch all of this configuration at once; forced: what comes is believed
 * whatever it is. */
void tables_reload(struct tables *t, struct config *config, bool forced);
/* Ends what is under way. */
void tables_free(struct tables **t); /* *t may be NULL */

#endif
