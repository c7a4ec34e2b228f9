/* How full is it, and how much may still come? */
#ifndef MX_SPOOL_ROOM_H
#define MX_SPOOL_ROOM_H

#include "common/spool/spool_priv.h"

void room_init(struct spool *sp, const struct spool_options *opt);
/* Writer: count the pages inside txn, which is about to be committed. */
void room_count(struct spool *sp, MDB_txn *txn);
/* Any thread: the free space of the disk, the size of the file. */
void room_look(struct spool *sp);
/* Writer: have the disk's blocks for so many bytes more, and for a cushion
 * behind them that only deletions use.  false: there are none. */
bool room_secure(struct spool *sp, uint64_t bytes);
/* Loop: would so much more fit now?  Promise (or refuse) more; return what was
 * promised. */
enum mx_err room_check(struct spool *sp, uint64_t bytes, bool may_use_margin);
enum mx_err room_take(struct spool *sp, uint64_t bytes, bool may_use_margin);
void room_give(struct spool *sp, uint64_t bytes);
/* Any thread: what may still be stored, reservations not deducted. */
uint64_t room_left(const struct spool *sp, bool may_use_margin);
/* Any thread.  Will less than the last fifth be left, when so many bytes have
 * come? */
bool room_is_tight(const struct spool *sp, uint64_t coming);
/* Somebody was refused: the writer looks for room each second. */
void room_is_wanted(struct spool *sp);
/* What a content of so many bytes takes, rows and page ends included. */
uint64_t room_need(uint64_t content_bytes);

#endif
