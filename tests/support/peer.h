/*
 * A scripted SMTP server on loopback and on the test's own loop.  By default
 * it takes everything; a hook may answer otherwise, hang or drop.
 */
#ifndef MX_TESTS_SUPPORT_PEER_H
#define MX_TESTS_SUPPORT_PEER_H

#include <ev.h>

#include "common/base/buf.h"
#include "common/net/conn.h"

/* Instead of a reply: no more replies, but reading on; or the end. */
#define PEER_HANG "!hang"
#define PEER_CLOSE "!close"
/* Half a reply, a byte of it every 50 ms for ever. */
#define PEER_TRICKLE "!trickle"

struct peer;

/*
 * The reply to a line, without its last CRLF; NULL for the default.  line is
 * "CONNECT" for the greeting, "." for the end of DATA, else the command as it
 * came.  "STARTTLS" answered 220 begins TLS if the peer has a certificate.
 */
typedef const char *peer_reply(struct peer *p, const char *line, void *arg);

/* One that does with a recipient as its local part says: no, plain, policy,
 * later, lost, leaves, hang. */
peer_reply peer_by_name;

struct peer_options {
	const char *ehlo; /* keywords, "PIPELINING\nSIZE 1000"; NULL: none */
	peer_reply *reply;
	void *arg;
	struct tls_server *tls;
};

struct peer_command {
	char line[1200];
	size_t replies; /* how many replies had been sent when it came */
};

enum { PEER_COMMANDS = 512, PEER_MESSAGES = 128 };

struct peer {
	struct peer_options opt;
	struct ev_loop *loop;
	struct net_addr addr;
	ev_io accept;
	unsigned connections; /* ever */
	unsigned open;
	struct peer_command commands[PEER_COMMANDS];
	size_t count;
	struct buf messages[PEER_MESSAGES]; /* as sent, dots still doubled */
	size_t message_count;
	size_t replies;
	struct peer_session *sessions;
};

struct peer *peer_new(struct ev_loop *loop, const struct peer_options *opt);
void peer_free(struct peer **p);
/* Stop and start listening; the address stays. */
void peer_stop(struct peer *p);
void peer_start(struct peer *p);

/* Say something unasked, on every connection; PEER_CLOSE: hang up. */
void peer_say(struct peer *p, const char *line);

/* Read nothing more, on every connection, or go on with it. */
void peer_pause(struct peer *p, bool is_paused);

/* How many commands began so. */
size_t peer_saw(const struct peer *p, const char *prefix);
/* The nth of them (from 0), or NULL. */
const struct peer_command *peer_command(const struct peer *p,
					const char *prefix, size_t n);

/* Run the loop until *done or so many ms went by; false: time-out. */
bool peer_run(struct ev_loop *loop, const bool *done, int64_t ms);

#endif
