/* The daemon's half of the control socket. */
#ifndef MX_CONTROL_SERVER_H
#define MX_CONTROL_SERVER_H

#include <ev.h>

#include "config/config.h"
#include "common/spool/spool.h"
#include "daemon/drain/drain.h"
#include "daemon/route/route.h"

struct control;

struct control_options {
	struct ev_loop *loop;
	struct spool *spool;
	struct drain *drain;
	struct router *router;
	struct config *config; /* a reference is taken */
	/* Begin a reload; control_reloaded answers everyone who asked. */
	void (*reload)(void *arg);
	void *arg;
};

/*
 * Bind the socket, before privileges are dropped: 0660, and of the group mx20
 * where there is one.  A socket left behind is removed if nobody answers on
 * it; MX_EBUSY: somebody does.  why gets a sentence that names the path.
 */
enum mx_err control_bind(struct span path, int *fd, struct buf *why);

/* fd is owned from here on. */
struct control *control_new(const struct control_options *opt, int fd);

/* Close every connection and remove the socket.  What was asked of the spool
 * goes on; nobody hears of it.  To be called before spool_close. */
void control_free(struct control **c);
void control_set_config(struct control *c, struct config *config);

/*
 * A reload ended: errors NULL when it succeeded.  Answers everyone who asked,
 * so it is called only when no other load follows (reload_is_running): the one
 * that ended may have read the files before the operator changed them.
 */
void control_reloaded(struct control *c, const struct config_errors *errors);

#endif
