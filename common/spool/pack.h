/* Rows of the spool, as items of a parcel; in a transaction of any kind. */
#ifndef MX_SPOOL_PACK_H
#define MX_SPOOL_PACK_H

#include "common/spool/mirror.h"
#include "common/spool/spool_priv.h"

struct packing {
	struct spool *sp;
	MDB_txn *txn;
	struct parcel *out;
	struct buf row; /* scratch; the packer's to free */
};

/* Is there such a message? */
enum mx_err pack_exists(struct packing *k, uint64_t id, bool *yes);
/* The message and all of its units.  MX_ENOENT: there is none. */
enum mx_err pack_message(struct packing *k, uint64_t id);
/* The unit as it is, or that it is gone. */
enum mx_err pack_unit(struct packing *k, uint64_t id, struct span domain);
/* The row at this offset, if there is one. */
enum mx_err pack_content(struct packing *k, uint64_t id, uint64_t offset);
/*
 * Rows from this offset on, as long as the parcel is below max; at least one.
 * *offset: behind the last of them; *is_all: there are no more.
 */
enum mx_err pack_contents(struct packing *k, uint64_t id, uint64_t *offset,
			  size_t max, bool *is_all);
/* The operator's hold of a domain, or that there is none. */
enum mx_err pack_hold(struct packing *k, struct span domain);
/* Something that is gone. */
void pack_gone(struct packing *k, enum parcel_kind kind, uint64_t id,
	       struct span domain);

#endif
