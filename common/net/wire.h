/*
 * Threads that serve the sockets of clients and their TLS.
 *
 * What a connection costs is mostly the kernel's calls and the records of TLS,
 * not what is said.  So with many processors these are done by some threads,
 * and the loop keeps what belongs in one hand: who may say what, and the spool.
 */
#ifndef MX_NET_WIRE_H
#define MX_NET_WIRE_H

#include <ev.h>

enum { WIRE_THREADS_MAX = 16 };

/* How many of them are of use with so many processors: none with few, where
 * going from thread to thread costs more than it wins. */
unsigned wire_threads_for(unsigned processors);

/*
 * From now on conn_new_spread gives this loop's connections to so many threads
 * in turn; with 0, or if none can be had, to the loop.  Once per process, after
 * tls_threads_start.  Stop when the connections are gone, before
 * tls_threads_stop.
 */
void wire_threads_start(struct ev_loop *loop, unsigned count);
void wire_threads_stop(void);

#endif
