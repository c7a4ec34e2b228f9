/*
 * A pause in which a mirror that is behind joins.
 *
 * Under a steady load each transaction has something that the mirror lacks then,
 * and it may only join when it lacks nothing: that would be a matter of luck.  So
 * when all that is lacking was picked, the writer leaves whatever is not the
 * mirror's where it is until the mirror has joined: for a third of a second at
 * most, and not again for some seconds.
 *
 * All of these are for the writer thread.
 */
#ifndef MX_SPOOL_CALM_H
#define MX_SPOOL_CALM_H

#include "common/spool/spool_priv.h"

/* All that is lacking is on its way. */
void calm_begin(struct spool *sp);
/* It has joined, or cannot. */
void calm_end(struct spool *sp);
/* How much of it is left; 0: it is over. */
int64_t calm_left_ms(const struct spool *sp);

#endif
