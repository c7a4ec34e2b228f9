/*
 * Content: how it is stored, read, and deleted when nobody needs it.
 *
 * It begins with its first row, wherever that stands, and has no gap.  What is
 * sealed in one piece is one row at 0.  What was stored before its prefix was
 * known begins at CONTENT_BASE, and the prefix ends there:
 *
 *   offset  0 ...      65536-411        65536          131056 ...
 *                      Received: ...    first piece    second piece
 */
#ifndef MX_SPOOL_CONTENT_H
#define MX_SPOOL_CONTENT_H

#include "common/spool/spool_priv.h"

enum { CONTENT_BASE = CHUNK_PAGES_BYTES };

/* Writer: store what stands at this offset of a content. */
enum mx_err content_put(struct batch *b, uint64_t id, uint64_t offset,
			struct span piece);
/* Name a content that has no message, or has one from now on (MX_ENOENT: it was
 * not named). */
enum mx_err content_name(struct batch *b, enum garbage_kind kind, uint64_t id);
/* The same of what the mirror has given to us, and has. */
enum mx_err content_name_adopted(struct batch *b, uint64_t id);
enum mx_err content_unname(struct batch *b, enum garbage_kind kind,
			   uint64_t id);
/* The first that is open, from this id on; *how is empty unless it is adopted.
 * MX_ENOENT. */
enum mx_err content_next_open(struct spool *sp, MDB_txn *txn, uint64_t from,
			      uint64_t *id, struct span *how);
/* Content of a message that goes: at once if it is small, else later. */
enum mx_err content_drop(struct batch *b, uint64_t id, uint64_t bytes);
/* Delete some of what is named; true in *more when there is more. */
enum mx_err content_sweep(struct batch *b, bool *more);

#endif
