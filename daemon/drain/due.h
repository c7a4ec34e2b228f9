/* Deferred units that are due. */
#ifndef MX_DRAIN_DUE_H
#define MX_DRAIN_DUE_H

#include <ev.h>
#include <stdint.h>

struct drain;

void due_start(struct drain *d);
void due_stop(struct drain *d);
/* A unit was deferred until then (wall). */
void due_at(struct drain *d, int64_t due_ms);
/* A parked recipient is due then (wall): look at what ends by that time. */
void due_end_at(struct drain *d, int64_t at_ms);
/* Arm a timer of the wall clock, which may be set meanwhile. */
void due_arm(struct drain *d, ev_timer *w, int64_t wait_ms);

#endif
