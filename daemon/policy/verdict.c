#include "daemon/policy/verdict.h"

#include <stdio.h>

#include "common/base/assert.h"

/*
 * A stranger reads the texts: they say what was wrong with the request and
 * nothing of how this host is set up.
 */
static const struct words {
	int code;
	const char *enhanced, *text;
	const char *reason, *setting; /* for the log */
	unsigned long own; /* OWN_ bit: the option of a domain in its place */
/* clang-format off */
} words[V_COUNT] = {
	[V_GO] = { 0, "", "", "", "" },
	[V_BUSY] = { 421, "4.3.2", "Too many connections, try again later",
		"connections", "limits.connections" },
	[V_CLIENT_BUSY] = { 421, "4.7.0",
		"Too many connections from your address",
		"connections_per_client", "limits.connections_per_client" },
	[V_CLIENT_FAST] = { 421, "4.7.0",
		"Your address connects too often, slow down",
		"connection_rate", "limits.connection_rate" },
	[V_NOT_A_PROXY] = { 421, "4.7.0", "", "not_a_proxy", "listen" },
	[V_EARLY] = { 554, "5.5.1", "You spoke before the greeting",
		"early_talker", "policy.pregreet" },
	[V_NO_TLS] = { 530, "5.7.0", "Must issue a STARTTLS command first",
		"no_tls", "policy.require_tls" },
	[V_RATE_MESSAGES] = { 450, "4.7.1",
		"Too many messages from your network, slow down",
		"rate_messages", "policy.rate.messages" },
	[V_RATE_UNKNOWN] = { 450, "4.7.1",
		"Too many unknown recipients from your network, slow down",
		"rate_unknown", "policy.rate.unknown" },
	[V_RCPT_EMPTY] = { 501, "5.1.3", "The empty path is no recipient",
		"empty_recipient", "" },
	[V_RCPT_NO_DOMAIN] = { 501, "5.1.3", "A recipient needs a domain",
		"no_domain", "" },
	[V_RCPT_BAD_DOMAIN] = { 501, "5.1.3", "This is no domain name",
		"bad_domain", "" },
	[V_RCPT_LITERAL] = { 550, "5.7.1", "Relaying denied",
		"address_literal", "" },
	[V_RCPT_FOREIGN] = { 550, "5.7.1", "Relaying denied",
		"foreign_domain", "domains" },
	[V_RCPT_ROUTED] = { 550, "5.7.1", "Relaying denied",
		"routed_recipient", "recipients", OWN_RECIPIENTS },
	[V_RCPT_LEFT] = { 451, "4.3.5",
		"This domain is not listed here just now, try again later",
		"unlisted_domain", "domains" },
	[V_RCPT_UNKNOWN] = { 550, "5.1.1", "No such recipient here",
		"unknown_recipient", "recipients", OWN_RECIPIENTS },
	[V_RCPT_UNTOLD] = { 451, "4.4.1",
		"Recipients cannot be verified just now, try again later",
		"unknown_yet", "policy.unknown", OWN_UNKNOWN },
	[V_RCPT_UNVERIFIED] = { 450, "4.1.1",
		"Recipient could not be verified, try again later",
		"unverified_recipient", "policy.verify_timeout" },
	[V_RCPT_UNREACHED] = { 451, "4.4.1",
		"Recipient cannot be verified just now, try again later",
		"unknown_in_outage", "policy.unknown", OWN_UNKNOWN },
	[V_RCPT_NOT_NOW] = { 550, "5.1.1", "No such recipient here",
		"unknown_recipient", "policy.unknown", OWN_UNKNOWN },
	[V_STANDBY] = { 450, "4.7.1",
		"Another mail exchanger of this domain answers, deliver there",
		"standby", "policy.standby", OWN_STANDBY },
	[V_QUOTA] = { 452, "4.2.2",
		"Too much mail waits for this domain, try again later",
		"quota", "policy.quota", OWN_QUOTA },
	[V_SUBDOMAINS] = { 452, "4.3.1",
		"Mail for too many subdomains waits here, try again later",
		"subdomains", "" },
	[V_NULL_MX] = { 556, "5.1.10", "This domain takes no mail",
		"null_mx", "" },
	[V_TOO_LARGE_THERE] = { 552, "5.3.4",
		"Message is larger than the primary mail server of this "
		"domain takes",
		"primary_size", "" },
	[V_NO_UTF8_THERE] = { 550, "5.6.7",
		"The primary mail server of this domain has no SMTPUTF8",
		"primary_smtputf8", "" },
	[V_NO_REQUIRETLS_THERE] = { 550, "5.7.30",
		"The primary mail server of this domain has no REQUIRETLS",
		"primary_requiretls", "" },
	[V_LOOP] = { 554, "5.4.6", "Too many hops, this mail loops",
		"hops", "limits.hops" },
};
/* clang-format on */

void verdict_set(struct verdict *v, enum verdict_id id)
{
	MX_ASSERT(id < V_COUNT);
	const struct words *w = &words[id];

	v->code = w->code;
	snprintf(v->enhanced, sizeof(v->enhanced), "%s", w->enhanced);
	snprintf(v->text, sizeof(v->text), "%s", w->text);
	v->reason = w->reason;
	v->setting = w->setting;
	v->line = 0;
	v->is_guess = id == V_RCPT_UNKNOWN || id == V_RCPT_NOT_NOW;
	v->is_error = w->code >= 500 || id == V_RATE_MESSAGES ||
		      id == V_RATE_UNKNOWN;
}

static const char *name_of(unsigned long own)
{
	switch (own) {
	case OWN_RECIPIENTS:
		return "recipients";
	case OWN_UNKNOWN:
		return "unknown";
	case OWN_QUOTA:
		return "quota";
	default:
		MX_ASSERT(own == OWN_STANDBY);
		return "standby";
	}
}

void verdict_set_for(struct verdict *v, enum verdict_id id,
		     const struct config_domain *row)
{
	verdict_set(v, id);
	if (row == NULL || (row->own & words[id].own) == 0)
		return;
	v->setting = name_of(words[id].own);
	v->line = domains_line(row);
}

/* ---- What others say ---- */

static char clean(char c)
{
	if (c == '\r' || c == '\n' || c == '\t')
		return ' ';
	return c >= ' ' && c <= '~' ? c : '?';
}

static void copy_text(struct verdict *v, struct span text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n && n < VERDICT_TEXT_MAX; i++) {
		const char c = clean(text.p[i]);

		if (c != ' ' || (n > 0 && v->text[n - 1] != ' '))
			v->text[n++] = c;
	}
	if (n > 0 && v->text[n - 1] == ' ')
		n--;
	v->text[n] = '\0';
}

/* "5.1.1" of this class: RFC 3463 section 2 has up to three digits in the
 * second and third place. */
static bool is_enhanced(struct span s, int class)
{
	struct span rest = s, first = span_cut(&rest, '.');
	struct span second = span_cut(&rest, '.');
	uint64_t number;

	return first.n == 1 && first.p[0] == '0' + class && second.n <= 3 &&
	       rest.n <= 3 && span_u64(second, &number) &&
	       span_u64(rest, &number);
}

void verdict_echo(struct verdict *v, int code, struct span enhanced,
		  struct span text, const char *reason, const char *setting)
{
	const int class = code / 100;

	MX_ASSERT(code >= 200 && code <= 599);
	v->code = code;
	if (is_enhanced(enhanced, class))
		span_copy(enhanced, v->enhanced, sizeof(v->enhanced));
	else
		snprintf(v->enhanced, sizeof(v->enhanced), "%d.0.0", class);
	copy_text(v, text);
	v->reason = reason;
	v->setting = setting;
	v->line = 0;
	v->is_guess = false;
	v->is_error = code >= 500;
}

void verdict_say(struct verdict *v, int code, struct span enhanced,
		 struct span text, const char *reason, const char *setting)
{
	verdict_echo(v, code >= 400 && code <= 599 ? code : 451, enhanced, text,
		     reason, setting);
}

struct span verdict_line(const struct verdict *v,
			 char line[static VERDICT_LINE_MAX])
{
	const struct span parts[] = { span_str(v->enhanced), SPAN_LIT(" "),
				      span_str(v->text), SPAN_LIT("\r\n") };
	size_t n = 0;

	MX_ASSERT(v->code >= 100 && v->code <= 999);
	line[n++] = (char)('0' + v->code / 100);
	line[n++] = (char)('0' + v->code / 10 % 10);
	line[n++] = (char)('0' + v->code % 10);
	line[n++] = ' ';
	for (size_t i = 0; i < COUNT(parts); i++)
		n += span_copy(parts[i], line + n, VERDICT_LINE_MAX - n);
	return span_of(line, n);
}
