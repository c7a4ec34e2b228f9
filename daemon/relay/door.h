/*
 * How a relayed transaction gets a connection to its primary.  Behind the door
 * stands the drain, and in tests whatever the test says.
 *
 *            ask            begun               the job is done
 *   nothing ────▶ waiting ─────────▶ carrying ───────────────────▶ over
 *                    │                                              ▲
 *                    └── on_none: no connection, another primary ───┘
 *
 * The listener is called from anywhere, from within ask and more_rcpt, too, and
 * must not call back through the door: it takes a note, and acts in a turn of its
 * own.
 */
#ifndef MX_RELAY_DOOR_H
#define MX_RELAY_DOOR_H

#include "daemon/delivery/delivery.h"

struct lane; /* one connection for one transaction, or the wish for one */

/* Why there is none. */
enum lane_none {
	LANE_SAME,  /* (beside) the domain's mail goes the same way */
	LANE_OTHER, /* (beside) it goes elsewhere; or the server lacks what is
		       needed */
	LANE_BUSY,  /* as many as may be are in use */
	LANE_DOWN,  /* the primary does not answer, or must not be asked */
};

/* Whom it leads to; valid during the call. */
struct lane_peer {
	struct span host;
	uint64_t size_most; /* the SIZE it announced; 0: none */
	int64_t conn_ms;    /* how long it took to connect */
	unsigned offered;   /* SMTP_EXT_ bits */
	bool is_reused;	    /* it carried something before */
	bool is_only;	    /* the domain's mail can go to no other target */
};

struct lane_listener {
	/* There is none, and will be none, or no more: others wait for it, and
	 * this one's client was slow for long (LANE_BUSY).  reply
	 * may be empty. */
	void (*on_none)(enum lane_none why, struct span reply, void *arg);
	/* The job is given. */
	void (*on_begun)(const struct lane_peer *peer, void *arg);
	/* As the listener of delivery has it. */
	void (*on_rcpt)(size_t i, enum meaning m, struct span reply, void *arg);
	/* Over; the job is gone after return.  end: how the connection ended;
	 * NULL: it did not. */
	void (*on_done)(const struct delivery_job *job,
			const struct delivery_end *end, void *arg);
};

struct lane_ask {
	struct span domain; /* canonical; copied */
	/* MAIL and its first recipients; taken.  NULL: only whether the
	 * domain's mail would go over the connection of `beside`. */
	struct unit *unit;
	struct lane *beside;
	unsigned needs; /* SMTP_EXT_ bits, without which it is not given */
	/* Whose network has the connection; borrowed during the call. */
	const struct net_addr *client;
	struct delivery_source source;
	const struct lane_listener *listener;
	void *arg;
};

struct relay_door {
	/* Does the primary of this domain answer, or may it?  O(1). */
	bool (*may_answer)(struct span domain, void *arg);
	/* NULL: not now; the unit is gone. */
	struct lane *(*ask)(const struct lane_ask *ask, void *arg);
	/* delivery_more_rcpt, delivery_more_content: while it carries. */
	void (*more_rcpt)(struct lane *l, const struct recipient *r);
	void (*more_content)(struct lane *l, uint64_t bytes, bool is_all);
	/* Whatever it is doing: nobody is told any more.  What was carried is
	 * taken back, as by delivery_job_cancel. */
	void (*close)(struct lane **l);
	/* The same; the primary has been silent for too long. */
	void (*give_up)(struct lane **l);
	void *arg;
};

#endif
