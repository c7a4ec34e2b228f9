/* The tables of the environment; the only file that LMDB's calls pass. */
#ifndef MX_SPOOL_TABLE_H
#define MX_SPOOL_TABLE_H

#include <lmdb.h>

#include "common/base/err.h"
#include "common/spool/keys.h"

/* No table has DUPSORT: its faults were mended only after LMDB 0.9.24. */
enum table_id {
	T_META,
	T_MESSAGE,   /* id -> envelope, units left */
	T_CONTENT,   /* id, offset -> bytes */
	T_RECIPIENT, /* id, domain, number -> forward-path and its history */
	T_READY,     /* domain, id -> nothing: the unit can go */
	T_PARKED,    /* domain, id -> due or held: the unit cannot go yet */
	T_DEFERRED,  /* due, domain, id -> nothing */
	T_EXPIRY,    /* at, id, domain, kind -> nothing */
	T_DOMAIN,    /* domain -> counters, hold */
	T_TARGET,    /* target -> last known state */
	T_FACT,	     /* name -> value */
	T_GARBAGE,   /* kind, id -> nothing: content without a message */
	/* Spools of earlier versions lack those from here on: */
	T_YOUNG,
	T_KNOWN = T_YOUNG, /* key -> what is known of a recipient: known.c */
	T_KNOWN_GOOD,	   /* at, key -> nothing: who is one, by age */
	T_KNOWN_BAD,	   /* at, key -> nothing: who is none */
	T_ABSENT,	   /* id -> stamp: the mirror has nothing of it */
	T_STALE,	   /* id -> stamp: what it has is old: note.c */
	T_STALE_HOLD,	   /* domain -> stamp: its hold is old there */
	T_COUNT,
};

/* Translate what LMDB returns; the border to it. */
enum mx_err from_mdb(int rc);

struct table {
	/* No key of the table is above this one (it may be gone): what is
	 * above it may be appended, which leaves full pages behind. */
	size_t last_n;
	MDB_dbi dbi;
	bool is_missing; /* to a reader, in a spool that lacks it: empty */
	unsigned char last[KEY_NAME_MAX];
};

/* Open all tables inside txn.  create: make what is missing; else only the
 * young ones are made, where the txn can write. */
enum mx_err tables_open(struct table *tables, MDB_txn *txn, bool create);

/* Writing; the txn is the writer's.  table_del of what is not there is
 * MX_ENOENT. */
enum mx_err table_put(struct table *t, MDB_txn *txn, const struct key *k,
		      struct span value);
enum mx_err table_put_name(struct table *t, MDB_txn *txn, struct span name,
			   struct span value);
enum mx_err table_del(struct table *t, MDB_txn *txn, const struct key *k);
enum mx_err table_del_name(struct table *t, MDB_txn *txn, struct span name);

/* Reading.  Values live until the transaction changes or ends. */
enum mx_err table_get(const struct table *t, MDB_txn *txn, const struct key *k,
		      struct span *value);
enum mx_err table_get_name(const struct table *t, MDB_txn *txn,
			   struct span name, struct span *value);

/* How many rows there are; O(1). */
enum mx_err table_rows(const struct table *t, MDB_txn *txn, uint64_t *rows);

/* Rows of a table, one after the other.  MX_ENOENT: no row there; key and value
 * are empty. */
struct scan {
	MDB_cursor *cursor;
	struct span key, value;
};
enum mx_err scan_open(struct scan *p, const struct table *t, MDB_txn *txn);
void scan_close(struct scan *p); /* before the end of a write txn */
/* The first row at or behind k; NULL: the first of all. */
enum mx_err scan_seek(struct scan *p, const struct key *k);
enum mx_err scan_seek_name(struct scan *p, struct span name);
/* The first row behind this key; empty: the first of all. */
enum mx_err scan_seek_behind(struct scan *p, struct span key);
/* The last row before k; NULL: the last of all. */
enum mx_err scan_seek_before(struct scan *p, const struct key *k);
enum mx_err scan_next(struct scan *p);
enum mx_err scan_prev(struct scan *p);
/* Remove the row; then scan_next goes to the one that followed it. */
enum mx_err scan_del(struct scan *p);

/* Does the key begin with the bytes of k? */
bool key_starts(struct span key, const struct key *k);

#endif
