/* The links that settings switch on, each with the facts it goes by. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/policy/policy.h"
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
