/* Everything a session says in fixed words, in one table. */
#ifndef MX_INTAKE_REPLIES_H
#define MX_INTAKE_REPLIES_H

#include "common/base/span.h"

/*
 * id, line, what the log gives as the reason (empty: not a refusal).  RFC
 * 5321 section 4.2 for the codes, RFC 3463 for the enhanced ones.
 */
/* clang-format off */
#define INTAKE_REPLIES(X) \
	X(NONE,          "",                                                  "") \
	X(OK,            "250 2.0.0 Ok",                                      "") \
	X(BYE,           "221 2.0.0 Bye",                                     "") \
	X(HELP,          "214 2.0.0 See RFC 5321; this host takes mail for a few domains only", "") \
	X(VRFY,          "252 2.5.0 Not verified here, but mail to it will be tried", "") \
	X(SENDER_OK,     "250 2.1.0 Sender ok",                               "") \
	X(RCPT_OK,       "250 2.1.5 Recipient ok",                            "") \
	X(CHUNK_OK,      "250 2.0.0 Chunk ok",                                "") \
	X(GO_AHEAD,      "354 End data with <CR><LF>.<CR><LF>",               "") \
	X(START_TLS,     "220 2.0.0 Ready to start TLS",                      "") \
	X(UNKNOWN,       "500 5.5.2 Command not recognized",                  "unknown_command") \
	X(HTTP,          "500 5.5.2 This is a mail server",                   "not_smtp") \
	X(TOO_LONG,      "500 5.5.2 Line too long",                           "line_length") \
	X(BARE,          "500 5.5.2 A line ends with CR LF and holds no control character", "line_ending") \
	X(SYNTAX,        "501 5.5.4 Syntax error in the argument",            "syntax") \
	X(NO_ARGUMENT,   "501 5.5.4 No argument is allowed here",             "syntax") \
	X(HELO_NAME,     "501 5.5.4 Give a host name or an address literal",  "syntax") \
	X(SENDER_SYNTAX, "501 5.1.7 Bad sender address syntax",               "sender_syntax") \
	X(RCPT_SYNTAX,   "501 5.1.3 Bad recipient address syntax",            "recipient_syntax") \
	X(PARAMETER,     "501 5.5.4 Bad or repeated parameter",               "parameter") \
	X(NO_PARAMETER,  "555 5.5.4 Parameter not recognized",                "unknown_parameter") \
	X(NO_UTF8,       "553 5.6.7 A non-ASCII address needs SMTPUTF8",      "utf8_address") \
	X(NOT_HERE,      "502 5.5.1 Command not implemented",                 "not_implemented") \
	X(SEQUENCE,      "503 5.5.1 Bad sequence of commands",                "sequence") \
	X(HELO_FIRST,    "503 5.5.1 Say EHLO first",                          "sequence") \
	X(NO_RCPTS,      "554 5.5.1 No valid recipients",                     "no_recipients") \
	X(PIPELINING,    "503 5.5.0 Improper pipelining",                     "pipelining") \
	X(EARLY,         "554 5.5.1 You spoke before the greeting",           "early_talker") \
	X(TOO_MANY,      "452 4.5.3 Too many recipients",                     "recipients") \
	X(MANY_DOMAINS,  "452 4.5.3 Too many recipient domains",              "recipient_domains") \
	X(TOO_MANY_NOW,  "452 4.5.3 Too many recipients under way",          "network_memory") \
	X(TOO_BIG,       "552 5.3.4 Message too big",                         "message_size") \
	X(NO_SPACE,      "452 4.3.1 No space left, try again later",          "space") \
	X(DOMAIN_FULL,   "452 4.3.1 No space left for this domain, try again later", "domain_room") \
	X(NETWORK_FULL,  "452 4.3.1 Too much under way from your network",   "network_room") \
	X(DISK,          "451 4.3.0 Local storage error, try again later",    "storage") \
	X(ERRORS,        "421 4.7.0 Too many errors",                         "errors") \
	X(CHATTER,       "421 4.7.0 Too many commands without a message",     "chatter") \
	X(CROWDED,       "421 4.3.2 Too many connections, come back later",   "crowded") \
	X(TIMEOUT,       "421 4.4.2 You were silent for too long",            "timeout") \
	X(OUTDATED,      "421 4.3.2 The configuration has changed, come back", "reload") \
	X(STOPPING,      "421 4.3.2 Shutting down",                           "shutdown") \
	X(UNDECIDED,     "421 4.3.0 No decision in time, try again later",    "undecided") \
	X(ETRN_458,      "458 4.5.0 Unable to queue messages for this node",  "etrn") \
	X(ETRN_459,      "459 4.7.1 Node not allowed",                        "etrn_not_allowed") \
	X(ETRN_250,      "250 2.0.0 Queuing for the node started",            "") \
	X(ETRN_251,      "251 2.0.0 No messages are waiting for the node",    "") \
	X(ETRN_252,      "252 2.0.0 Pending messages for the node started",   "")
/* clang-format on */

#define REPLY_ENUM(id, line, reason) SAY_##id,
enum reply_id {
	INTAKE_REPLIES(REPLY_ENUM) SAY_COUNT,
	SAY_VERDICT = SAY_COUNT, /* no row: the gate's words, in mail.verdict */
};
#undef REPLY_ENUM

struct reply {
	struct span line;   /* CRLF included */
	const char *reason; /* for the log; "" when it refuses nothing */
};

const struct reply *reply_get(enum reply_id id);

/* The line for a log or a status: without its CRLF. */
struct span reply_text(enum reply_id id);

/* Does it count against limits.errors?  A client that is told to come back
 * later has done nothing wrong. */
bool reply_is_error(enum reply_id id);

#endif
