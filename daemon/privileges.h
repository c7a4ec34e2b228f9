/* What root does before mail is touched, and how root is left behind. */
#ifndef MX_DAEMON_PRIVILEGES_H
#define MX_DAEMON_PRIVILEGES_H

#include <sys/types.h>

#include "config/config.h"

struct privileges {
	bool drops; /* we are root and the configuration names a user */
	uid_t uid;
	gid_t gid;
	const char *name; /* borrowed from the configuration */
};

/* Who will we be?  MX_ENOENT: there is no such user.  When not root, `user`
 * plays no part. */
enum mx_err privileges_plan(struct privileges *p, const struct config *c,
			    struct buf *why);

/* As root: make what is missing of this directory, the last part with mode
 * and for the future user.  Otherwise nothing is done. */
enum mx_err privileges_folder(const struct privileges *p, struct span path,
			      mode_t mode, struct buf *why);

/* As many descriptors as the system permits, at least `wanted` if we may.
 * Returns how many there are. */
uint64_t privileges_raise_files(uint64_t wanted);

/* For good: checked that there is no way back.  Also for those who never were
 * root: no program we could start may gain rights. */
enum mx_err privileges_drop(const struct privileges *p, struct buf *why);

#endif
