/*
 * What is asked of the database, all of it, each prepared once a connection.
 * Numbers, bytes and arrays go and come in binary.
 */
#ifndef MX_MIRROR_SQL_H
#define MX_MIRROR_SQL_H

enum sql_id {
	/* the scribe */
	SQL_REGISTER,	/* name, spool, version, lease -> owner, fence, seq */
	SQL_TOMBSTONES, /* owner, after, most -> id, by */
	SQL_TOMBSTONES_READ, /* owner, ids */
	SQL_READ_COUNT,	     /* owner, how many */
	SQL_LAST_ID,	     /* owner -> the highest there is */
	SQL_FENCE,	     /* owner, fence, seq, lease, messages: a batch */
	SQL_CATCH,	     /* the same: what was missed */
	SQL_RENEW,	     /* owner, fence, lease, messages */
	SQL_GONE_MESSAGE,    /* owner, ids */
	SQL_GONE_UNIT,	     /* owner, ids */
	SQL_GONE_CONTENT,    /* owner, ids */
	SQL_UNIT_GONE,	     /* owner, ids, domains */
	SQL_DRAFT_GONE,	     /* owner, ids */
	SQL_CONTENT,	     /* owner, ids, positions, pieces */
	SQL_MESSAGE,	     /* owner, ids, rows */
	SQL_UNIT,	     /* owner, ids, domains, states, rows */
	SQL_HOLD_GONE,	     /* owner, domains */
	SQL_HOLD,	     /* owner, domains, reasons */
	SQL_PAGE,	     /* owner, after, most -> id, incoming, hash */
	SQL_HOLDS,	     /* owner -> domain */
	SQL_OURS_AGAIN,	     /* owner, fence, ids: are to come here again */
	SQL_ORPHANS,	     /* owner, after, up to: content without message */
	SQL_LEAVE,	     /* owner, fence */
	SQL_STOP,	     /* owner, fence: stopped, if nothing is there */
	SQL_UNFREEZE,	     /* lease: whoever stands still in a transaction */
	/* the taker */
	SQL_NODES,	  /* -> see taker_look.c */
	SQL_VICTIM_IDS,	  /* owner, after, most -> id, content bytes */
	SQL_STAND,	  /* owner, fence: is it I, and is my lease valid? */
	SQL_VICTIM,	  /* owner, how many, by whom */
	SQL_MOVE_UNIT,	  /* owner, new owner, ids, new ids */
	SQL_MOVE_CONTENT, /* the same */
	SQL_MOVE_MESSAGE, /* the same */
	SQL_VICTIM_REST,  /* owner: what no message is of */
	SQL_INCOMING,	  /* owner, after, most -> id, content bytes */
	SQL_MESSAGES_OF,  /* owner, ids -> id, row */
	SQL_UNITS_OF,	  /* owner, ids -> id, domain, state, row, hold */
	SQL_CONTENT_OF,	  /* owner, ids -> id, position, piece */
	SQL_CONTENT_NEXT, /* owner, id, after, most -> position, piece */
	SQL_GIVE,	  /* name, my owner -> owner, lease, left, messages */
	SQL_OLD_TOMBSTONES,
	SQL_OLD_NODES,
	SQL_COUNT,
};

struct sql {
	const char *name, *text;
	/* of its parameters: i bigint, t text, I bigint[], B bytea[] */
	const char *types;
};
extern const struct sql sql_table[SQL_COUNT];

/* SQLSTATE of what SQL_FENCE, SQL_STAND and SQL_VICTIM say when it is not so:
 * each divides by how many rows it found, and so undoes its transaction. */
#define SQL_NOT_SO "22012"

/* Choose the schema, which the rest is in, and say how this session is. */
extern const char sql_session[];
/* The tables, if they are not there: a transaction without its end. */
extern const char sql_schema[];
enum { SQL_SCHEMA = 1 }; /* the number of the tables' version */

#endif
