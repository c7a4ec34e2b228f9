/* Unix sockets to listen on: the file is made, found stale, removed. */
#ifndef MX_NET_LOCAL_H
#define MX_NET_LOCAL_H

#include "common/base/buf.h"
#include "common/base/err.h"

/*
 * Bind and listen.  Everybody may connect who may enter the folder: who may do
 * what is the server's to decide.  A socket left behind is removed if nobody
 * answers on it; MX_EBUSY: somebody does.  why gets a sentence that names the
 * path.
 */
enum mx_err local_listen(struct span path, int *fd, struct buf *why);

#endif
