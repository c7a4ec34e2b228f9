/* Private to common/net: what of a client's turn in the handshake is here, and
 * how large the ClientHellos are that it says it will send, seen as the records
 * pass. */
#ifndef MX_NET_HELLO_H
#define MX_NET_HELLO_H

#include "common/base/span.h"

enum {
	/* OpenSSL makes room for a whole ClientHello when it has seen its
	 * length; with keys against quantum computers they are 2 KiB. */
	HELLO_MAX = 16 << 10,
};

/* All zero before the first byte. */
struct hello_watch {
	unsigned char type;    /* of the record */
	unsigned header;       /* bytes of its header that are here */
	size_t record;	       /* bytes of it to come */
	unsigned char head[4]; /* of the message: its type, its length */
	unsigned head_n;
	size_t message; /* bytes of it to come */
	bool is_whole;	/* a message was, or one began that is no ClientHello */
};

/*
 * The next bytes of clear records (RFC 8446 sections 4 and 5.1).  False: a
 * ClientHello is too large, and they are not to be passed on.  To be asked
 * until we have sent a ServerHello: what follows that may be encrypted.
 */
bool hello_watch(struct hello_watch *w, struct span in);

/* Behind the first bytes: has a ClientHello begun that is not whole yet? */
bool hello_is_partial(const struct hello_watch *w);

/* All that came behind our ServerHello: is a whole record there that is more
 * than a ChangeCipherSpec, which means nothing (RFC 8446 section 5)? */
bool hello_is_answered(struct span in);

#endif
