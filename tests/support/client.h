/*
 * A delivery connection to a scripted peer, and mails whose answers are
 * written down: for jobs that a test gives one by one.
 */
#ifndef MX_TESTS_SUPPORT_CLIENT_H
#define MX_TESTS_SUPPORT_CLIENT_H

#include "daemon/delivery/delivery.h"
#include "tests/support/peer.h"

struct client {
	struct ev_loop *loop;
	struct peer *peer;
	struct route route;
	struct route_host host;
	unsigned without;          /* told to client_open; found out */
	int64_t reply_timeout_ms;
	struct delivery *delivery; /* NULL behind its end */
	bool is_ready, is_ended;
	struct delivery_end end;   /* but for the reply */
};

enum { MAIL_RCPTS = 8 };

struct mail {
	struct client *client;
	struct delivery_job *job;  /* NULL behind on_done */
	struct buf content;
	bool is_done, is_told;     /* of all that were added */
	size_t rcpts, told;
	enum meaning means[MAIL_RCPTS]; /* as on_rcpt was told */
	enum outcome outcomes[MAIL_RCPTS];
	char replies[MAIL_RCPTS][200];
	bool in_doubt, is_mail_refused;
	bool is_held_back;         /* may_finish says no; for relays */
};

/* Connect to a new peer that says so; returns when it is ready. */
void client_open(struct client *c, const char *ehlo, peer_reply *reply,
		 void *arg);
/* QUIT if it is not over yet, and free everything. */
void client_close(struct client *c);

/* The address would be taken? */
void mail_callout(struct mail *m, struct client *c, const char *to);
/* Mail that is there as a whole. */
void mail_whole(struct mail *m, struct client *c, const char *to,
		const char *content);
/* Mail that grows: recipients, content, and then is_all. */
void mail_relay(struct mail *m, struct client *c, const struct envelope *env,
		const char *to);
void mail_rcpt(struct mail *m, const char *to);
void mail_content(struct mail *m, const char *piece, bool is_all);

/* Run until it is done; until each recipient was answered. */
void mail_wait(struct mail *m);
void mail_wait_rcpts(struct mail *m);
/* Run until the connection is over. */
void client_wait(struct client *c);
/* Run for a while: what has to come has come. */
void client_run(struct client *c, int64_t ms);

#endif
