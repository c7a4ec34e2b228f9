/*
 * mx20d, from start to stop: main.c starts it, runs it and stops it;
 * main_prepare.c does what only root may do, main_rooms.c opens and closes all
 * rooms, main_reload.c gives them another configuration.
 */
#ifndef MX_MAIN_PRIV_H
#define MX_MAIN_PRIV_H

#include <ev.h>

#include "daemon/control/control.h"
#include "daemon/guard.h"
#include "daemon/history/keeper.h"
#include "daemon/hooks.h"
#include "daemon/mirror/mirror.h"
#include "daemon/proving.h"
#include "daemon/report/daily.h"
#include "daemon/sockets.h"
#include "daemon/tables/tables.h"
#include "daemon/web/web.h"

struct daemon {
	struct ev_loop *loop;
	struct config *config;
	struct sockets *sockets;
	int control_fd, web_fd;
	size_t most_sessions; /* by the descriptors we may have open */
	unsigned most_links;

	struct spool *spool;
	struct mirror *mirror; /* NULL: none */
	struct router *router;
	struct keeper *keeper;
	struct proving *proving;
	struct known *known;
	struct drain *drain;
	struct policy *policy;
	struct intake *intake;
	struct control *control;
	struct web *web;
	struct daily *daily;
	struct reload *reload;
	struct guard *guard;
	struct tables *tables;
	struct hooks hooks;
	struct relay_door door;

	ev_signal on_term, on_int, on_hup;
	ev_timer stop_look;
	bool is_stopping;
	int64_t stop_by_ms; /* monotonic */
};

/* ---- main_prepare.c ---- */

/* What only root may do, and then root no more.  EX_OK, or the code to exit
 * with and why. */
int daemon_prepare(struct daemon *d, struct buf *why);

/* ---- main_reload.c ---- */

/* From here on it may be reloaded. */
void daemon_reload_open(struct daemon *d);
/* flags: RELOAD_...  The number of the load, or UINT_MAX: we stop, and nobody
 * is answered.  arg: the daemon. */
unsigned daemon_reload_start(unsigned flags, void *arg);

/* ---- main_rooms.c ---- */

/* EX_OK, or the code to exit with and why: then some are open. */
int daemon_open_rooms(struct daemon *d, struct buf *why);
/* Any of them may be missing. */
void daemon_close_rooms(struct daemon *d);

#endif
