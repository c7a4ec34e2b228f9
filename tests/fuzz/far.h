/*
 * The primary of the other side, over a connection without a socket: it answers
 * what it is told to answer, and knows what it has of each mail.
 *
 *  exact  one reply to each command, whatever it says, with a number behind its
 *         words
 *  loose  and one too many, or too few
 *  raw    nothing but what far_say has it say
 *
 * It looks at what it hears: each recipient is one of the mail that the
 * transaction is of; if exact, nothing but commands is taken for one, and all
 * of a content ends, or nobody is to have it.
 */
#ifndef MX_TESTS_FUZZ_FAR_H
#define MX_TESTS_FUZZ_FAR_H

#include "common/base/buf.h"

enum { FAR_MAILS = 24, FAR_RCPTS = 8 };

enum far_mode { FAR_EXACT, FAR_LOOSE, FAR_RAW };

/* A mail by its number: that of its sender, "f3@", and "t0-3@" its first
 * recipient.  What was sent of it is its client's to say. */
struct far_mail {
	struct buf content;
	bool is_all;
	size_t rcpts; /* that are asked about */
	bool is_taken[FAR_RCPTS]; /* 2yz to RCPT, in any transaction */
	bool reached[FAR_RCPTS];  /* it had all of the content for him */
	bool has_it[FAR_RCPTS];	  /* and said so */
};

extern struct far_mail far_mails[FAR_MAILS];

struct far_options {
	enum far_mode mode;
	const char *ehlo; /* its lines behind the first */
	bool is_tls_must; /* nobody is mailed in clear text */
	/* What far_choose chooses from; NULL: as it should be. */
	const char *const *replies;
	size_t reply_count;
};

void far_begin(const struct far_options *opt);
void far_clean(void);

/* Its next reply, or as it should be: some number.  If loose, FAR_ODD and
 * FAR_EXTRA are in front of it, FAR_MISSING in its place. */
enum { FAR_ODD = 29, FAR_EXTRA = 30, FAR_MISSING = 31 };
void far_choose(unsigned how);
void far_choose_nothing(void);
/* In between. */
void far_say(struct span bytes);

/* It is connected to, or TLS begins, if somebody waits for that. */
void far_connect(void);
/* So much of what it said arrives. */
void far_arrive(size_t bytes);
/* The connection is over: what was on its way is lost. */
void far_lost(void);

/* What a reply was for; mail < 0: for none, rcpt < 0: all of the mail. */
struct far_serial {
	int mail, rcpt;
};
/* By the number behind its words.  False: it has none, or they are not exact. */
bool far_knows(struct span words, struct far_serial *out);

#endif
