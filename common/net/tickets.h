/*
 * The keys that a server's session tickets are made with (RFC 5077 section 4,
 * RFC 8446 section 4.6.1): one makes new ones, the one before it is still
 * understood, and then it is gone, so that who gets hold of the process's
 * memory can read no older session of TLS 1.2.
 *
 *            TICKETS_MS                TICKETS_MS
 *   makes ──────────────▶ understood ──────────────▶ forgotten
 */
#ifndef MX_NET_TICKETS_H
#define MX_NET_TICKETS_H

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdint.h>

#include "common/base/clock.h"

/* As long as OpenSSL lets a session be resumed. */
#define TICKETS_MS HOURS(2)
enum { TICKET_NAME = 16, TICKET_KEY = 32, TICKET_LANES = 256 };

struct ticket_key {
	unsigned char name[TICKET_NAME], cipher[TICKET_KEY], mac[TICKET_KEY];
};

/* Any thread. */
struct tickets;

struct tickets *tickets_new(void);
void tickets_free(struct tickets **t);

/* The key to make a ticket with, at this monotonic time.  False: there is no
 * good randomness; then none is to be made. */
bool tickets_key(struct tickets *t, int64_t now_ms, struct ticket_key *out);
/* The key of a ticket that came back. */
enum ticket_age { TICKET_UNKNOWN, TICKET_CURRENT, TICKET_OLD };
enum ticket_age tickets_find(struct tickets *t, int64_t now_ms,
			     const unsigned char name[TICKET_NAME],
			     struct ticket_key *out);

/*
 * Is a client that brings mail to have a ticket?  lane stands for its network
 * (shake_lane): after so many there that nobody came back with, one of so many
 * is.  resumed: this one did.
 */
enum { TICKETS_TRIED = 16 };
bool tickets_are_worth(struct tickets *t, unsigned lane, bool resumed);

/* Have the tickets of a context made with these keys.  Borrowed. */
void tickets_use(SSL_CTX *ctx, struct tickets *t);

#endif
