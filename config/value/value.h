/* Values as a person writes them in mx20.conf and the allowlist; pure. */
#ifndef MX_VALUE_H
#define MX_VALUE_H

#include "common/base/buf.h"
#include "common/net/addr.h"

/* clang-format off */
#define TLS_LEVELS(X) \
	X(NONE, "none") X(MAY, "may") X(MUST, "must") X(VERIFY, "verify") \
	X(DANE, "dane")
/* clang-format on */

#define TLS_LEVEL_ENUM(id, name) TLS_LEVEL_##id,
enum tls_level { TLS_LEVEL_DEFAULT, TLS_LEVELS(TLS_LEVEL_ENUM) };
#undef TLS_LEVEL_ENUM
enum bounce_mode { BOUNCE_DSN, BOUNCE_HOLD, BOUNCE_PROVEN };
/* What a recipient hears of whom nobody can say now whether he exists. */
enum unknown_mode { UNKNOWN_DEFER, UNKNOWN_ACCEPT, UNKNOWN_REJECT };
/* What a domain's mail meets here while its primary answers: it is taken, or
 * sent there, or carried there while it arrives. */
/* What becomes of new mail while the mirror is away. */
enum away_mode { AWAY_ACCEPT, AWAY_REFUSE };
enum standby_mode { STANDBY_ACCEPT, STANDBY_DEFER, STANDBY_RELAY,
		    STANDBY_MODES };

/* A list of clients in DNS. */
struct config_dnsbl {
	struct span zone;
	unsigned weight;
};

struct config_listen {
	struct span address;     /* "*" or an address */
	in_port_t port;
	bool proxy;              /* PROXY protocol */
	struct net_cidr *proxy_from;
	size_t proxy_from_count;
	bool implicit_tls;
};

/* One next hop as the configuration names it. */
struct config_hop {
	struct span host;        /* name, or empty when addr is a literal */
	struct net_addr addr;    /* AF_UNSPEC when host is a name */
	in_port_t port;
};

/* "500ms" "5s" "10m" "4h" "14d" "2w"; without a unit 0 alone. */
bool value_time(struct span text, int64_t *ms);
/* "4096" "64K" "50M" "64G" "1T", powers of 1024. */
bool value_size(struct span text, int64_t *bytes);
/* "0.2" "1" ".05": from 0 to 1, in millionths; what is finer is cut. */
enum { SHARE_ALL = 1000000 };
bool value_share(struct span text, int64_t *millionths);
/* "14": digits alone, and not 0.  Seconds, days?  Whoever wrote it knows. */
bool value_lacks_unit(struct span text);

/* Append in the largest unit that divides it: "14d", "64G". */
void value_time_add(struct buf *out, int64_t ms);
void value_size_add(struct buf *out, int64_t bytes);
void value_share_add(struct buf *out, int64_t millionths);

/* For people: the largest unit it has one of, "39.2G". */
void value_size_round(struct buf *out, int64_t bytes);

/* A word of a list that ends with NULL: its index. */
bool value_word(const char *const *words, struct span text, int64_t *index);

/* "must"; not of TLS_LEVEL_DEFAULT, which is written by leaving it out. */
const char *value_tls_name(enum tls_level level);
bool value_tls(struct span text, enum tls_level *level);

/*
 * HOST[:PORT], IPv4-ADDRESS[:PORT] or [ADDRESS][:PORT].  Without a port it is
 * 0.  The canonical name goes to *name, which out->host borrows;
 * empty for an address.  No address where no server can be: 0.0.0.0/8, ::,
 * multicast, and 240.0.0.0/4 with broadcast.
 */
bool value_hop(struct span text, struct buf *name, struct config_hop *out);
/* Append "mx.example.org:25" or "[192.0.2.1]:25". */
void value_hop_add(struct buf *out, const struct config_hop *hop);

/* Does it read as ADDRESS:PORT, or a part of that, well-formed or not, and not
 * as a path? */
bool value_is_endpoint(struct span text);

/* The directory of a file with its slash; empty: the current one. */
struct span value_dir(struct span path);

#endif
