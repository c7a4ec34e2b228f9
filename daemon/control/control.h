/* The daemon's half of the control socket. */
#ifndef MX_CONTROL_SERVER_H
#define MX_CONTROL_SERVER_H

#include <ev.h>

#include "common/spool/spool.h"
#include "config/allow/compare.h"
#include "config/config.h"
#include "daemon/drain/drain.h"
#include "daemon/history/traces.h"
#include "daemon/known/known.h"
#include "daemon/mirror/mirror.h"
#include "daemon/route/route.h"

struct control;
struct policy;
struct prover;

struct control_options {
	struct ev_loop *loop;
	struct spool *spool;
	struct drain *drain;
	struct router *router;
	struct known *known;
	struct prover *prover; /* who is proven, for explain */
	struct policy *policy;
	struct traces *traces; /* NULL: there is none */
	struct mirror *mirror; /* NULL: there is none */
	struct config *config; /* a reference is taken */
	/* Begin a reload (RELOAD_FORCED, RELOAD_DRY); the number of the load
	 * whose control_reloaded answers this request. */
	unsigned (*reload)(unsigned flags, void *arg);
	void *arg;
};

/* fd: of common/net/local.h, bound before privileges are dropped.  Everybody
 * may connect: what who may ask is decided for each connection (rights.h).  It
 * is owned from here on. */
struct control *control_new(const struct control_options *opt, int fd);

/* Close every connection and remove the socket.  What was asked of the spool
 * goes on; nobody hears of it.  To be called before spool_close. */
void control_free(struct control **c);
void control_set_config(struct control *c, struct config *config);

/* How a load ended. */
struct control_reload {
	unsigned number;
	const struct config *config; /* NULL: errors says why */
	const struct config_errors *errors;
	const struct change *change; /* with config */
	const struct buf *notes;     /* further warnings, one a line */
	bool is_taken;		     /* it is in force now */
};

/* Answers everyone who asked for this load or an earlier one. */
void control_reloaded(struct control *c, const struct control_reload *ended);

#endif
