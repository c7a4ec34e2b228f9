#include "daemon/policy/verdicts.h"

/*
 * A stranger reads the texts: they say what was wrong with the request and
 * nothing of how this host is set up.  The last column is for the log.
 */
/* clang-format off */
static const struct verdict verdicts[] = {
	[V_GO]              = { 0, "", "", "" },
	[V_BUSY]            = { 421, "4.3.2", "Too many connections, try again later", "connections" },
	[V_CLIENT_BUSY]     = { 421, "4.7.0", "Too many connections from your address", "connections_per_client" },
	[V_CLIENT_FAST]     = { 421, "4.7.0", "Your address connects too often, slow down", "connection_rate" },
	[V_RCPT_EMPTY]      = { 501, "5.1.3", "The empty path is no recipient", "empty_recipient" },
	[V_RCPT_NO_DOMAIN]  = { 501, "5.1.3", "A recipient needs a domain", "no_domain" },
	[V_RCPT_BAD_DOMAIN] = { 501, "5.1.3", "This is no domain name", "bad_domain" },
	[V_RCPT_LITERAL]    = { 550, "5.7.1", "Relaying denied", "address_literal" },
	[V_RCPT_FOREIGN]    = { 550, "5.7.1", "Relaying denied", "foreign_domain" },
	[V_RCPT_LEFT]       = { 451, "4.3.5", "This domain is not listed here just now, try again later", "unlisted_domain" },
	[V_RCPT_UNKNOWN]    = { 550, "5.1.1", "No such recipient here", "unknown_recipient" },
	[V_NULL_MX]         = { 556, "5.1.10", "This domain takes no mail", "null_mx" },
};
/* clang-format on */

struct verdict verdict(enum verdict_id id)
{
	return verdicts[id];
}
