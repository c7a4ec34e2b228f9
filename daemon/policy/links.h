/* Every link of the chain; policy.c has their order. */
#ifndef MX_POLICY_LINKS_H
#define MX_POLICY_LINKS_H

#include "daemon/policy/gate.h"

struct dnsbl;
struct policy_options;
struct rates;
struct returns;

/* Connection: does it wait for the greeting?  Its arg: the policy's options,
 * with a loop. */
extern const struct gate_link link_pregreet;
/* MAIL: too many messages a minute from this network?  RCPT that was refused:
 * too many guesses? */
struct rate_arg {
	const struct policy_options *opt;
	struct rates *rates;
};
extern const struct gate_link link_rate;
/* Connection: which lists name the client?  RCPT: is it listed too much? */
struct dnsbl_arg {
	const struct policy_options *opt;
	struct dnsbl *dnsbl;
};
extern const struct gate_link link_dnsbl;
/* MAIL: is the session encrypted, where it must be? */
extern const struct gate_link link_require_tls;
/* RCPT: what does the path stand for, and can it be a recipient at all? */
extern const struct gate_link link_rcpt;
/* RCPT: is the domain ours?  Its arg: the policy's options. */
extern const struct gate_link link_listed;
/* RCPT: does the domain have such a recipient?  Its arg is that of the rate; the
 * primary is asked for nobody who has guessed enough. */
extern const struct gate_link link_recipients;
/* RCPT: is it meant for another mailbox, elsewhere? */
extern const struct gate_link link_routed;
/* RCPT: is it known that the domain takes no mail?  Its arg: the router. */
extern const struct gate_link link_null_mx;
/* RCPT: with standby=defer, does the primary answer, and has the client not been
 * sent there before? */
struct defer_arg {
	const struct policy_options *opt;
	struct returns *returns;
};
extern const struct gate_link link_defer;
/* RCPT, and the end: is it more than the primary said that it takes?  Its arg:
 * the policy's options, which say what it lacks. */
extern const struct gate_link link_promise;
/* RCPT: may something wait for one more subdomain of a line with a star?  Its
 * arg: the policy's options. */
extern const struct gate_link link_subdomains;
/* RCPT: does the domain have room in its quota?  The writer of the spool judges
 * again, exactly, at the end.  Its arg: the policy's options. */
extern const struct gate_link link_quota;
/* What the others refused is counted: it hears it as it is said, behind all of
 * them.  Its arg: the counts. */
extern const struct gate_link link_rejections;
/* The end of the content: has the mail been here too often? */
extern const struct gate_link link_hops;

#endif
