/* The inside of control.h: the server, as the verbs see it. */
#ifndef MX_CONTROL_PRIV_H
#define MX_CONTROL_PRIV_H

#include <sys/queue.h>

#include "common/base/log.h"
#include "common/control/control.h"
#include "daemon/control/control.h"
#include "daemon/control/rights.h"

struct client; /* one connection */
struct waiter; /* daemon/known/verify.h */
struct walk;   /* over the units an order is about: walk.h */
struct inquiry; /* at the gate: verdict.c */
struct search; /* for what it is about: select.c */

/* What an order is about. */
enum scope {
	SCOPE_ALL,
	SCOPE_ID,	   /* these messages */
	SCOPE_DOMAIN,
	SCOPE_PATTERN,	   /* "*.example.org" */
	SCOPE_DESTINATION, /* common/spool/scope.h */
};

enum { IDS_MAX = 1000 }; /* of one order */

/*
 * One question, from its line to its last answer.  It outlives its client
 * (who may hang up) and the server (which may stop): whoever comes back to it
 * looks whether control is there still; the answering functions do that for
 * the client.
 */
struct request {
	LIST_ENTRY(request) link; /* of the server, while it lives */
	struct control *control;  /* NULL: the server is gone */
	struct client *client;	  /* NULL: nobody listens any more */
	const char *verb;
	int64_t uid;		    /* of who asks; -1: not known */
	enum right right;	    /* never RIGHT_NONE */
	char claimed_uid[24];	    /* whom sudo ran it for, says mx20ctl */
	enum scope scope;
	struct spool_selection sel; /* id: the only one; domain: or pattern,
				       borrows from name */
	struct span destination;    /* borrows from name, behind its '@' */
	char name[256];		    /* canonical domain, pattern, or the row
				       of a destination; or "" */
	uint64_t *ids;		    /* each is, or was, a message */
	size_t id_count;
	bool all;		    /* release: what is held by itself, too */
	bool was_braked;	    /* and something of it was */
	struct buf reason;	    /* hold: the operator's words */
	struct buf after;	    /* look_*: what the page is behind */
	uint64_t offset;	    /* look_content */
	struct walk *walk;	    /* NULL: none is under way */
	struct search *search;	    /* the same */
	struct inquiry *inquiry;    /* explain: the same; and how it ends */
	void (*stop_inquiry)(struct request *r);
	struct route_query *query;  /* route: the question under way */
	unsigned awaits_reload;	    /* number of the load; 0: none */
	bool is_forced, is_dry;	    /* reload */
	struct buf address;	    /* recipient */
	struct waiter *waiter;	    /* the primary is being asked; or NULL */
	bool is_forget, is_recheck; /* recipient */
};

LIST_HEAD(client_list, client);
LIST_HEAD(request_list, request);

struct control {
	struct control_options opt;
	struct rights rights;
	struct listener *listener;
	char path[108]; /* of the socket; "" when it has none */
	struct client_list clients;
	struct request_list requests;
	size_t client_count;
};

/* Send a part of the answer.  Takes the object. */
void request_part(struct request *r, json_t *object);
/* Send the end of the answer; r goes on without anybody who listens. */
void request_answer(struct request *r, json_t *object);
/* The same, and r is freed.  Takes the object. */
void request_done(struct request *r, json_t *object);
/* The end: {"ok":false,"error":text}. */
void request_fail(struct request *r, const char *text);
void request_fail_err(struct request *r, enum mx_err err);
/* Nobody is to be answered: r is freed. */
void request_drop(struct request *r);

/* Find the verb of this object and run it.  verbs.c */
void verb_run(struct request *r, const json_t *object);

/* What the request is about, into r; an English reason when it cannot be. */
const char *select_take(struct request *r, const json_t *object);
/* Go on with it if what it names is in the allowlist, or has mail, or a hold;
 * else it fails.  Ids were looked at when they were taken. */
void select_check(struct request *r, void (*then)(struct request *r));
/* The server leaves while it is looked for: true. */
bool select_stop(struct request *r);

/* A line for the order as a whole, when that was about more than ids. */
void surgery_log_order(const struct request *r, uint64_t units);
/* verbs hold, release, remove: surgery.c; bounce; flush */
void hold_run(struct request *r);
void release_run(struct request *r);
void remove_run(struct request *r);
void bounce_run(struct request *r);
void flush_run(struct request *r);
/* verb reload: reload.c */
void reload_run(struct request *r);
/* verb recipient: recipient.c */
void recipient_run(struct request *r);
/* verb route: explain.c */
void explain_run(struct request *r);
/* verb explain: verdict.c */
void verdict_run(struct request *r, const json_t *object);
/* verbs mirror, mirror_take, mirror_leave: mirror.c */
void mirror_run(struct request *r);
void mirror_take_run(struct request *r, const json_t *object);
void mirror_leave_run(struct request *r);
/* verbs that look: look.c */
void look_overview(struct request *r);
void look_domains(struct request *r);
void look_domain(struct request *r);
void look_messages(struct request *r);
void look_message(struct request *r);
void look_content(struct request *r);
void look_search(struct request *r, const json_t *object);
void look_outages(struct request *r);
void look_tally(struct request *r, const json_t *object);
void look_find(struct request *r, const json_t *object);
/* What the drain knows of a domain's destination; false: nothing yet. */
bool explain_state(struct control *c, struct span domain,
		   struct status_destination *out);

#endif
