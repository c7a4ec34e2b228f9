/* Every link of the chain; policy.c has their order. */
#ifndef MX_POLICY_LINKS_H
#define MX_POLICY_LINKS_H

#include "daemon/policy/gate.h"

/* MAIL: is the session encrypted, where it must be? */
extern const struct gate_link link_require_tls;
/* RCPT: what does the path stand for, and can it be a recipient at all? */
extern const struct gate_link link_rcpt;
/* RCPT: is the domain ours?  Its arg: the policy's options. */
extern const struct gate_link link_listed;
/* RCPT: does the domain have such a recipient?  Its arg: what is known of them;
 * NULL: nothing, and nobody is asked. */
extern const struct gate_link link_recipients;
/* RCPT: is it known that the domain takes no mail?  Its arg: the router. */
extern const struct gate_link link_null_mx;
/* The end of the content: has the mail been here too often? */
extern const struct gate_link link_hops;

#endif
