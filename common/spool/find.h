/* Messages, domains, units and recipients, found inside a transaction of any
 * kind. */
#ifndef MX_SPOOL_FIND_H
#define MX_SPOOL_FIND_H

#include "common/spool/spool_priv.h"

/* A unit, and where it stood when it was looked up. */
struct found {
	uint64_t id;
	struct span domain; /* the caller's */
	enum unit_state state;
	int64_t due_ms;	    /* deferred only */
	struct span reason; /* held only: why; until the transaction changes */
};

/* A message and how many units it has left; spans borrow from the row. */
enum mx_err find_message(struct spool *sp, MDB_txn *txn, uint64_t id,
			 struct envelope *env, uint32_t *units);
/* The first message from this id on; spans borrow from the row.  MX_ENOENT:
 * there is none. */
enum mx_err find_next_message(struct spool *sp, MDB_txn *txn, uint64_t from,
			      struct envelope *env);
/* The message's domain behind this one, whose name is replaced; *n is
 * FIND_FIRST: its first.  MX_ENOENT: that was the last. */
#define FIND_FIRST SIZE_MAX
enum mx_err find_next_domain(struct spool *sp, MDB_txn *txn, uint64_t id,
			     char name[KEY_DOMAIN_MAX], size_t *n);

/* The domain's row as it is stored, its name left alone.  MX_ENOENT: there is
 * none, and *row is left alone. */
enum mx_err find_domain(struct spool *sp, MDB_txn *txn, struct span domain,
			struct domain_row *row);

/* Where a unit stands, by its row in parked; false: that is none. */
bool found_stands(struct span parked, struct found *out);
enum mx_err find_unit(struct spool *sp, MDB_txn *txn, uint64_t id,
		      struct span domain, struct found *out);
/* The domain's first id from `from` on in these tables; UINT64_MAX: none. */
enum { IN_READY = 1, IN_PARKED = 2, IN_BOTH = 3 };
enum mx_err find_first(struct spool *sp, MDB_txn *txn, unsigned where,
		       struct span domain, uint64_t from, uint64_t *id);
/* The unit's recipient with this number or the next one.  MX_ENOENT: none.
 * The row borrows until the transaction changes. */
enum mx_err find_recipient(struct spool *sp, MDB_txn *txn, uint64_t id,
			   struct span domain, uint32_t number,
			   struct recipient_row *row);

#endif
