/* What a session says in fixed words of its own, in one table. */
#ifndef MX_INTAKE_REPLIES_H
#define MX_INTAKE_REPLIES_H

#include "common/base/span.h"

/*
 * Id, reason in the log (empty: nothing is refused), the setting that is
 * behind it (empty: none can change it), the line without CRLF.
 * The codes are those of RFC 5321 section 4.2 and RFC 3463.
 */
/* clang-format off */
#define INTAKE_REPLIES(X) \
	X(NONE, "", "", "") \
	X(OK, "", "", "250 2.0.0 Ok") \
	X(BYE, "", "", "221 2.0.0 Bye") \
	X(HELP, "", "", \
	  "214 2.0.0 See RFC 5321; this host takes mail for a few domains only") \
	X(VRFY, "", "", \
	  "252 2.5.0 Not verified here, but mail to it will be tried") \
	X(SENDER_OK, "", "", "250 2.1.0 Sender ok") \
	X(RCPT_OK, "", "", "250 2.1.5 Recipient ok") \
	X(CHUNK_OK, "", "", "250 2.0.0 Chunk ok") \
	X(GO_AHEAD, "", "", "354 End data with <CR><LF>.<CR><LF>") \
	X(START_TLS, "", "", "220 2.0.0 Ready to start TLS") \
	X(UNKNOWN, "unknown_command", "", "500 5.5.2 Command not recognized") \
	X(HTTP, "not_smtp", "", "500 5.5.2 This is a mail server") \
	X(TOO_LONG, "line_length", "", "500 5.5.2 Line too long") \
	X(BARE, "line_ending", "", \
	  "500 5.5.2 A line ends with CR LF and holds no control character") \
	X(SYNTAX, "syntax", "", "501 5.5.4 Syntax error in the argument") \
	X(NO_ARGUMENT, "syntax", "", "501 5.5.4 No argument is allowed here") \
	X(HELO_NAME, "syntax", "", \
	  "501 5.5.4 Give a host name or an address literal") \
	X(SENDER_SYNTAX, "sender_syntax", "", \
	  "501 5.1.7 Bad sender address syntax") \
	X(RCPT_SYNTAX, "recipient_syntax", "", \
	  "501 5.1.3 Bad recipient address syntax") \
	X(PARAMETER, "parameter", "", "501 5.5.4 Bad or repeated parameter") \
	X(NO_PARAMETER, "unknown_parameter", "", \
	  "555 5.5.4 Parameter not recognized") \
	X(NO_UTF8, "utf8_address", "", \
	  "553 5.6.7 A non-ASCII address needs SMTPUTF8") \
	X(NOT_HERE, "not_implemented", "", \
	  "502 5.5.1 Command not implemented") \
	X(SEQUENCE, "sequence", "", "503 5.5.1 Bad sequence of commands") \
	X(HELO_FIRST, "sequence", "", "503 5.5.1 Say EHLO first") \
	X(NO_RCPTS, "no_recipients", "", "554 5.5.1 No valid recipients") \
	X(PIPELINING, "pipelining", "", "503 5.5.0 Improper pipelining") \
	X(EARLY, "early_talker", "", \
	  "554 5.5.1 You spoke before the greeting") \
	X(TOO_MANY, "recipients", "limits.recipients", \
	  "452 4.5.3 Too many recipients") \
	X(MANY_DOMAINS, "recipient_domains", "", \
	  "452 4.5.3 Too many recipient domains") \
	X(TOO_MANY_NOW, "network_memory", "", \
	  "452 4.5.3 Too many recipients under way") \
	X(TOO_BIG, "message_size", "limits.message_size", \
	  "552 5.3.4 Message too big") \
	X(NO_SPACE, "space", "spool.size", \
	  "452 4.3.1 No space left, try again later") \
	X(DOMAIN_FULL, "domain_room", "spool.size", \
	  "452 4.3.1 No space left for this domain, try again later") \
	X(QUOTA, "quota", "policy.quota", \
	  "452 4.2.2 Too much mail waits for this domain, try again later") \
	X(NETWORK_FULL, "network_room", "spool.size", \
	  "452 4.3.1 Too much under way from your network") \
	X(DISK, "storage", "", \
	  "451 4.3.0 Local storage error, try again later") \
	X(MIRROR, "mirror", "mirror.when_away", \
	  "451 4.3.0 No second copy can be made now, try again later") \
	X(ERRORS, "errors", "limits.errors", "421 4.7.0 Too many errors") \
	X(CHATTER, "chatter", "", \
	  "421 4.7.0 Too many commands without a message") \
	X(CROWDED, "crowded", "limits.connections", \
	  "421 4.3.2 Too many connections, come back later") \
	X(TIMEOUT, "timeout", "limits.command_timeout", \
	  "421 4.4.2 You were silent for too long") \
	X(OUTDATED, "reload", "", \
	  "421 4.3.2 The configuration has changed, come back") \
	X(STOPPING, "shutdown", "", "421 4.3.2 Shutting down") \
	X(UNDECIDED, "undecided", "", \
	  "421 4.3.0 No decision in time, try again later") \
	X(ETRN_458, "etrn", "", \
	  "458 4.5.0 Unable to queue messages for this node") \
	X(ETRN_459, "etrn_not_allowed", "etrn", "459 4.7.1 Node not allowed") \
	X(ETRN_250, "", "", "250 2.0.0 Queuing for the node started") \
	X(ETRN_251, "", "", "251 2.0.0 No messages are waiting for the node") \
	X(ETRN_252, "", "", "252 2.0.0 Pending messages for the node started")
/* clang-format on */

#define REPLY_ENUM(id, reason, setting, line) SAY_##id,
enum reply_id {
	INTAKE_REPLIES(REPLY_ENUM) SAY_COUNT,
	SAY_VERDICT = SAY_COUNT, /* no row: the gate's words, in mail.verdict */
};
#undef REPLY_ENUM

struct reply {
	struct span line;   /* CRLF included */
	/* Both for the log: "" when it refuses nothing; "limits.errors". */
	const char *reason, *setting;
};

const struct reply *reply_get(enum reply_id id);

/* The line for a log or a status: without its CRLF. */
struct span reply_text(enum reply_id id);

/* Does it count against limits.errors?  Not when the client is asked to come
 * back later: then it has done nothing wrong. */
bool reply_is_error(enum reply_id id);

#endif
