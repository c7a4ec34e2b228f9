/*
 * What becomes of a relayed transaction, whatever its primary does: the table,
 * and no socket.
 */
#ifndef MX_RELAY_TABLE_H
#define MX_RELAY_TABLE_H

#include <stdbool.h>

/* How far it came, as the primary sees it. */
enum relay_stage {
	RELAY_CONNECT, /* no connection, or not greeted yet */
	RELAY_MAIL,
	RELAY_RCPT,
	RELAY_DATA,
	RELAY_CONTENT, /* in the middle of it */
	RELAY_DOT,     /* the end is out */
	RELAY_STAGES
};

/* What the primary did then. */
enum relay_event {
	PRIMARY_YES,	/* 2yz; DATA: 354 */
	PRIMARY_LATER,	/* 4yz */
	PRIMARY_LEAVES, /* 421 */
	PRIMARY_NEVER,	/* 5yz */
	PRIMARY_SILENT, /* nothing within the time for a reply */
	PRIMARY_CLOSED, /* the connection ended */
	PRIMARY_EVENTS
};

enum relay_fate {
	FATE_ON,     /* nothing is decided yet */
	FATE_WORDS,  /* the client hears the primary's words */
	FATE_KEPT,   /* 250 and the spool; the primary's "later" to a client
			whose recipient nobody vouches for */
	FATE_JUDGED, /* 250 and the spool; of a recipient nobody vouches for,
			what would be said in an outage */
	FATE_DOUBT, /* 250 and the spool, though the primary may have it, too */
};

enum relay_fate relay_fate(enum relay_stage s, enum relay_event e);

/* What the client hears of one recipient, or of the content. */
enum relay_answer {
	ANSWER_NONE,  /* it has to wait */
	ANSWER_WORDS, /* of the primary; kept is nothing */
	ANSWER_250,   /* of ours: it is in the spool */
	ANSWER_LATER, /* 4yz, and nothing is kept */
	ANSWER_JUDGE, /* the gate is asked as in an outage */
};

/* is_vouched: the recipient is listed or known, or was taken in this
 * transaction; can_keep: the spool takes it. */
enum relay_answer relay_answer(enum relay_fate f, bool is_vouched,
			       bool can_keep);

const char *relay_stage_name(enum relay_stage s); /* "rcpt" */

#endif
