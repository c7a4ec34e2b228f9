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
	struct config *config;
	/* Begin a reload; control_reloaded answers everyone who asked. */
	void (*reload)(void *arg);
	void *arg;
};

/* Bind the socket (0660, before privileges are dropped). */
enum mx_err control_bind(struct span path, int *fd, struct buf *why);
struct control *control_new(const struct control_options *opt, int fd);
void control_free(struct control **c);
void control_set_config(struct control *c, struct config *config);
/* A reload ended: errors NULL when it succeeded. */
void control_reloaded(struct control *c, const struct config_errors *errors);

#endif
