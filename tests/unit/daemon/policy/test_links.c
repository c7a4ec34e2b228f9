/* The links that settings switch on, each with the facts it goes by. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/policy/policy.h"
#include "daemon/policy/rejections.h"
#include "tests/support/folder.h"

static struct folder folder;
static struct config *config;
static struct policy *policy;

/* What the last question was about, and what came of it. */
static struct gate_question q;
static struct net_addr client;
static struct verdict heard;

static struct config *load(const char *conf, const char *domains)
{
	struct config_errors errors = { 0 };
	struct buf text = { 0 };
	struct config *c;

	buf_addf(&text, "hostname = \"mx2.example.net\"; domains = \"domains\";"
			"\n%s", conf);
	folder_write(&folder, "domains", domains);
	folder_write(&folder, "users", "user\n");
	c = config_load(folder_write(&folder, "mx20.conf", buf_cstr(&text)),
			&errors);
	cr_assert_not_null(c, "%s", buf_cstr(&errors.text));
	config_errors_fini(&errors);
	buf_fini(&text);
	return c;
}

static void open_policy(const char *conf, const char *domains)
{
	folder_make(&folder);
	config = load(conf, domains);
	policy = policy_new(&(struct policy_options){ 0 }, config);
	cr_assert_eq(net_addr_parse(SPAN_LIT("192.0.2.7"), &client), MX_OK);
	q = (struct gate_question){ .config = config, .client = &client };
}

static void close_policy(void)
{
	policy_free(&policy);
	config_unref(&config);
	folder_remove(&folder);
}

TestSuite(links, .fini = close_policy);

/* "530 5.7.0 ..."; "" when it may go on. */
static const char *ask(enum gate_moment moment)
{
	static char line[VERDICT_LINE_MAX];

	q.moment = moment;
	cr_assert(gate_ask(policy_gate(policy), &q, &heard));
	if (heard.code == 0)
		return "";
	verdict_line(&heard, line);
	return line;
}

static unsigned code(const char *line)
{
	return (unsigned)atoi(line);
}

static void from(const char *text)
{
	cr_assert_eq(net_addr_parse(span_str(text), &client), MX_OK);
}

/* ---- A domain's quota ---- */

static uint64_t waits;

static uint64_t waiting(struct span domain, void *arg)
{
	cr_expect_eq(arg, (void *)&waits);
	cr_expect(domain.n >= 11, "%.*s",
		  SPAN_ARG(domain));
	return waits;
}

static const char *ask_to(const char *path, uint64_t size)
{
	static struct gate_rcpt rcpt;
	struct smtp_path to;

	cr_assert_eq(smtp_mailbox_parse(span_str(path), false, &to), MX_OK);
	q.to = &to;
	q.rcpt = &rcpt;
	q.size = size;
	return ask(GATE_RCPT);
}

Test(links, quota)
{
	const struct policy_options opt = { .waiting = waiting,
					    .arg = &waits };
	static const char over[] = "452 4.2.2 Too much mail waits for this "
				   "domain, try again later\r\n";

	open_policy("policy = { quota = \"1M\"; };",
		    "example.com recipients=*\n"
		    "*.example.com recipients=* quota=2M\n"
		    "free.example.com recipients=* quota=0\n");
	policy_free(&policy);
	policy = policy_new(&opt, config);
	cr_expect_str_eq(ask_to("a@example.com", 1 << 20), "");
	cr_expect_str_eq(ask_to("a@example.com", (1 << 20) + 1), over);
	cr_expect_str_eq(heard.reason, "quota");
	cr_expect_str_eq(ask_to("a@x.example.com", (1 << 20) + 1), "");
	waits = 1 << 20;
	cr_expect_str_eq(ask_to("a@example.com", 0), over);
	cr_expect_str_eq(ask_to("a@x.example.com", 1 << 20), "");
	cr_expect_str_eq(ask_to("a@free.example.com", 1 << 30), "");
	waits--;
	cr_expect_str_eq(ask_to("a@example.com", 0), "");
}

/* ---- What decided, and how often ---- */

static struct buf counted;

static void on_count(const char *reason, uint64_t n, void *arg)
{
	(void)arg;
	buf_addf(&counted, "%s=%llu ", reason, (unsigned long long)n);
}

static const char *rejected_of(const char *line)
{
	buf_reset(&counted);
	rejections_each(policy_rejections(policy), span_str(line), on_count,
			NULL);
	return buf_cstr(&counted);
}

Test(links, the_option_that_decided_is_named)
{
	static const struct policy_options opt = { .waiting = waiting,
						   .arg = &waits };
	static const struct {
		const char *to, *setting;
		unsigned line;
	} cases[] = {
		{ "x@example.com", "recipients", 1 },
		{ "x@ask.example.com", "policy.unknown", 0 },
		{ "x@own.example.com", "unknown", 3 },
		{ "x@own-no.example.com", "unknown", 4 },
		{ "a@full.example.com", "policy.quota", 0 },
		{ "a@own-full.example.com", "quota", 6 },
		{ "a@deep.own-full.example.com", "quota", 7 },
		{ "a@elsewhere.test", "domains", 0 },
		{ "a@[192.0.2.1]", "", 0 },
	};

	open_policy("policy = { quota = \"1M\"; unknown = \"defer\"; };",
		    "example.com recipients=users\n"
		    "ask.example.com recipients=verify\n"
		    "own.example.com recipients=verify unknown=defer\n"
		    "own-no.example.com recipients=verify unknown=reject\n"
		    "full.example.com recipients=*\n"
		    "own-full.example.com recipients=* quota=1M\n"
		    "*.own-full.example.com recipients=* quota=1M\n");
	policy_free(&policy);
	policy = policy_new(&opt, config);
	waits = 1 << 20;
	for (size_t i = 0; i < COUNT(cases); i++) {
		cr_expect_neq(code(ask_to(cases[i].to, 0)), 0, "%s",
			      cases[i].to);
		cr_expect_str_eq(heard.setting, cases[i].setting, "%s",
				 cases[i].to);
		cr_expect_eq(heard.line, cases[i].line, "%s", cases[i].to);
	}
	waits = 0;
}

/* What is said is counted, not what a link would have said. */
Test(links, refusals_are_counted_by_line_and_reason)
{
	open_policy("policy = { rate = { unknown = 2; }; };",
		    "example.com recipients=users\n"
		    "*.example.com recipients=users\n");
	for (int i = 0; i < 5; i++)
		ask_to("guess@example.com", 0);
	from("192.0.2.8");
	ask_to("guess@a.example.com", 0);
	ask_to("guess@b.example.com", 0);
	ask_to("x@elsewhere.test", 0);
	cr_expect_eq(code(ask_to("user@example.com", 0)), 0);
	q.is_dry = true;
	ask_to("guess@example.com", 0);
	cr_expect_str_eq(rejected_of("example.com"),
			 "rate_unknown=3 unknown_recipient=2 ");
	cr_expect_str_eq(rejected_of("*.example.com"), "unknown_recipient=2 ");
	cr_expect_str_eq(rejected_of("elsewhere.test"), "");
	policy_count(policy,
		     domains_find(config->domains, SPAN_LIT("example.com")),
		     "domain_room");
	cr_expect_str_eq(
		rejected_of("example.com"),
		"rate_unknown=3 unknown_recipient=2 domain_room=1 ");
	buf_fini(&counted);
}

/* ---- What the primary lacks ---- */

static enum command_lack lack;
static uint64_t asked_size;

static enum command_lack lacks(struct span domain, const struct envelope *env,
			       const struct recipient *rcpt, void *arg)
{
	(void)arg;
	cr_expect(rcpt->path.n > domain.n + 1);
	asked_size = env->bytes;
	return span_eq(domain, SPAN_LIT("other.example.com")) ? LACKS_NOTHING
							       : lack;
}

static struct envelope env;

static void open_promise(void)
{
	static const struct policy_options opt = { .lacks = lacks };

	open_policy("", "example.com recipients=users\n"
			"*.example.com recipients=*\n");
	policy_free(&policy);
	policy = policy_new(&opt, config);
	env = (struct envelope){ .from = SPAN_LIT("a@s.example") };
	q.env = &env;
}

Test(links, what_the_primary_lacks)
{
	static const struct {
		enum command_lack lack;
		const char *line, *reason;
	} cases[] = {
		{ LACKS_NOTHING, "", NULL },
		{ LACKS_SIZE,
		  "552 5.3.4 Message is larger than the primary mail server of "
		  "this domain takes\r\n",
		  "primary_size" },
		{ LACKS_SMTPUTF8,
		  "550 5.6.7 The primary mail server of this domain has no "
		  "SMTPUTF8\r\n",
		  "primary_smtputf8" },
		{ LACKS_REQUIRETLS,
		  "550 5.7.30 The primary mail server of this domain has no "
		  "REQUIRETLS\r\n",
		  "primary_requiretls" },
		/* that is seen when it connects */
		{ LACKS_AUTHENTICATION, "", NULL },
	};

	open_promise();
	for (size_t i = 0; i < COUNT(cases); i++) {
		lack = cases[i].lack;
		cr_expect_str_eq(ask_to("user@example.com", 65537),
				 cases[i].line);
		if (cases[i].reason != NULL)
			cr_expect_str_eq(heard.reason, cases[i].reason);
	}
	cr_expect_eq(asked_size, 65537);
	/* who does not exist is told that */
	lack = LACKS_SIZE;
	cr_expect_eq(code(ask_to("guess@example.com", 65537)), 550);
}

/* Nothing is looked up for mail that asks for nothing. */
Test(links, small_mail_asks_for_nothing)
{
	open_promise();
	lack = LACKS_SIZE;
	asked_size = 1;
	cr_expect_str_eq(ask_to("user@example.com", 65536), "");
	cr_expect_eq(asked_size, 1);
	env.smtputf8 = true;
	cr_expect_eq(code(ask_to("user@example.com", 0)), 552);
	env.smtputf8 = false;
	env.requiretls = true;
	cr_expect_eq(code(ask_to("user@example.com", 0)), 552);
}

/* What was not announced: at the end, unless somebody takes it. */
Test(links, unannounced_size)
{
	const struct spool_rcpt to[] = {
		{ .path = SPAN_LIT("user@example.com"),
		  .domain = SPAN_LIT("example.com") },
		{ .path = SPAN_LIT("b@example.com"),
		  .domain = SPAN_LIT("example.com") },
		{ .path = SPAN_LIT("c@other.example.com"),
		  .domain = SPAN_LIT("other.example.com") },
	};

	open_promise();
	lack = LACKS_SIZE;
	q.size = 70000;
	q.rcpts = to;
	q.rcpt_count = 2;
	cr_expect_eq(code(ask(GATE_END)), 552);
	cr_expect_str_eq(heard.reason, "primary_size");
	q.rcpt_count = 3;
	cr_expect_str_eq(ask(GATE_END), "");
	q.rcpt_count = 2;
	q.size = 65536;
	cr_expect_str_eq(ask(GATE_END), "");
}

/* ---- Rates ---- */

static bool is_a_target;

static bool is_target(const struct net_addr *a, void *arg)
{
	(void)arg;
	cr_expect(net_addr_eq(a, &client));
	return is_a_target;
}

static void open_rates(const char *conf)
{
	static const struct policy_options opt = { .is_target = is_target };

	is_a_target = false;
	open_policy(conf, "example.com recipients=users\n");
	policy_free(&policy);
	policy = policy_new(&opt, config);
}

Test(links, guesses_of_a_network)
{
	open_rates("policy = { rate = { unknown = 3; }; };");
	for (int i = 0; i < 3; i++) {
		cr_expect_eq(code(ask_to("guess@example.com", 0)), 550);
		cr_expect(heard.is_error);
	}
	cr_expect_str_eq(ask_to("guess@example.com", 0),
			 "450 4.7.1 Too many unknown recipients from your "
			 "network, slow down\r\n");
	cr_expect_str_eq(heard.reason, "rate_unknown");
	cr_expect_str_eq(heard.setting, "policy.rate.unknown");
	cr_expect(heard.is_error, "or one session would go on for ever");
	/* mail to who is there goes on, and all else is as it was */
	cr_expect_eq(code(ask_to("user@example.com", 0)), 0);
	cr_expect_eq(code(ask_to("x@elsewhere.test", 0)), 550);
	from("192.0.2.8");
	cr_expect_eq(code(ask_to("guess@example.com", 0)), 550);
	/* a question without consequences counts for nothing */
	q.is_dry = true;
	for (int i = 0; i < 5; i++)
		cr_expect_eq(code(ask_to("guess@example.com", 0)), 550);
	from("192.0.2.7");
	cr_expect_eq(code(ask_to("guess@example.com", 0)), 450);
}

/* The primary is not asked for more of them: as if it could not be. */
Test(links, who_guesses_is_not_asked_for)
{
	static const struct policy_options opt = { .is_target = NULL };

	open_policy("policy = { rate = { unknown = 3; }; };",
		    "example.com recipients=users\n"
		    "ask.example.com recipients=verify unknown=defer\n");
	policy_free(&policy);
	policy = policy_new(&opt, config);
	for (int i = 0; i < 3; i++) {
		cr_expect_eq(code(ask_to("guess@ask.example.com", 0)), 451);
		cr_expect_eq(code(ask_to("guess@example.com", 0)), 550);
	}
	cr_expect_eq(code(ask_to("guess@ask.example.com", 0)), 450);
	cr_expect_str_eq(heard.reason, "rate_unknown");
	from("192.0.2.8");
	cr_expect_eq(code(ask_to("guess@ask.example.com", 0)), 451);
}

Test(links, messages_of_a_network)
{
	open_rates("policy = { rate = { messages = 2; unknown = 0; }; };");
	for (int i = 0; i < 5; i++)
		cr_expect_eq(code(ask(GATE_MAIL)), i < 2 ? 0 : 450);
	cr_expect_str_eq(heard.setting, "policy.rate.messages");
	for (int i = 0; i < 100; i++)
		cr_expect_eq(code(ask_to("guess@example.com", 0)), 550);
	from("2001:db8::1");
	cr_expect_eq(code(ask(GATE_MAIL)), 0);
	from("2001:db8::2");
	cr_expect_eq(code(ask(GATE_MAIL)), 0);
	cr_expect_eq(code(ask(GATE_MAIL)), 450);
}

Test(links, who_is_trusted_has_no_rate)
{
	open_rates("policy = { rate = { messages = 1; unknown = 1; };"
		   " trusted = [ \"198.51.100.0/24\" ]; };");
	from("198.51.100.9");
	for (int i = 0; i < 5; i++) {
		cr_expect_eq(code(ask(GATE_MAIL)), 0);
		cr_expect_eq(code(ask_to("guess@example.com", 0)), 550);
	}
	from("198.51.101.9");
	is_a_target = true;
	for (int i = 0; i < 5; i++)
		cr_expect_eq(code(ask(GATE_MAIL)), 0);
	is_a_target = false;
	cr_expect_eq(code(ask(GATE_MAIL)), 0);
	cr_expect_eq(code(ask(GATE_MAIL)), 450);
}

/* ---- Standby ---- */

/* What the primary is said to do, and the hail that is out. */
static enum known_said primary;
static known_said_cb *hail_cb;
static void *hail_arg;
static unsigned hails;

static enum known_said answers(struct span domain, void *arg)
{
	(void)arg;
	cr_expect(domain.n > 0);
	return primary;
}

static void *hail(struct span domain, known_said_cb *cb, void *cb_arg,
		  void *arg)
{
	(void)arg;
	cr_expect(span_eq(domain, SPAN_LIT("example.com")));
	hail_cb = cb;
	hail_arg = cb_arg;
	hails++;
	return primary == SAID_NOTHING ? &hails : NULL;
}

static void cancel_hail(void *it, void *arg)
{
	(void)arg;
	cr_expect_eq(it, (void *)&hails);
	hail_cb = NULL;
}

static struct envelope envelope;

static void open_standby(const char *conf)
{
	static const struct policy_options opt = {
		.is_target = is_target,
		.primary = { answers, hail, cancel_hail, NULL },
	};

	is_a_target = false;
	primary = SAID_YES;
	hails = 0;
	open_policy(conf, "example.com recipients=users\n"
			  "other.example recipients=users standby=accept\n");
	policy_free(&policy);
	policy = policy_new(&opt, config);
	envelope = (struct envelope){ .from = SPAN_LIT("a@sender.test") };
	q.env = &envelope;
}

static void wait_ms(int64_t ms)
{
	const int64_t until = clock_mono_ms() + ms;

	while (clock_mono_ms() < until)
		;
}

Test(links, who_is_sent_to_the_primary_may_come_back)
{
	open_standby("policy = { standby = \"defer\"; };");
	config->policy.defer_ms = 300;
	cr_expect_str_eq(ask_to("user@example.com", 0),
			 "450 4.7.1 Another mail exchanger of this domain "
			 "answers, deliver there\r\n");
	cr_expect_str_eq(heard.reason, "standby");
	cr_expect_not(heard.is_error);
	cr_expect_eq(code(ask_to("user@other.example", 0)), 0);
	cr_expect_eq(code(ask_to("guess@example.com", 0)), 550);
	cr_expect_eq(hails, 0);
	wait_ms(300);
	q.is_dry = true;
	cr_expect_eq(code(ask_to("user@example.com", 0)), 0);
	cr_expect_eq(code(ask_to("postmaster@example.com", 0)), 450);
	q.is_dry = false;
	cr_expect_eq(code(ask_to("user@example.com", 0)), 0);
	cr_expect_eq(code(ask_to("postmaster@example.com", 0)), 450);
	from("192.0.2.8");
	cr_expect_eq(code(ask_to("user@example.com", 0)), 450);
	from("192.0.2.7");
	envelope.from = SPAN_LIT("");
	cr_expect_eq(code(ask_to("user@example.com", 0)), 450);
}

/* In an outage nobody is sent anywhere, nor are those that are trusted. */
Test(links, who_is_not_sent_to_the_primary)
{
	open_standby("policy = { standby = \"defer\";"
		     " trusted = [ \"198.51.100.0/24\" ]; };");
	primary = SAID_DOWN;
	cr_expect_eq(code(ask_to("user@example.com", 0)), 0);
	primary = SAID_YES;
	from("198.51.100.9");
	cr_expect_eq(code(ask_to("user@example.com", 0)), 0);
	from("192.0.2.7");
	is_a_target = true;
	cr_expect_eq(code(ask_to("user@example.com", 0)), 0);
	is_a_target = false;
	cr_expect_eq(code(ask_to("user@example.com", 0)), 450);
	config->policy.defer_ms = 0;
	policy_free(&policy);
	policy = policy_new(&(struct policy_options){ 0 }, config);
	cr_expect_eq(code(ask_to("user@example.com", 0)), 0,
		     "nobody knows the primary");
}

static unsigned told;

static void on_verdict(struct gate_question *it, const struct verdict *v)
{
	cr_expect_eq(it, &q);
	heard = *v;
	told++;
}

static bool waits_for_hail(void)
{
	static struct gate_rcpt rcpt;
	static struct smtp_path to;

	cr_assert_eq(smtp_mailbox_parse(SPAN_LIT("user@example.com"), false,
					&to),
		     MX_OK);
	q.to = &to;
	q.rcpt = &rcpt;
	q.moment = GATE_RCPT;
	q.cb = on_verdict;
	told = 0;
	return !gate_ask(policy_gate(policy), &q, &heard);
}

/* Not known: the client waits for the hail; what that says decides. */
Test(links, whether_the_primary_answers_is_found_out)
{
	open_standby("policy = { standby = \"defer\"; };");
	primary = SAID_NOTHING;
	cr_assert(waits_for_hail());
	hail_cb(SAID_YES, SPAN_LIT(""), hail_arg);
	cr_expect_eq(told, 1);
	cr_expect_eq(heard.code, 450);
	cr_assert(waits_for_hail());
	hail_cb(SAID_DOWN, SPAN_LIT(""), hail_arg);
	cr_expect_eq(told, 1);
	cr_expect_eq(heard.code, 0);
	cr_assert(waits_for_hail());
	gate_cancel(&q);
	cr_expect_null(hail_cb);
	cr_expect_eq(told, 0);
	hails = 0;
	q.is_dry = true;
	cr_expect_eq(code(ask_to("user@example.com", 0)), 0);
	cr_expect_eq(hails, 0);
	q.is_dry = false;
}

/* ---- TLS ---- */

/* RFC 3207 section 4: the reply to who has not said STARTTLS. */
Test(links, mail_needs_tls_where_it_is_required)
{
	static const struct tls_facts tls = { .version = "TLSv1.3" };

	/* as of a file that the daemon would refuse to load: no certificate */
	open_policy("", "example.com recipients=*\n");
	cr_expect_str_eq(ask(GATE_MAIL), "");
	config->policy.require_tls = true;
	policy_reload(policy, config);
	cr_expect_str_eq(ask(GATE_MAIL),
			 "530 5.7.0 Must issue a STARTTLS command first\r\n");
	cr_expect_str_eq(heard.setting, "policy.require_tls");
	cr_expect_str_eq(ask(GATE_CONNECTION), "");
	q.tls = &tls;
	cr_expect_str_eq(ask(GATE_MAIL), "");
}
