/*
 * The configuration as one immutable snapshot: settings, allowlist,
 * recipients, TLS contexts.  A reload makes a new snapshot and swaps it.
 */
#ifndef MX_CONFIG_CONFIG_H
#define MX_CONFIG_CONFIG_H

#include "common/base/log.h"
#include "common/net/addr.h"
#include "common/net/tls.h"
#include "config/allow/domains.h"
#include "config/value/error.h"
#include "config/value/value.h"

enum { NODE_NAME_MAX = 63 }; /* mirror.node */

struct config {
	struct span path;                /* of mx20.conf, as it was given */
	/* mx20.conf, see mx20.conf(5) */
	struct span hostname;            /* canonical */
	const struct span *aliases; size_t alias_count;
	struct span domains_path;
	const struct config_listen *listen; size_t listen_count;
	struct span user;
	struct span postmaster;          /* mailbox or empty */
	struct span control_path;
	struct { struct span path; uint64_t size_bytes, reserve_bytes;
		 int64_t lifetime_ms, warn_after_ms; } spool;
	struct { uint64_t message_bytes; unsigned recipients, connections,
		 connections_per_client, connection_rate;
		 int64_t command_timeout_ms, data_timeout_ms;
		 unsigned errors, hops, processors; } limits;
	struct { int64_t probe_max_ms, probe_busy_ms; unsigned connections;
		 const int64_t *retry_ms; size_t retry_count;
		 int64_t connect_timeout_ms; in_port_t port;
		 int64_t reply_timeout_ms; /* 0: RFC 5321 s. 4.5.3.2 */
		 int64_t brake_window_ms;  /* 0: no brake */
		 unsigned brake_share;     /* in millionths */
		 unsigned brake_least;
		 int64_t canary_after_ms; } drain;
	struct { const struct span *servers; size_t server_count;
		 struct span trust_anchor;
		 const struct net_cidr *allowed; size_t allowed_count; } dns;
	struct { const struct span *certificates, *keys;
		 size_t pair_count, key_count; /* equal */
		 enum tls_level outbound; struct span ca_file;
		 in_port_t sts_port; } tls;
	struct {
		enum bounce_mode mode;
		int64_t shelf_ms;
		bool digest;
		struct config_hop relay;
		bool has_relay;
		unsigned rate;
	} bounce;
	/* who is let in; 0, empty and false: that gate is open */
	struct { bool require_tls; enum unknown_mode unknown; int64_t refresh_ms,
		 verify_timeout_ms;
		 enum standby_mode standby; int64_t defer_ms;
		 struct { int64_t positive_ms, negative_ms; unsigned max; }
		 known;
		 int64_t pregreet_ms; uint64_t quota_bytes;
		 unsigned rate_messages, rate_unknown;
		 const struct net_cidr *trusted; size_t trusted_count;
		 const struct config_dnsbl *dnsbl; size_t dnsbl_count;
		 unsigned dnsbl_score; } policy;
	struct { struct span listen; } web; /* ADDRESS:PORT or path; empty:
						off */
	struct { struct span postgresql; /* empty: off; has secrets */
		 struct span node; enum away_mode when_away;
		 int64_t lease_ms, patience_ms; } mirror;
	enum log_level log_level;

	/* made from the above */
	struct tls_server *tls_server;   /* NULL: no certificate */
	struct tls_client_ctx *tls_client;
	struct domains *domains;         /* see allow/domains.h */
	size_t domain_count, recipient_count;
	struct span doubts; /* what is legal but risky, one a line, as errors */
};

/*
 * Read everything from path.  Blocks, for seconds at ISP size: call it at
 * start, or on a thread (config/reload.h).  NULL when anything is wrong; then
 * errors lists all of it.  The result has one reference.
 */
struct config *config_load(const char *path, struct config_errors *errors);

/*
 * The same without allowlist, recipients and TLS files: what mx20ctl needs
 * (paths, hostname).
 */
struct config *config_load_settings(const char *path,
				    struct config_errors *errors);

/*
 * The same for whoever is to be of help while the file is being mended: in
 * spite of faults, which errors lists, there is a result if its syntax is right
 * and it has hostname, control and spool.path.  What is wrong in it is 0 or
 * empty.
 */
struct config *config_load_part(const char *path, struct config_errors *errors);

/* The same without our own certificates and keys, which not everybody may read:
 * with allowlist, recipients and the client side of TLS.  Blocks, as
 * config_load. */
struct config *config_load_lists(const char *path,
				 struct config_errors *errors);

/* Snapshots are shared by counting: sessions and the drain keep theirs across
 * a reload.  The last release of a large one happens on a thread of its own,
 * so that freeing never stalls the loop.  Thread-safe. */
/* A target that was not heard of for so long is neither up nor down. */
int64_t config_stale_ms(const struct config *c);

/* When the certificate that ends first does (wall); 0: there is none. */
int64_t config_certificate_end_ms(const struct config *c);

struct config *config_ref(struct config *c);
void config_unref(struct config **c);

/* Append that there is no such user as it names, and what to do. */
void config_no_user(const struct config *c, struct buf *why);

/* Log the doubts. */
void config_warn(const struct config *c);

#endif
