/*
 * The door of a relay (daemon/relay/door.h) without a drain behind it: one
 * connection to far.h, for one mail after the other.
 */
#ifndef MX_TESTS_FUZZ_DOOR_H
#define MX_TESTS_FUZZ_DOOR_H

#include <ev.h>

#include "daemon/relay/door.h"

const struct relay_door *door_open(struct ev_loop *loop);
/* The server is served: there is a connection, or will be. */
void door_serve(size_t bytes);
/* Who waits for a connection has it, if it is free; or hears that there is
 * none. */
void door_give(void);
void door_refuse(unsigned why);
/* Nobody has a lane any more. */
void door_close(void);

#endif
