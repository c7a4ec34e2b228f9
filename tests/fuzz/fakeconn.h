/*
 * The connection of common/net/conn.h without a socket: what is written comes
 * out here, and what arrives, or goes wrong, is said here.  In the place of
 * the real one, for whoever links it.
 */
#ifndef MX_TESTS_FUZZ_FAKECONN_H
#define MX_TESTS_FUZZ_FAKECONN_H

#include "common/net/conn.h"

/* A connection that is open and being served; NULL: there is none. */
struct conn *fake_live(void);
/* How many were ever begun since fake_reset. */
size_t fake_count(void);
void fake_reset(void);

/* Whatever is written, as soon as the kernel would take it; is_tls: not in
 * clear text.  May not call back. */
extern void (*fake_on_output)(struct span bytes, bool is_tls);

/* Is it connecting, or in a handshake?  fake_ready ends that. */
bool fake_is_waiting(void);
void fake_ready(void);
/* These bytes arrive. */
void fake_arrive(struct span bytes);
/* The connection ends so. */
void fake_end(enum conn_end why);
/* From now on the kernel takes nothing; or all that is kept, and more. */
void fake_block(bool is_blocked);
bool fake_has_deadline(void);

#endif
