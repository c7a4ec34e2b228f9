/* A name server on loopback for unit tests: a table, UDP, the test's loop. */
#ifndef MX_TESTS_NAMESERVER_H
#define MX_TESTS_NAMESERVER_H

#include <ev.h>
#include <netinet/in.h>

#include "common/base/span.h"

struct nameserver_record {
	const char *name;  /* no last dot */
	const char *value; /* A: "192.0.2.1"; MX: "10 mx.test" */
	unsigned type;	   /* DNS_A, DNS_MX */
};

struct nameserver {
	ev_io io;
	in_port_t port;
	const struct nameserver_record *records;
	size_t count;
	bool is_silent;
	unsigned asked; /* questions that came */
};

/* Names that no record has are NXDOMAIN, types that a name has not NODATA. */
void nameserver_start(struct nameserver *n, struct ev_loop *loop,
		      const struct nameserver_record *records, size_t count);
void nameserver_stop(struct nameserver *n, struct ev_loop *loop);

#endif
