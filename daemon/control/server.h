/* What the verbs see of the control server; private to this folder. */
#ifndef MX_CONTROL_REQUEST_H
#define MX_CONTROL_REQUEST_H

#include <sys/queue.h>

#include "common/control/control.h"
#include "daemon/control/control.h"

struct client; /* one connection */

/*
 * One question, from its line to its last answer.  It outlives its client
 * (who may hang up) and the server (which may stop): both are looked at only
 * through request_server and the answering functions.
 */
struct request {
	LIST_ENTRY(request) link; /* of the server, while it lives */
	struct control *control;  /* NULL: the server is gone */
	struct client *client;	  /* NULL: nobody listens any more */
	const char *verb;
	int64_t uid;		    /* of who asks; -1: not known */
	struct spool_selection sel; /* domain borrows from name */
	char name[256];		    /* canonical domain, or "" */
	struct buf reason;	    /* hold: the operator's words */
	struct route_query *query;  /* route: the question under way */
	unsigned awaits_reload;	    /* number of the load; 0: none */
	bool is_forced, is_dry;	    /* reload */
};

LIST_HEAD(client_list, client);
LIST_HEAD(request_list, request);

struct control {
	struct control_options opt;
	struct listener *listener;
	char path[108]; /* of the socket; "" when it has none */
	struct client_list clients;
	struct request_list requests;
	size_t client_count;
};

/* Send a part of the answer.  Takes the object. */
void request_part(struct request *r, json_t *object);
/* Send the end of the answer; r is freed.  Takes the object. */
void request_done(struct request *r, json_t *object);
/* The end: {"ok":false,"error":text}. */
void request_fail(struct request *r, const char *text);
void request_fail_err(struct request *r, enum mx_err err);
/* Nobody is to be answered: r is freed. */
void request_drop(struct request *r);

/* Find the verb of this object and run it.  verbs.c */
void verb_run(struct request *r, const json_t *object);

/* verb bounce: bounce.c */
void bounce_run(struct request *r);
/* verb reload: reload.c */
void reload_run(struct request *r);
/* verb route: explain.c */
void explain_run(struct request *r);
/* What the drain knows of a domain's destination, into an object. */
void explain_state(struct control *c, struct span domain, json_t *into);

#endif
