/* The directory and the files of the spool, before LMDB sees them. */
#ifndef MX_SPOOL_DISK_H
#define MX_SPOOL_DISK_H

#include "common/spool/spool_priv.h"

/* For the daemon: directory and file are there, ours alone, flushed, and fit
 * for LMDB.  Sets sp->lock_fd and sp->fd. */
enum mx_err disk_take(struct spool *sp, const char *dir, struct buf *why);

/* For a reader, who is the directory's owner from here on if it was root: the
 * files are there, are what they seem, and fit for LMDB. */
enum mx_err disk_look(struct spool *sp, const char *dir, struct buf *why);

/* "PATH: what"; returns err.  why may be NULL. */
enum mx_err disk_say(struct buf *why, const char *path, const char *what,
		     enum mx_err err);

#endif
