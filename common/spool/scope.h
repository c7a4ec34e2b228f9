/*
 * The names of what an order is about: a domain, a pattern of domains, a
 * destination.  Pure.
 *
 *   example.org        a domain
 *   *.example.org      its subdomains, at any depth, and not itself
 *   @mx1.example.org   a destination, as it is stored: whatever has a host
 *                      of that name
 */
#ifndef MX_SPOOL_SCOPE_H
#define MX_SPOOL_SCOPE_H

#include "common/base/buf.h"

/* Append the canonical form of a domain or pattern.  False, with nothing
 * appended: it is neither. */
bool scope_domain_canon(struct buf *out, struct span text);

bool scope_is_pattern(struct span name);
/* Is the domain below the pattern? */
bool scope_covers(struct span pattern, struct span domain);
/* The next pattern that covers a domain, the nearest first: *name is at first
 * the domain, then what the call before left.  False: no more. */
bool scope_next_pattern(struct span *name, struct buf *out);

/* The row that a hold of a destination is stored in, and back. */
enum { SCOPE_DESTINATION_MAX = 250 };
bool scope_is_destination(struct span row);
struct span scope_destination(struct span row);

/*
 * Does name mean this target ("mx.example.org[192.0.2.1]:25")?  Its whole
 * name, or its host or its address, with or without its port.
 */
bool scope_names_target(struct span target, struct span name);
/* The same for a route's key ("mx1.example.org:25,[2001:db8::1]:25 tls=may"):
 * the key, without " tls=..." as well, or one of its hosts. */
bool scope_names_route(struct span key, struct span name);

#endif
