/*
 * The primary of the other side, over a connection without a socket: it answers
 * what it is told to answer, and knows what it has of each mail.
 */
#ifndef MX_TESTS_FUZZ_FAR_H
#define MX_TESTS_FUZZ_FAR_H

#include "common/base/buf.h"

enum { FAR_MAILS = 24, FAR_RCPTS = 8 };

/* A mail by its number: that of its sender, "f3@", and "t0@" its first
 * recipient.  What was sent of it is its client's to say. */
struct far_mail {
	struct buf content;
	bool is_all;
	bool is_taken[FAR_RCPTS]; /* 2yz to RCPT */
	bool has_it[FAR_RCPTS];	  /* and to all of the content */
};

extern struct far_mail far_mails[FAR_MAILS];

/* is_exact: one reply to each command, with a number behind its words; else
 * nothing but what far_say has it say. */
void far_begin(bool is_exact, const char *ehlo);
void far_clean(void);

/* Its next reply, or as it should be: some number. */
void far_choose(unsigned how);
void far_choose_nothing(void);
/* In between. */
void far_say(struct span bytes);

/* It is connected to, if somebody waits for that, and so much of what it said
 * arrives. */
void far_serve(size_t bytes);
/* The connection is over: what was on its way is lost. */
void far_lost(void);

/* Was that reply, by the number behind its words, for this recipient, or for
 * all of this mail?  rcpt < 0: any of them.  Without a number: so it was. */
bool far_is_for(const char *words, int mail, int rcpt);

#endif
