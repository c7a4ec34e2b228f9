#include "config/options.h"

#include <stddef.h>

#include "common/base/assert.h"
#include "common/base/clock.h"

#define AT(f) offsetof(struct config, f), 0
#define LIST(f, n) offsetof(struct config, f), offsetof(struct config, n)
#define L_AT(f) offsetof(struct config_listen, f), 0
#define L_LIST(f, n)                                                           \
	offsetof(struct config_listen, f), offsetof(struct config_listen, n)

#define KIB(n) ((int64_t)(n) << 10)
#define GIB(n) ((int64_t)(n) << 30)
#define TIB(n) ((int64_t)(n) << 40)
#define TENTH (SECONDS(1) / 10)

/* clang-format off */
const struct option config_options[] = {
	/* path, kind, field, least, most, default, help */
	{ "hostname", K_HOST, AT(hostname), 0, 0, NULL,
	  "this host: banner, EHLO, Received, and the MX name that means \"me\"" },
	{ "aliases", K_ALIASES, LIST(aliases, alias_count), 0, 0, "[ ]",
	  "further names or addresses of this host in MX sets" },
	{ "domains", K_PATH, AT(domains_path), 0, 0, NULL,
	  "the allowlist, see mx20-domains(5)" },
	{ "listen", K_LISTEN, LIST(listen, listen_count), 0, 0,
	  "( { address = \"*\"; port = 25; } )",
	  "where SMTP clients connect" },
	{ "user", K_TEXT, AT(user), 0, 0, "\"mx20\"",
	  "whom to become after the ports are bound, when started as root" },
	{ "postmaster", K_MAILBOX, AT(postmaster), 0, 0, "\"\"",
	  "where mail to <postmaster> without a domain goes" },
	{ "control", K_PATH, AT(control_path), 0, 0,
	  "\"/run/mx20/control.sock\"", "the socket of mx20ctl" },

	{ "spool.path", K_PATH, AT(spool.path), 0, 0, "\"/var/spool/mx20\"",
	  "directory of the spool" },
	{ "spool.size", K_SIZE, AT(spool.size_bytes), KIB(64), TIB(16),
	  "\"64G\"", "what the spool may use at most" },
	{ "spool.reserve", K_SIZE, AT(spool.reserve_bytes), 0, TIB(16),
	  "\"256M\"", "what stays free on its disk" },
	{ "spool.lifetime", K_TIME, AT(spool.lifetime_ms), SECONDS(1),
	  DAYS(365), "\"14d\"", "how long mail waits before it is returned" },
	{ "spool.warn_after", K_TIME, AT(spool.warn_after_ms), 0, DAYS(365),
	  "\"0\"", "when a sender is told of the delay; 0: never" },

	{ "limits.message_size", K_SIZE, AT(limits.message_bytes), KIB(1),
	  GIB(4), "\"50M\"", "largest message, announced with SIZE" },
	{ "limits.recipients", K_COUNT, AT(limits.recipients), 1, 100000,
	  "1000", "recipients of one message" },
	{ "limits.connections", K_COUNT, AT(limits.connections), 1, 1000000,
	  "10000", "sessions at once, of all clients" },
	{ "limits.connections_per_client", K_COUNT,
	  AT(limits.connections_per_client), 1, 1000000,
	  "50", "sessions at once, of one client" },
	{ "limits.connection_rate", K_COUNT, AT(limits.connection_rate), 0,
	  1000000, "0", "new connections a minute, of one client; 0: no limit" },
	{ "limits.command_timeout", K_TIME, AT(limits.command_timeout_ms),
	  TENTH, HOURS(1), "\"5m\"", "how long a client may take for a command" },
	{ "limits.data_timeout", K_TIME, AT(limits.data_timeout_ms),
	  TENTH, HOURS(1), "\"3m\"", "how long content may stall" },
	{ "limits.errors", K_COUNT, AT(limits.errors), 1, 100000, "10",
	  "refused commands before a session is ended" },
	{ "limits.hops", K_COUNT, AT(limits.hops), 1, 1000, "100",
	  "Received fields before a message counts as looping" },

	{ "drain.probe_max", K_TIME, AT(drain.probe_max_ms), TENTH, DAYS(1),
	  "\"30s\"", "longest wait between probes of a primary that is down" },
	{ "drain.probe_busy", K_TIME, AT(drain.probe_busy_ms), TENTH, DAYS(1),
	  "\"30s\"", "shortest wait after a primary answered 4yz or 421" },
	{ "drain.connections", K_COUNT, AT(drain.connections), 1, 1000, "10",
	  "connections to one destination" },
	{ "drain.retry", K_TIMES, LIST(drain.retry_ms, drain.retry_count),
	  TENTH, DAYS(7), "[ \"1m\", \"5m\", \"15m\", \"1h\" ]",
	  "waits of a recipient after 4yz; the last one repeats" },
	{ "drain.connect_timeout", K_TIME, AT(drain.connect_timeout_ms),
	  TENTH, HOURS(1), "\"30s\"", "how long connecting may take" },
	{ "drain.port", K_PORT, AT(drain.port), 1, 65535, "25",
	  "port of every primary that says no other" },
	{ "drain.reply_timeout", K_TIME, AT(drain.reply_timeout_ms), 0,
	  HOURS(1), "\"\"",
	  "how long a reply may take; empty: RFC 5321 section 4.5.3.2" },

	{ "dns.servers", K_SERVERS, LIST(dns.servers, dns.server_count), 0, 0,
	  "[ ]", "resolvers, as \"127.0.0.1@53\"; empty: /etc/resolv.conf" },
	{ "dns.trust_anchor", K_PATH, AT(dns.trust_anchor), 0, 0, "\"\"",
	  "DNSSEC trust anchor; empty: the system's" },
	{ "dns.private", K_NETWORKS, LIST(dns.allowed, dns.allowed_count),
	  0, 0, "[ ]",
	  "networks that MX records may lead to although they are not public" },

	{ "tls.certificate", K_PATHS,
	  LIST(tls.certificates, tls.pair_count), 0, 0, "\"\"",
	  "certificate chain (PEM), or a list; empty: no STARTTLS" },
	{ "tls.key", K_PATHS, LIST(tls.keys, tls.key_count), 0, 0, "\"\"",
	  "key of each certificate (PEM); empty: in the certificate's file" },
	{ "tls.outbound", K_TLS, AT(tls.outbound), 0, 0, "\"may\"",
	  "TLS to primaries: none, may, must, verify or dane" },
	{ "tls.ca_file", K_PATH, AT(tls.ca_file), 0, 0, "\"\"",
	  "trusted roots (PEM); empty: the system's" },
	{ "tls.sts_port", K_PORT, AT(tls.sts_port), 1, 65535, "443",
	  "HTTPS port of MTA-STS policy hosts; others are for test beds" },

	{ "bounce.mode", K_BOUNCE, AT(bounce.mode), 0, 0, "\"dsn\"",
	  "mail that failed: dsn (report to the sender) or hold" },
	{ "bounce.relay", K_HOP, AT(bounce.relay), 0, 0, "\"\"",
	  "HOST:PORT that takes our reports; empty: by MX" },
	{ "bounce.rate", K_COUNT, AT(bounce.rate), 0, 1000000, "100",
	  "reports a minute to one domain, the others wait; 0: no limit" },

	{ "log.level", K_LOG, AT(log_level), 0, 0, "\"info\"",
	  "error, warn, info or debug" },
};
const size_t config_option_count = COUNT(config_options);

const struct option listen_options[] = {
	{ "listen.address", K_BIND, L_AT(address), 0, 0, "\"*\"",
	  "an address of this host; *: all, IPv4 and IPv6" },
	{ "listen.port", K_PORT, L_AT(port), 1, 65535, "25", "port" },
	{ "listen.proxy", K_BOOL, L_AT(proxy), 0, 1, "false",
	  "clients come through a proxy that speaks the PROXY protocol" },
	{ "listen.networks", K_NETWORKS, L_LIST(proxy_from, proxy_from_count),
	  0, 0, "[ \"127.0.0.0/8\", \"10.0.0.0/8\", \"172.16.0.0/12\", "
	  "\"192.168.0.0/16\", \"::1\", \"fc00::/7\" ]",
	  "where such proxies may connect from" },
	{ "listen.implicit_tls", K_BOOL, L_AT(implicit_tls), 0, 1, "false",
	  "TLS from the first byte, as on port 465" },
};
const size_t listen_option_count = COUNT(listen_options);
/* clang-format on */
