/* Delay warnings, and the end of the lifetime. */
#ifndef MX_DRAIN_EXPIRE_H
#define MX_DRAIN_EXPIRE_H

struct drain;

void expire_start(struct drain *d);
void expire_stop(struct drain *d);
/* Mail has come: its lifetime may end before the next look. */
void expire_look(struct drain *d);

#endif
