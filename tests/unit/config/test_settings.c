#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "config/options.h"
#include "tests/support/folder.h"

static struct folder folder;

static void setup(void)
{
	folder_make(&folder);
}

static void teardown(void)
{
	folder_remove(&folder);
}

TestSuite(settings, .init = setup, .fini = teardown);

#define NEEDED "hostname = \"mx2.example.net\"; domains = \"domains\";\n"

static struct config *settings(const char *text, struct config_errors *errors)
{
	return config_load_settings(folder_write(&folder, "mx20.conf", text),
				    errors);
}

/* Load what must load. */
static struct config *good(const char *text)
{
	struct config_errors errors = { 0 };
	struct config *c = settings(text, &errors);

	cr_assert_not_null(c, "%s: %s", text, buf_cstr(&errors.text));
	config_errors_fini(&errors);
	return c;
}

static struct config *good_with(const char *text)
{
	struct buf all = { 0 };
	struct config *c;

	buf_addf(&all, NEEDED "%s", text);
	c = good(buf_cstr(&all));
	buf_fini(&all);
	return c;
}

static void expect_span(struct span s, const char *text)
{
	cr_expect(span_eq(s, span_str(text)), "%.*s is not %s", SPAN_ARG(s),
		  text);
}

Test(settings, defaults)
{
	struct config *c = good(NEEDED);

	expect_span(c->hostname, "mx2.example.net");
	expect_span(c->domains_path, folder_path(&folder, "domains"));
	cr_assert_eq(c->listen_count, 1);
	expect_span(c->listen[0].address, "*");
	cr_expect_eq(c->listen[0].port, 25);
	cr_expect_not(c->listen[0].proxy);
	cr_expect_not(c->listen[0].implicit_tls);
	cr_expect_eq(c->alias_count, 0);
	expect_span(c->user, "mx20");
	expect_span(c->postmaster, "");
	expect_span(c->control_path, "/run/mx20/control.sock");
	expect_span(c->spool.path, "/var/spool/mx20");
	cr_expect_eq(c->spool.size_bytes, 64ULL << 30);
	cr_expect_eq(c->spool.reserve_bytes, 256ULL << 20);
	cr_expect_eq(c->spool.lifetime_ms, DAYS(14));
	cr_expect_eq(c->spool.warn_after_ms, 0);
	cr_expect_eq(c->limits.message_bytes, 50ULL << 20);
	cr_expect_eq(c->limits.recipients, 1000);
	cr_expect_eq(c->limits.connections, 10000);
	cr_expect_eq(c->limits.connections_per_client, 50);
	cr_expect_eq(c->limits.connection_rate, 0);
	cr_expect_eq(c->limits.command_timeout_ms, MINUTES(5));
	cr_expect_eq(c->limits.data_timeout_ms, MINUTES(3));
	cr_expect_eq(c->limits.errors, 10);
	cr_expect_eq(c->limits.hops, 100);
	cr_expect_eq(c->limits.processors, 0);
	cr_expect_eq(c->drain.probe_max_ms, SECONDS(30));
	cr_expect_eq(c->drain.probe_busy_ms, SECONDS(30));
	cr_expect_eq(c->drain.connections, 10);
	cr_assert_eq(c->drain.retry_count, 4);
	cr_expect_eq(c->drain.retry_ms[0], MINUTES(1));
	cr_expect_eq(c->drain.retry_ms[3], HOURS(1));
	cr_expect_eq(c->drain.connect_timeout_ms, SECONDS(30));
	cr_expect_eq(c->drain.port, 25);
	cr_expect_eq(c->drain.reply_timeout_ms, 0);
	cr_expect_eq(c->drain.brake_window_ms, SECONDS(60));
	cr_expect_eq(c->drain.brake_share, 200000);
	cr_expect_eq(c->drain.brake_least, 20);
	cr_expect_eq(c->drain.canary_after_ms, SECONDS(60));
	cr_expect_eq(c->dns.server_count, 0);
	expect_span(c->dns.trust_anchor, "");
	cr_expect_eq(c->tls.pair_count, 0);
	cr_expect_eq(c->tls.outbound, TLS_LEVEL_MAY);
	expect_span(c->tls.ca_file, "");
	cr_expect_eq(c->bounce.mode, BOUNCE_PROVEN);
	cr_expect_not(c->bounce.has_relay);
	cr_expect_eq(c->policy.pregreet_ms, 0);
	cr_expect_eq(c->policy.dnsbl_count, 0);
	cr_expect_eq(c->policy.dnsbl_score, 1);
	cr_expect_eq(c->policy.rate_messages, 0);
	cr_expect_eq(c->policy.rate_unknown, 60);
	cr_expect_eq(c->policy.trusted_count, 0);
	cr_expect_eq(c->policy.quota_bytes, 0);
	cr_expect_eq(c->policy.defer_ms, SECONDS(60));
	cr_expect_eq(c->mirror.postgresql.n, 0);
	cr_expect(span_eq(c->mirror.node, c->hostname));
	cr_expect_eq(c->mirror.lease_ms, SECONDS(30));
	cr_expect_eq(c->mirror.when_away, AWAY_ACCEPT);
	cr_expect_not(c->policy.require_tls);
	cr_expect_eq(c->log_level, LOG_LEVEL_INFO);
	config_unref(&c);
}

Test(settings, values_reach_their_place)
{
	struct config *c = good(
		"hostname = \"MX2.Example.NET.\"; domains = \"/etc/d\";\n"
		"aliases = [ \"Backup.example.org\", \"2001:DB8:0::1\" ];\n"
		"listen = ( { address = \"127.0.0.1\"; port = 2525; },\n"
		"  { proxy = true; networks = [ \"10.0.0.0/8\", \"::1\" ]; },\n"
		"  { proxy = true; port = 26; } );\n"
		"user = \"\"; postmaster = \"ops@example.net\";\n"
		"control = \"c.sock\";\n"
		"spool = { path = \"q\"; size = 3000000000L; lifetime = \"1h\";\n"
		"  reserve = \"1M\"; warn_after = \"4m\"; };\n"
		"drain = { retry = ( \"500ms\" ); port = 2526;\n"
		"  reply_timeout = \"7s\"; brake_share = 0.05;\n"
		"  brake_window = \"0\"; };\n"
		"dns = { servers = [ \"127.0.0.1@5353\", \"::1@5353\" ]; };\n"
		"tls = { certificate = \"both.pem\"; outbound = \"dane\"; };\n"
		"bounce = { mode = \"hold\"; relay = \"Out.example.net\"; };\n"
		"log = { level = \"debug\"; };\n");

	expect_span(c->hostname, "mx2.example.net");
	expect_span(c->domains_path, "/etc/d");
	cr_assert_eq(c->alias_count, 2);
	expect_span(c->aliases[0], "backup.example.org");
	expect_span(c->aliases[1], "2001:db8::1");
	cr_assert_eq(c->listen_count, 3);
	cr_expect_eq(c->listen[0].port, 2525);
	cr_expect_eq(c->listen[1].port, 25);
	cr_expect(c->listen[1].proxy);
	cr_assert_eq(c->listen[1].proxy_from_count, 2);
	cr_expect_eq(c->listen[1].proxy_from[0].bits, 8);
	cr_expect_eq(c->listen[2].proxy_from_count, 6, "private networks");
	expect_span(c->postmaster, "ops@example.net");
	expect_span(c->control_path, folder_path(&folder, "c.sock"));
	expect_span(c->spool.path, folder_path(&folder, "q"));
	cr_expect_eq(c->spool.size_bytes, 3000000000);
	cr_expect_eq(c->spool.lifetime_ms, HOURS(1));
	cr_expect_eq(c->spool.warn_after_ms, MINUTES(4));
	cr_assert_eq(c->drain.retry_count, 1);
	cr_expect_eq(c->drain.retry_ms[0], 500);
	cr_expect_eq(c->drain.reply_timeout_ms, SECONDS(7));
	cr_expect_eq(c->drain.brake_share, 50000);
	cr_expect_eq(c->drain.brake_window_ms, 0);
	cr_assert_eq(c->dns.server_count, 2);
	expect_span(c->dns.servers[1], "::1@5353");
	/* no key: it stands in the certificate's file */
	cr_assert_eq(c->tls.pair_count, 1);
	cr_expect_eq(c->tls.key_count, 1);
	expect_span(c->tls.keys[0], folder_path(&folder, "both.pem"));
	cr_expect_eq(c->tls.outbound, TLS_LEVEL_DANE);
	cr_expect_eq(c->bounce.mode, BOUNCE_HOLD);
	cr_expect(c->bounce.has_relay);
	expect_span(c->bounce.relay.host, "out.example.net");
	cr_expect_eq(c->bounce.relay.port, 2526);
	cr_expect_eq(c->log_level, LOG_LEVEL_DEBUG);
	config_unref(&c);
}

/* Each fault by itself, behind one line with what is needed. */
Test(settings, faults_name_line_and_accepted_values)
{
	/* clang-format off */
	static const struct { const char *text, *error; } cases[] = {
		{ "hostnam = \"a\";",
		  "mx20.conf:2: hostnam: unknown key; known here: hostname aliases domains listen user postmaster control spool limits drain dns tls bounce policy web mirror log\n" },
		{ "\nspool = { path = \"x\";\n sise = \"1G\"; };",
		  "mx20.conf:4: spool.sise: unknown key; known here: path size reserve lifetime warn_after\n" },
		{ "listen = ( { port = 25; tls = true; } );",
		  "mx20.conf:2: listen.tls: unknown key; known here: address port proxy networks implicit_tls\n" },
		{ "limits = 5;",
		  "mx20.conf:2: limits: expected a group: limits = { ... };\n" },
		{ "limits = { hops = 0; };",
		  "mx20.conf:2: limits.hops: expected a whole number, from 1 to 1000\n" },
		{ "limits = { hops = \"9\"; };",
		  "mx20.conf:2: limits.hops: expected a whole number, from 1 to 1000\n" },
		{ "limits = { hops = 5.0; };",
		  "mx20.conf:2: limits.hops: expected a whole number, from 1 to 1000\n" },
		{ "limits = { message_size = \"5X\"; };",
		  "mx20.conf:2: limits.message_size: expected a size such as \"50M\", from 1K to 4G\n" },
		{ "limits = { message_size = -1; };",
		  "mx20.conf:2: limits.message_size: expected a size such as \"50M\", from 1K to 4G\n" },
		{ "spool = { size = 5000000000; };",
		  "mx20.conf:2: spool.size: expected a size such as \"50M\", from 64K to 16T\n" },
		{ "spool = { lifetime = \"2y\"; };",
		  "mx20.conf:2: spool.lifetime: expected a time such as \"30s\" \"10m\" \"4h\" \"14d\", from 1s to 365d\n" },
		{ "spool = { lifetime = \"\"; };",
		  "mx20.conf:2: spool.lifetime: expected a time such as \"30s\" \"10m\" \"4h\" \"14d\", from 1s to 365d\n" },
		{ "spool = { lifetime = 14; };",
		  "mx20.conf:2: spool.lifetime: 14 has no unit: ms, s, m, h, d or w, as in \"14d\"\n" },
		{ "spool = { warn_after = \"4\"; };",
		  "mx20.conf:2: spool.warn_after: 4 has no unit: ms, s, m, h, d or w, as in \"4d\"\n" },
		{ "drain = { retry = [ \"1m\",\n\"5\" ]; };",
		  "mx20.conf:3: drain.retry: 5 has no unit: ms, s, m, h, d or w, as in \"5d\"\n" },
		{ "drain = { brake_share = 1.5; };",
		  "mx20.conf:2: drain.brake_share: expected a share such as 0.2, from 0 to 1\n" },
		{ "drain = { brake_share = \"0.2\"; };",
		  "mx20.conf:2: drain.brake_share: expected a share such as 0.2, from 0 to 1\n" },
		{ "drain = { reply_timeout = -5; };",
		  "mx20.conf:2: drain.reply_timeout: expected a time such as \"30s\" \"10m\" \"4h\" \"14d\", from 0 to 1h\n" },
		{ "spool = { reserve = 256; };",
		  "mx20.conf:2: spool.reserve: 256 has no unit: K, M, G or T, as in \"50M\"\n" },
		{ "limits = { message_size = \"51200\"; };",
		  "mx20.conf:2: limits.message_size: 51200 has no unit: K, M, G or T, as in \"50M\"\n" },
		{ "spool = { path = \"\"; };",
		  "mx20.conf:2: spool.path: expected a path such as \"domains\"\n" },
		{ "drain = { port = 65536; };",
		  "mx20.conf:2: drain.port: expected a port, from 1 to 65535\n" },
		{ "drain = { retry = \"1m\"; };",
		  "mx20.conf:2: drain.retry: expected a list such as retry = [ \"1m\", \"5m\" ];\n" },
		{ "drain = { retry = [ \"1m\",\n\"1x\" ]; };",
		  "mx20.conf:3: drain.retry: expected times such as [ \"1m\", \"5m\" ], from 100ms to 7d\n" },
		{ "drain = { retry = [ ]; };",
		  "mx20.conf:2: drain.retry: at least one time is needed\n" },
		{ "tls = { outbound = \"maybe\"; };",
		  "mx20.conf:2: tls.outbound: expected one of \"none\" \"may\" \"must\" \"verify\" \"dane\"\n" },
		{ "tls = { key = \"k\"; };",
		  "mx20.conf:2: tls.key: 1 keys for 0 certificates: one each, in the same order\n" },
		{ "bounce = { mode = \"drop\"; };",
		  "mx20.conf:2: bounce.mode: expected one of \"dsn\" \"proven\" \"hold\"\n" },
		{ "bounce = { relay = \"a:b\"; };",
		  "mx20.conf:2: bounce.relay: expected HOST:PORT such as \"relay.example.net:25\" \"[192.0.2.1]:25\"\n" },
		{ "log = { level = \"loud\"; };",
		  "mx20.conf:2: log.level: expected one of \"error\" \"warn\" \"info\" \"debug\"\n" },
		{ "aliases = [ \"a b\" ];",
		  "mx20.conf:2: aliases: expected names and addresses such as [ \"mx2.example.org\", \"192.0.2.1\" ]\n" },
		{ "dns = { servers = [ \"localhost\" ]; };",
		  "mx20.conf:2: dns.servers: expected resolvers such as [ \"127.0.0.1@53\" ]\n" },
		{ "postmaster = \"ops\";",
		  "mx20.conf:2: postmaster: expected a mailbox such as \"postmaster@example.net\"\n" },
		{ "user = 5;",
		  "mx20.conf:2: user: expected text such as \"mx20\"\n" },
		{ "policy = {\n dnsbl = ( { zone = \"bl.test\"; },\n{ weight = 2; } ); };",
		  "mx20.conf:4: policy.dnsbl.zone: not set; add  zone = \"mx2.example.net\";  (the list's domain)\n" },
		{ "policy = { pregreet = \"5\"; };",
		  "mx20.conf:2: policy.pregreet: 5 has no unit: ms, s, m, h, d or w, as in \"5s\"\n" },
		{ "listen = { port = 25; };",
		  "mx20.conf:2: listen: expected a list such as listen = ( { address = \"*\"; port = 25; } );\n" },
		{ "listen = ( 25 );",
		  "mx20.conf:2: listen: expected groups such as ( { address = \"*\"; port = 25; } )\n" },
		{ "listen = ( { address = \"localhost\"; } );",
		  "mx20.conf:2: listen.address: expected \"*\" or an address such as \"192.0.2.1\" \"2001:db8::1\"\n" },
		{ "listen = ( { proxy = true; networks = [ ]; } );",
		  "mx20.conf:2: listen.networks: nobody could connect; say where the proxies are: networks = [ \"10.0.0.0/8\" ];\n" },
		{ "listen = ( { proxy = true; networks = [ \"10.0.0.0/99\" ]; } );",
		  "mx20.conf:2: listen.networks: expected networks such as [ \"10.0.0.0/8\", \"2001:db8::/32\" ]\n" },
		{ "listen = ( { proxy = 1; } );",
		  "mx20.conf:2: listen.proxy: expected true or false\n" },
		{ "listen = ( { port = 26; }, { port = 26; } );",
		  "mx20.conf:2: listen: address * port 26 twice\n" },
		{ "listen = ( { port = 26; }, { address = \"::1\"; port = 26; } );",
		  "mx20.conf:2: listen: address * port 26 has ::1 port 26 in it\n" },
		{ "listen = ( { address = \"192.0.2.1\"; port = 26; }, { port = 26; } );",
		  "mx20.conf:2: listen: address * port 26 has 192.0.2.1 port 26 in it\n" },
		{ "listen = ( { implicit_tls = true; port = 465; } );",
		  "mx20.conf:2: listen.implicit_tls: needs tls.certificate\n" },
		{ "policy = { require_tls = true; };",
		  "mx20.conf:2: policy.require_tls: needs tls.certificate\n" },
		{ "mirror = { node = \"mx 2\"; };",
		  "mx20.conf:2: mirror.node: expected a name of at most 63 signs, without blanks and quotes, such as \"mx2a\"\n" },
		{ "mirror = { when_away = \"wait\"; };",
		  "mx20.conf:2: mirror.when_away: expected one of \"accept\" \"refuse\"\n" },
		{ "mirror = { lease = \"500ms\"; };",
		  "mx20.conf:2: mirror.lease: expected a time such as \"30s\" \"10m\" \"4h\" \"14d\", from 1s to 10m\n" },
		{ "hostname = \"again\";",
		  "mx20.conf:2: duplicate setting name: each key, and each group, stands once: hostname = \"again\";\n" },
		{ "spool = { size = ; };",
		  "mx20.conf:2: syntax error: text stands in double quotes, a group between { and }; here, or in the line before: spool = { size = ; };\n" },
		{ "drain = { retry = [ \"1m\", 5 ]; };",
		  "mx20.conf:2: mismatched element type in array: between [ and ] all are text, or all numbers: drain = { retry = [ \"1m\", 5 ]; };\n" },
		{ "mirror = { postgresql = password=s3cret; };",
		  "mx20.conf:2: syntax error: text stands in double quotes, a group between { and }; here, or in the line before: ...\n" },
		{ "user = \"mx20;\n",
		  "mx20.conf:3: syntax error: the file ends, and something is open: \" { ( [ or /*\n" },
		{ "policy.defer = \"60s\";",
		  "mx20.conf:2: syntax error: policy.defer is written policy = { defer = ...; };\n" },
		{ "user\xc2\xa0= \"x\";",
		  "mx20.conf:2: syntax error: the line holds U+00A0 no-break space at column 5\n" },
		{ "user = \"mx\xc2\xad" "20\";",
		  "mx20.conf:2: user: holds U+00AD soft hyphen at column 3 of the text\n" },
		{ "tls = { ca_file = \"a\xff\"; };",
		  "mx20.conf:2: tls.ca_file: holds octet FF, which is no UTF-8, at column 2 of the text\n" },
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config_errors errors = { 0 };
		struct buf text = { 0 };

		buf_adds(&text, NEEDED);
		buf_adds(&text, cases[i].text);
		cr_expect_null(settings(buf_cstr(&text), &errors), "%s",
			       cases[i].text);
		folder_strip(&folder, &errors.text);
		cr_expect_str_eq(buf_cstr(&errors.text), cases[i].error);
		cr_expect_eq(errors.count, 1, "%s", cases[i].text);
		config_errors_fini(&errors);
		buf_fini(&text);
	}
}

/* "" is a value where the table says so, and nowhere else. */
Test(settings, what_may_be_empty)
{
	static const char *const empty[] = {
		"user = \"\";",
		"postmaster = \"\";",
		"spool = { warn_after = \"\"; };",
		"drain = { reply_timeout = \"\"; };",
		"tls = { certificate = \"\"; key = \"\"; ca_file = \"\"; };",
		"bounce = { relay = \"\"; };",
	};
	static const char *const full[] = {
		"control = \"\";",
		"aliases = [ \"\" ];",
		"drain = { retry = [ \"\" ]; };",
		"spool = { reserve = \"\"; };",
		"tls = { outbound = \"\"; };",
		"log = { level = \"\"; };",
	};

	for (size_t i = 0; i < COUNT(empty); i++) {
		struct config *c = good_with(empty[i]);

		config_unref(&c);
	}
	for (size_t i = 0; i < COUNT(full); i++) {
		struct config_errors errors = { 0 };
		struct buf text = { 0 };

		buf_addf(&text, "%s%s", NEEDED, full[i]);
		cr_expect_null(settings(buf_cstr(&text), &errors), "%s",
			       full[i]);
		cr_expect_eq(errors.count, 1, "%s", full[i]);
		config_errors_fini(&errors);
		buf_fini(&text);
	}
}

Test(settings, what_needs_a_restart)
{
	struct config *was = good_with("spool = { lifetime = \"3d\"; };");
	struct config *is = good_with("user = \"nobody\"; control = \"sock\";"
				      "spool = { path = \"elsewhere\"; };"
				      "limits = { processors = 8; hops = 9; };");
	struct buf notes = { 0 };

	options_need_restart(was, was, &notes);
	cr_expect_eq(notes.n, 0);
	options_need_restart(was, is, &notes);
	cr_expect_str_eq(buf_cstr(&notes),
			 "user: a restart is needed\n"
			 "control: a restart is needed\n"
			 "spool.path: a restart is needed\n"
			 "limits.processors: a restart is needed\n");
	buf_fini(&notes);
	config_unref(&was);
	config_unref(&is);
}

Test(settings, all_faults_are_listed)
{
	struct config_errors errors = { 0 };

	cr_expect_null(settings("user = 5;\nfoo = 1;\n"
				"limits = { hops = 0;\nerrors = -1; };\n",
				&errors));
	folder_strip(&folder, &errors.text);
	cr_expect_eq(errors.count, 6);
	cr_expect_str_eq(
		buf_cstr(&errors.text),
		"mx20.conf:1: user: expected text such as \"mx20\"\n"
		"mx20.conf:2: foo: unknown key; known here: hostname aliases "
		"domains listen user postmaster control spool limits drain "
		"dns tls bounce policy web mirror log\n"
		"mx20.conf:3: limits.hops: expected a whole number, from 1 to "
		"1000\n"
		"mx20.conf:4: limits.errors: expected a whole number, from 1 "
		"to 100000\n"
		"mx20.conf: hostname: not set; add  hostname = "
		"\"mx2.example.net\";  (this host: banner, EHLO, Received, and "
		"the MX name that means \"me\")\n"
		"mx20.conf: domains: not set; add  domains = \"domains\";  "
		"(the allowlist, see mx20-domains(5))\n");
	config_errors_fini(&errors);
}

Test(settings, a_file_that_is_not_there)
{
	struct config_errors errors = { 0 };

	cr_expect_null(config_load_settings(folder_path(&folder, "no.conf"),
					    &errors));
	folder_strip(&folder, &errors.text);
	cr_expect_str_eq(buf_cstr(&errors.text),
			 "no.conf: cannot be read: No such file or "
			 "directory\n");
	config_errors_fini(&errors);
}

/* Paths are relative to the file that names them, and so are its faults. */
Test(settings, included_files)
{
	struct config_errors errors = { 0 };
	struct config *c;

	folder_write(&folder, "sub/more.conf", "spool = { path = \"q\"; };\n");
	c = good(NEEDED "@include \"sub/more.conf\"\n");
	expect_span(c->spool.path, folder_path(&folder, "sub/q"));
	config_unref(&c);

	folder_write(&folder, "sub/more.conf", "\nuser = 1;\n");
	cr_expect_null(settings(NEEDED "@include \"sub/more.conf\"\n", &errors));
	folder_strip(&folder, &errors.text);
	cr_expect_str_eq(buf_cstr(&errors.text),
			 "sub/more.conf:2: user: expected text such as "
			 "\"mx20\"\n");
	config_errors_fini(&errors);
}

static void expect_fault(const char *text, const char *expected)
{
	struct config_errors errors = { 0 };
	struct buf said = { 0 };

	cr_expect_null(settings(text, &errors), "%s", text);
	folder_strip(&folder, &errors.text);
	buf_addf(&said, "%s\n", expected);
	cr_expect_str_eq(buf_cstr(&errors.text), buf_cstr(&said));
	buf_fini(&said);
	config_errors_fini(&errors);
}

/* libconfig ends the process when it is to read a folder: not at a reload. */
Test(settings, what_cannot_be_included)
{
	folder_write(&folder, "sub/more.conf", "user = \"x\";\n");
	expect_fault(NEEDED "@include \"sub\"\n",
		     "mx20.conf:2: sub: Is a directory");
	cr_assert_eq(mkfifo(folder_path(&folder, "pipe"), 0600), 0);
	expect_fault(NEEDED "\n @include\t\"pipe\"\n",
		     "mx20.conf:3: pipe: not a file");
	folder_write(&folder, "one.conf", "@include \"sub\"\n");
	expect_fault(NEEDED "@include \"one.conf\"\n",
		     "one.conf:1: sub: Is a directory");
	folder_write(&folder, "one.conf", "@include \"one.conf\"\n");
	expect_fault(NEEDED "@include \"one.conf\"\n",
		     "one.conf:1: include file nesting too deep: "
		     "@include \"one.conf\"");
	expect_fault(NEEDED "@include \"no.conf\"\n",
		     "mx20.conf:2: cannot open include file: no.conf: No such "
		     "file or directory");
	expect_fault(NEEDED "@include \"/etc/no.conf\"\n",
		     "mx20.conf:2: cannot open include file: /etc/no.conf: a "
		     "name starts at the folder of this host's mx20.conf");
	folder_write(&folder, "one.conf", "\xef\xbb\xbfuser = \"x\";\n");
	expect_fault(NEEDED "@include \"one.conf\"\n",
		     "one.conf:1: syntax error: no byte order mark (UTF-8 with "
		     "BOM) may stand here");
	config_unref(&(struct config *){ good(
		NEEDED "/*\n@include \"no.conf\"\n*/\n") });
}

/* libconfig would take minutes for one line of that. */
Test(settings, a_file_that_is_far_too_large)
{
	struct buf text = { 0 };

	buf_adds(&text, NEEDED "# ");
	memset(buf_reserve(&text, 2 << 20), 'x', 2 << 20);
	text.n += 2 << 20;
	buf_adds(&text, "\n");
	expect_fault(buf_cstr(&text),
		     "mx20.conf: is larger than 1M: these are no settings");
	text.n = 200000;
	expect_fault(buf_cstr(&text),
		     "mx20.conf:2: cannot be read: a line of more than 128K");
	buf_fini(&text);
}

/* An address is no name: it would stand in the banner, and in no MX record. */
Test(settings, text_of_other_systems)
{
	struct config_errors errors = { 0 };
	struct config *c = good("\xef\xbb\xbf" "hostname = \"mx2.example.net\";\r\n"
				"# caf\xe9\r\n"
				"domains = \"domains\";\r\n");

	expect_span(c->domains_path, folder_path(&folder, "domains"));
	config_unref(&c);
	/* lines are counted, and integers looked at, behind the mark as well */
	cr_expect_null(settings("\xef\xbb\xbf" NEEDED
				"spool = { size = 5000000000; };\n",
				&errors));
	folder_strip(&folder, &errors.text);
	cr_expect_str_eq(buf_cstr(&errors.text),
			 "mx20.conf:2: spool.size: expected a size such as "
			 "\"50M\", from 64K to 16T\n");
	config_errors_fini(&errors);
	cr_expect_null(settings("\xff\xfeh", &errors));
	folder_strip(&folder, &errors.text);
	cr_expect_str_eq(buf_cstr(&errors.text),
			 "mx20.conf:1: syntax error: the file is UTF-16: save "
			 "it as UTF-8\n");
	config_errors_fini(&errors);
}

Test(settings, files_that_end_in_mid_line)
{
	struct config *c = good(NEEDED "user = \"x\"");

	cr_expect_not_null(strstr(c->doubts.p,
				  "mx20.conf:2: ends without a line end: was it "
				  "cut short? Its last line is \"user = "
				  "\"x\"\""),
			   "%s", c->doubts.p);
	config_unref(&c);
	c = good(NEEDED);
	cr_expect_eq(c->doubts.n, 0);
	config_unref(&c);
}

Test(settings, hostname_is_a_name)
{
	static const char *const names[] = { "192.0.2.1", "[192.0.2.1]",
					     "2001:db8::1", "a b", "" };

	for (size_t i = 0; i < COUNT(names); i++) {
		struct config_errors errors = { 0 };
		struct buf text = { 0 };

		buf_addf(&text, "hostname = \"%s\"; domains = \"d\";",
			 names[i]);
		cr_expect_null(settings(buf_cstr(&text), &errors), "%s",
			       names[i]);
		folder_strip(&folder, &errors.text);
		cr_expect_str_eq(buf_cstr(&errors.text),
				 "mx20.conf:1: hostname: expected a host name "
				 "such as \"mx2.example.net\"\n");
		config_errors_fini(&errors);
		buf_fini(&text);
	}
}

/* What the settings name is looked for, and missed at the key's line. */
Test(settings, files_that_are_named_must_be_there)
{
	struct config_errors errors = { 0 };

	folder_write(&folder, "mx20.conf",
		     "hostname = \"a.example\";\ndomains = \"d\";\n"
		     "tls = { certificate = [ \"c1\", \"c2\" ];\n"
		     "key = [ \"k1\", \"k2\" ];\nca_file = \"ca\"; };\n"
		     "dns = { trust_anchor = \"ta\"; };\n");
	cr_expect_null(config_load(folder_path(&folder, "mx20.conf"), &errors));
	folder_strip(&folder, &errors.text);
	cr_expect_str_eq(
		buf_cstr(&errors.text),
		"mx20.conf:2: domains: d: No such file or directory\n"
		"mx20.conf:6: dns.trust_anchor: ta: No such file or directory\n"
		"mx20.conf:3: tls.certificate: c1: No such file or directory\n"
		"mx20.conf:3: tls.certificate: c2: No such file or directory\n"
		"mx20.conf:4: tls.key: k1: No such file or directory\n"
		"mx20.conf:4: tls.key: k2: No such file or directory\n"
		"mx20.conf:5: tls.ca_file: ca: No such file or directory\n");
	config_errors_fini(&errors);
}

/* Whoever reads a folder or a pipe may never come to its end. */
Test(settings, files_that_are_none)
{
	struct config_errors errors = { 0 };

	folder_write(&folder, "dir/x", "");
	folder_write(&folder, "domains", "");
	cr_assert_eq(mkfifo(folder_path(&folder, "pipe"), 0600), 0);
	folder_write(&folder, "mx20.conf",
		     NEEDED "dns = { trust_anchor = \"dir\"; };\n"
			    "tls = { certificate = \"pipe\"; ca_file = "
			    "\"dir\"; };\n");
	cr_expect_null(config_load(folder_path(&folder, "mx20.conf"), &errors));
	folder_strip(&folder, &errors.text);
	cr_expect_str_eq(
		buf_cstr(&errors.text),
		"mx20.conf:2: dns.trust_anchor: dir: Is a directory\n"
		"mx20.conf:3: tls.certificate: pipe: not a file\n"
		"mx20.conf:3: tls.ca_file: dir: Is a directory\n");
	config_errors_fini(&errors);
}

static char *slurp(const char *path)
{
	static char text[64 << 10];
	FILE *in = fopen(path, "re");
	size_t n;

	cr_assert_not_null(in, "%s: run from the top of the tree", path);
	n = fread(text, 1, sizeof(text) - 1, in);
	fclose(in);
	text[n] = '\0';
	return text;
}

/* The last part of "limits.hops". */
static const char *key_of(const struct option *o)
{
	const char *dot = strrchr(o->path, '.');

	return dot != NULL ? dot + 1 : o->path;
}

/* The sample says what would hold without it. */
Test(settings, the_sample_shows_every_key_with_its_default)
{
	const char *sample = slurp("config/mx20.conf");

	for (size_t i = 0; i < config_option_count; i++) {
		const struct option *o = &config_options[i];
		char line[256];

		if (o->dflt == NULL)
			continue;
		snprintf(line, sizeof(line), "%s = %s;", key_of(o), o->dflt);
		cr_expect_not_null(strstr(sample, line), "%s", line);
	}
	for (size_t i = 0; i < listen_option_count; i++)
		cr_expect_not_null(strstr(sample, key_of(&listen_options[i])));
}

Test(settings, the_sample_loads)
{
	struct config_errors errors = { 0 };
	struct config *c = config_load("config/mx20.conf", &errors);

	cr_assert_not_null(c, "%s", buf_cstr(&errors.text));
	cr_expect_eq(c->domain_count, 1);
	cr_expect_eq(c->recipient_count, 2);
	config_unref(&c);
}

/* Is there an entry for the key, with this default in it? */
static void expect_entry(const char *manual, const char *key, const char *dflt)
{
	char line[256];

	snprintf(line, sizeof(line), "\n.B %s\n", key);
	const char *at = strstr(manual, line);
	cr_expect_not_null(at, "%s", key);
	if (at == NULL || dflt == NULL)
		return;
	const char *next = strstr(at, "\n.TP\n");
	at = strstr(at, "Default: ");
	snprintf(line, sizeof(line), "\\fB%s\\fR", dflt);
	at = at != NULL ? strstr(at, line) : NULL;
	cr_expect(at != NULL && (next == NULL || at < next), "%s: %s", key,
		  dflt);
}

/* mx20.conf(5): an entry for each key, with the default of the table. */
Test(settings, the_manual_agrees_with_the_table)
{
	const char *manual = slurp("config/mx20.conf.5");

	for (size_t i = 0; i < config_option_count; i++)
		expect_entry(manual, config_options[i].path,
			     config_options[i].dflt);
	for (size_t i = 0; i < listen_option_count; i++)
		expect_entry(manual, key_of(&listen_options[i]),
			     listen_options[i].dflt);
}
