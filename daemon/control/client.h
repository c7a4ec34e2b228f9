/* One connection of mx20ctl: see server.c. */
#ifndef MX_CONTROL_CLIENT_H
#define MX_CONTROL_CLIENT_H

#include "common/net/conn.h"
#include "daemon/control/control_priv.h"

enum { CLIENT_MAGIC = 0x636c6e74, CLIENT_IDLE_MS = 60 * 1000 };

struct client {
	unsigned magic;
	LIST_ENTRY(client) link;
	struct control *control;
	struct conn *conn;
	struct request *running;
	ev_timer turn; /* to go on after LINES_PER_TURN */
	int64_t uid;   /* who connected, for the log */
	enum right right;
	bool in_turn; /* lines are being run: output goes out at the end */
};

#endif
