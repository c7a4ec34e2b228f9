#include "config/options.h"

#include <stddef.h>

#include "common/base/assert.h"
#include "common/base/clock.h"

#define AT(f) offsetof(struct config, f), 0
#define LIST(f, n) offsetof(struct config, f), offsetof(struct config, n)
#define L_AT(f) offsetof(struct config_listen, f), 0
#define L_LIST(f, n)                                                           \
	offsetof(struct config_listen, f), offsetof(struct config_listen, n)

#define D_AT(f) offsetof(struct config_dnsbl, f), 0

#define NO_RANGE 0, 0
#define KIB(n) ((int64_t)(n) << 10)
#define GIB(n) ((int64_t)(n) << 30)
#define TIB(n) ((int64_t)(n) << 40)
#define TENTH (SECONDS(1) / 10)

/* clang-format off */
const struct option config_options[] = {
	/* path, kind, flags, field, least, most, default, help */
	{ "hostname", K_HOST, 0, AT(hostname), NO_RANGE, NULL,
	  "this host: banner, EHLO, Received, "
	  "and the MX name that means \"me\"" },
	{ "aliases", K_ALIASES, 0, LIST(aliases, alias_count), NO_RANGE, "[ ]",
	  "further names or addresses of this host in MX sets" },
	{ "domains", K_PATH, 0, AT(domains_path), NO_RANGE, NULL,
	  "the allowlist, see mx20-domains(5)" },
	{ "listen", K_LISTEN, 0, LIST(listen, listen_count), NO_RANGE,
	  "( { address = \"*\"; port = 25; } )",
	  "where SMTP clients connect" },
	{ "user", K_TEXT, MAY_BE_EMPTY | NEEDS_RESTART,
	  AT(user), NO_RANGE, "\"mx20\"",
	  "whom to become after the ports are bound, when started as root" },
	{ "postmaster", K_MAILBOX, MAY_BE_EMPTY,
	  AT(postmaster), NO_RANGE, "\"\"",
	  "where mail to <postmaster> without a domain goes" },
	{ "control", K_PATH, NEEDS_RESTART, AT(control_path), NO_RANGE,
	  "\"/run/mx20/control.sock\"", "the socket of mx20ctl" },

	{ "spool.path", K_PATH, NEEDS_RESTART,
	  AT(spool.path), NO_RANGE, "\"/var/spool/mx20\"",
	  "directory of the spool" },
	{ "spool.size", K_SIZE, HAS_RANGE,
	  AT(spool.size_bytes), KIB(64), TIB(16),
	  "\"64G\"", "what the spool may use at most" },
	{ "spool.reserve", K_SIZE, HAS_RANGE,
	  AT(spool.reserve_bytes), 0, TIB(16),
	  "\"256M\"", "what stays free on its disk" },
	{ "spool.lifetime", K_TIME, HAS_RANGE,
	  AT(spool.lifetime_ms), SECONDS(1),
	  DAYS(365), "\"14d\"", "how long mail waits before it is returned" },
	{ "spool.warn_after", K_TIME, HAS_RANGE | MAY_BE_EMPTY,
	  AT(spool.warn_after_ms), 0, DAYS(365),
	  "\"0\"", "when a sender is told of the delay; 0: never" },

	{ "limits.message_size", K_SIZE, HAS_RANGE,
	  AT(limits.message_bytes), KIB(1),
	  GIB(4), "\"50M\"", "largest message, announced with SIZE" },
	{ "limits.recipients", K_COUNT, HAS_RANGE,
	  AT(limits.recipients), 1, 100000,
	  "1000", "recipients of one message" },
	{ "limits.connections", K_COUNT, HAS_RANGE,
	  AT(limits.connections), 1, 1000000,
	  "10000", "sessions at once, of all clients" },
	{ "limits.connections_per_client", K_COUNT, HAS_RANGE,
	  AT(limits.connections_per_client), 1, 1000000,
	  "50", "sessions at once, of one client" },
	{ "limits.connection_rate", K_COUNT, HAS_RANGE,
	  AT(limits.connection_rate), 0,
	  1000000, "0",
	  "new connections a minute, of one client; 0: no limit" },
	{ "limits.command_timeout", K_TIME, HAS_RANGE,
	  AT(limits.command_timeout_ms),
	  TENTH, HOURS(1), "\"5m\"",
	  "how long a client may take for a command" },
	{ "limits.data_timeout", K_TIME, HAS_RANGE, AT(limits.data_timeout_ms),
	  TENTH, HOURS(1), "\"3m\"", "how long content may stall" },
	{ "limits.errors", K_COUNT, HAS_RANGE,
	  AT(limits.errors), 1, 100000, "10",
	  "refused commands before a session is ended" },
	{ "limits.hops", K_COUNT, HAS_RANGE, AT(limits.hops), 1, 1000, "100",
	  "Received fields before a message counts as looping" },
	{ "limits.processors", K_COUNT, HAS_RANGE | NEEDS_RESTART,
	  AT(limits.processors), 0, 1024, "0",
	  "how many there are for us; 0: as many as we may run on" },

	{ "drain.probe_max", K_TIME, HAS_RANGE,
	  AT(drain.probe_max_ms), TENTH, DAYS(1),
	  "\"30s\"", "longest wait between probes of a primary that is down" },
	{ "drain.probe_busy", K_TIME, HAS_RANGE,
	  AT(drain.probe_busy_ms), TENTH, DAYS(1),
	  "\"30s\"", "shortest wait after a primary answered 4yz or 421" },
	{ "drain.connections", K_COUNT, HAS_RANGE,
	  AT(drain.connections), 1, 1000, "10",
	  "connections to one destination" },
	{ "drain.retry", K_TIMES, HAS_RANGE,
	  LIST(drain.retry_ms, drain.retry_count),
	  TENTH, DAYS(7), "[ \"1m\", \"5m\", \"15m\", \"1h\" ]",
	  "waits of a recipient after 4yz; the last one repeats" },
	{ "drain.connect_timeout", K_TIME, HAS_RANGE,
	  AT(drain.connect_timeout_ms),
	  TENTH, HOURS(1), "\"30s\"", "how long connecting may take" },
	{ "drain.port", K_PORT, HAS_RANGE, AT(drain.port), 1, 65535, "25",
	  "port of every primary that says no other" },
	{ "drain.reply_timeout", K_TIME, HAS_RANGE | MAY_BE_EMPTY,
	  AT(drain.reply_timeout_ms), 0,
	  HOURS(1), "\"\"",
	  "how long a reply may take; empty: RFC 5321 section 4.5.3.2" },
	{ "drain.brake_window", K_TIME, HAS_RANGE | MAY_BE_EMPTY,
	  AT(drain.brake_window_ms), 0, HOURS(1), "\"60s\"",
	  "how long a refusal can be undone; 0: no brake" },
	{ "drain.brake_share", K_SHARE, HAS_RANGE,
	  AT(drain.brake_share), 0, SHARE_ALL, "0.2",
	  "more refusals of all outcomes pull the brake" },
	{ "drain.brake_least", K_COUNT, HAS_RANGE,
	  AT(drain.brake_least), 2, 100, "20",
	  "so many outcomes at least, before it is pulled" },
	{ "drain.canary_after", K_TIME, HAS_RANGE,
	  AT(drain.canary_after_ms), 0, DAYS(365), "\"60s\"",
	  "after a longer outage one message goes ahead" },

	{ "dns.servers", K_SERVERS, 0,
	  LIST(dns.servers, dns.server_count), NO_RANGE,
	  "[ ]", "resolvers, as \"127.0.0.1@53\"; empty: /etc/resolv.conf" },
	{ "dns.trust_anchor", K_PATH, MAY_BE_EMPTY,
	  AT(dns.trust_anchor), NO_RANGE, "\"\"",
	  "DNSSEC trust anchor; empty: the system's" },
	{ "dns.private", K_NETWORKS, 0,
	  LIST(dns.allowed, dns.allowed_count), NO_RANGE, "[ ]",
	  "networks that MX records may lead to although they are not public" },

	{ "tls.certificate", K_PATHS, MAY_BE_EMPTY,
	  LIST(tls.certificates, tls.pair_count), NO_RANGE, "\"\"",
	  "certificate chain (PEM), or a list; empty: no STARTTLS" },
	{ "tls.key", K_PATHS, MAY_BE_EMPTY,
	  LIST(tls.keys, tls.key_count), NO_RANGE, "\"\"",
	  "key of each certificate (PEM); empty: in the certificate's file" },
	{ "tls.outbound", K_TLS, 0, AT(tls.outbound), NO_RANGE, "\"may\"",
	  "TLS to primaries: none, may, must, verify or dane" },
	{ "tls.ca_file", K_PATH, MAY_BE_EMPTY,
	  AT(tls.ca_file), NO_RANGE, "\"\"",
	  "trusted roots (PEM); empty: the system's" },
	{ "tls.sts_port", K_PORT, HAS_RANGE, AT(tls.sts_port), 1, 65535, "443",
	  "HTTPS port of MTA-STS policy hosts; others are for test beds" },

	{ "bounce.mode", K_BOUNCE, 0, AT(bounce.mode), NO_RANGE, "\"proven\"",
	  "mail that failed: proven (report to who sent it), dsn or hold" },
	{ "bounce.shelf", K_TIME, HAS_RANGE, AT(bounce.shelf_ms),
	  0, DAYS(365), "\"7d\"",
	  "how long failed mail is kept of which no sender is told" },
	{ "bounce.digest", K_BOOL, 0, AT(bounce.digest), NO_RANGE, "true",
	  "one message a day to a domain's postmaster about its shelf" },
	{ "bounce.relay", K_HOP, MAY_BE_EMPTY,
	  AT(bounce.relay), NO_RANGE, "\"\"",
	  "HOST:PORT that takes our reports; empty: by MX" },
	{ "bounce.rate", K_COUNT, HAS_RANGE, AT(bounce.rate), 0, 1000000, "100",
	  "reports a minute to one domain, the others wait; 0: no limit" },

	{ "policy.verify_timeout", K_TIME, HAS_RANGE,
	  AT(policy.verify_timeout_ms), TENTH, MINUTES(1), "\"8s\"",
	  "how long a client waits for a primary's answer about a recipient" },
	{ "policy.known.positive", K_TIME, HAS_RANGE,
	  AT(policy.known.positive_ms), SECONDS(1), DAYS(365), "\"30d\"",
	  "how long a recipient counts as one, without the outages" },
	{ "policy.known.negative", K_TIME, HAS_RANGE,
	  AT(policy.known.negative_ms), SECONDS(1), DAYS(30), "\"2h\"",
	  "how long he counts as none, without the outages" },
	{ "policy.known.max", K_COUNT, HAS_RANGE,
	  AT(policy.known.max), 1, 100000000, "1000000",
	  "recipients that are known at most; the oldest are forgotten first" },
	{ "policy.pregreet", K_TIME, HAS_RANGE,
	  AT(policy.pregreet_ms), 0, MINUTES(1), "\"0\"",
	  "how long the greeting waits for who talks first; 0: not at all" },
	{ "policy.dnsbl", K_DNSBL, 0,
	  LIST(policy.dnsbl, policy.dnsbl_count), NO_RANGE, "( )",
	  "lists in DNS of clients whose mail is refused" },
	{ "policy.dnsbl_score", K_COUNT, HAS_RANGE,
	  AT(policy.dnsbl_score), 1, 10000, "1",
	  "so much weight of lists refuses a client" },
	{ "policy.rate.messages", K_COUNT, HAS_RANGE,
	  AT(policy.rate_messages), 0, 60000, "0",
	  "messages a minute from one network; 0: no limit" },
	{ "policy.rate.unknown", K_COUNT, HAS_RANGE,
	  AT(policy.rate_unknown), 0, 60000, "60",
	  "unknown recipients a minute from one network; 0: no limit" },
	{ "policy.trusted", K_NETWORKS, 0,
	  LIST(policy.trusted, policy.trusted_count), NO_RANGE, "[ ]",
	  "networks that pregreet, dnsbl and rate do not hold for" },
	{ "policy.quota", K_SIZE, HAS_RANGE,
	  AT(policy.quota_bytes), 0, TIB(16), "\"0\"",
	  "what may wait for one domain; 0: what there is room for" },
	{ "policy.require_tls", K_BOOL, 0,
	  AT(policy.require_tls), NO_RANGE, "false",
	  "mail is taken only over TLS" },
	{ "policy.unknown", K_UNKNOWN, 0, AT(policy.unknown), NO_RANGE,
	  "\"defer\"", "a recipient of whom nothing is known while nobody can "
	  "be asked: defer, accept or reject" },
	{ "policy.standby", K_STANDBY, 0, AT(policy.standby), NO_RANGE,
	  "\"relay\"", "mail that comes while the primary answers: relay, "
	  "defer or accept" },
	{ "policy.defer", K_TIME, HAS_RANGE,
	  AT(policy.defer_ms), SECONDS(1), HOURS(24), "\"60s\"",
	  "who comes back after that with the same mail is let in" },
	{ "policy.refresh", K_TIME, HAS_RANGE,
	  AT(policy.refresh_ms), SECONDS(1), DAYS(30), "\"15m\"",
	  "how often recipients=https://... are fetched" },

	{ "web.listen", K_PLACE, MAY_BE_EMPTY | NEEDS_RESTART,
	  AT(web.listen), NO_RANGE, "\"\"",
	  "where the status page and the metrics are; empty: nowhere" },

	{ "mirror.postgresql", K_TEXT, MAY_BE_EMPTY | NEEDS_RESTART,
	  AT(mirror.postgresql), NO_RANGE, "\"\"",
	  "database with a second copy of all mail; empty: none" },
	{ "mirror.node", K_TEXT, MAY_BE_EMPTY | NEEDS_RESTART,
	  AT(mirror.node), NO_RANGE, "\"\"",
	  "what this host is called in the database; empty: hostname" },
	{ "mirror.when_away", K_AWAY, 0, AT(mirror.when_away), NO_RANGE,
	  "\"accept\"",
	  "new mail while the database is away: accept or refuse" },
	{ "mirror.lease", K_TIME, HAS_RANGE,
	  AT(mirror.lease_ms), SECONDS(1), MINUTES(10), "\"30s\"",
	  "so long unheard of, and again so long, and others take its mail" },
	{ "mirror.patience", K_TIME, HAS_RANGE,
	  AT(mirror.patience_ms), 0, DAYS(7), "\"15m\"",
	  "how long mail that others may have is held without a lease" },

	{ "log.level", K_LOG, 0, AT(log_level), NO_RANGE, "\"info\"",
	  "error, warn, info or debug" },
};
const size_t config_option_count = COUNT(config_options);

const struct option listen_options[] = {
	{ "listen.address", K_BIND, 0, L_AT(address), NO_RANGE, "\"*\"",
	  "an address of this host; *: all, IPv4 and IPv6" },
	{ "listen.port", K_PORT, HAS_RANGE,
	  L_AT(port), 1, 65535, "25", "port" },
	{ "listen.proxy", K_BOOL, 0, L_AT(proxy), NO_RANGE, "false",
	  "clients come through a proxy that speaks the PROXY protocol" },
	{ "listen.networks", K_NETWORKS, 0,
	  L_LIST(proxy_from, proxy_from_count), NO_RANGE,
	  "[ \"127.0.0.0/8\", \"10.0.0.0/8\", \"172.16.0.0/12\", "
	  "\"192.168.0.0/16\", \"::1\", \"fc00::/7\" ]",
	  "where such proxies may connect from" },
	{ "listen.implicit_tls", K_BOOL, 0,
	  L_AT(implicit_tls), NO_RANGE, "false",
	  "TLS from the first byte, as on port 465" },
};
const size_t listen_option_count = COUNT(listen_options);

const struct option dnsbl_options[] = {
	{ "policy.dnsbl.zone", K_HOST, 0, D_AT(zone), NO_RANGE, NULL,
	  "the list's domain" },
	{ "policy.dnsbl.weight", K_COUNT, HAS_RANGE,
	  D_AT(weight), 1, 10000, "1", "what it counts" },
};
const size_t dnsbl_option_count = COUNT(dnsbl_options);
/* clang-format on */

/* Those that need a restart are numbers or text. */
static bool is_same(const struct option *o, const struct config *was,
		    const struct config *is)
{
	const char *p = (const char *)was + o->field;
	const char *q = (const char *)is + o->field;
	struct span a, b;

	if (o->kind == K_COUNT)
		return memcmp(p, q, sizeof(unsigned)) == 0;
	memcpy(&a, p, sizeof(a));
	memcpy(&b, q, sizeof(b));
	return span_eq(a, b);
}

void options_need_restart(const struct config *was, const struct config *is,
			  struct buf *notes)
{
	for (size_t i = 0; i < COUNT(config_options); i++) {
		const struct option *o = &config_options[i];

		if ((o->flags & NEEDS_RESTART) != 0 && !is_same(o, was, is))
			buf_addf(notes, "%s: a restart is needed\n", o->path);
	}
}
