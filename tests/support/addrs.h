/* Addresses of clients that tests make up. */
#ifndef MX_TESTS_ADDRS_H
#define MX_TESTS_ADDRS_H

#include "common/net/addr.h"

/* "192.0.2.1"; one that is none fails the test. */
struct net_addr addr_at(const char *text);
/* The nth address of 10.0.0.0/8. */
struct net_addr addr_number(unsigned n);

#endif
