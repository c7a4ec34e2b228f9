/*
 * Every event the log can name, with its level and what it says.  The table
 * in mx20d(8) follows this list.
 */
#ifndef MX_BASE_EVENTS_H
#define MX_BASE_EVENTS_H

/* clang-format off */
#define LOG_EVENTS(X) \
	X(ACCEPTED,  "accepted",  "a message is durable and was answered 250") \
	X(RELAYED,   "relayed", \
	  "the primary took a message while its client waited") \
	X(KEPT,      "kept", \
	  "the primary could not take a message now: it goes through the spool") \
	X(REJECTED,  "rejected",  "a command or message was refused") \
	X(DELIVERED, "delivered", \
	  "the primary took a message for a recipient") \
	X(DEFERRED,  "deferred",  "a recipient waits for its own retry") \
	X(BOUNCED,   "bounced", \
	  "a recipient failed for good; a DSN was made") \
	X(REFUSED,   "refused", \
	  "the primary refused a recipient for good; it is not final yet") \
	X(SHELVED,   "shelved", \
	  "a recipient failed for good; the mail is kept, nobody is told") \
	X(HELD,      "held",      "mail is kept for the operator") \
	X(RELEASED,  "released",  "held mail may go again") \
	X(REMOVED,   "removed",   "the operator, or time, removed a message") \
	X(FALLBACK,  "fallback", \
	  "something was refused or lacking: tried another way") \
	X(DIGEST,    "digest", \
	  "a postmaster is told of the day's refused mail") \
	X(DELAYED,   "delayed",   "the sender was told of a delay") \
	X(PROOF,     "proof", \
	  "whether a sender is proven, before a report is sent") \
	X(PROBE,     "probe",     "a primary was probed") \
	X(STATE,     "state",     "a destination changed its state") \
	X(BRAKE,     "brake", \
	  "a primary refused too much: nothing more goes there") \
	X(ROUTE,     "route",     "what a route look-up found or dropped") \
	X(RELOAD,    "reload",    "the configuration was replaced, or not") \
	X(TABLE,     "table", \
	  "a table of recipients was fetched, or not") \
	X(MIRROR,    "mirror", \
	  "the second copy: in step, behind or away, and why") \
	X(TAKEN,     "taken-over", \
	  "mail of a node that is gone is delivered from here; was: its id there") \
	X(DROPPED,   "dropped", \
	  "mail of ours that another node has taken over; now: its id there") \
	X(CONNECT,   "connect",   "a client connected") \
	X(DISCONNECT,"disconnect","a client left") \
	X(TLS,       "tls",       "a TLS handshake ended") \
	X(SPOOL,     "spool",     "the spool opened, filled up or failed") \
	X(CONTROL,   "control",   "an operator's command") \
	X(CALLOUT,   "callout",   "the primary was asked for a recipient") \
	X(CATCH_ALL, "catch-all", "whether a primary takes everyone") \
	X(WAKE,      "wake",      "something cut a wait short") \
	X(CONFIG,    "config",    "a warning about the configuration") \
	X(START,     "start",     "the daemon is ready") \
	X(STOP,      "stop",      "the daemon leaves") \
	X(LOG,       "log", \
	  "lines were left out: stderr was slow, or a client made too many")
/* clang-format on */

#define LOG_EVENT_ENUM(id, name, help) EV_##id,
enum log_event { LOG_EVENTS(LOG_EVENT_ENUM) EV_COUNT };
#undef LOG_EVENT_ENUM

#endif
