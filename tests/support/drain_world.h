/*
 * The whole of the drain on one loop: a spool, a router with primary=, the
 * drain, and a scripted server.  d0.example .. and *.any.example are listed and
 * served there; nobody listens at the primary of away.example.
 */
#ifndef MX_TESTS_SUPPORT_DRAIN_WORLD_H
#define MX_TESTS_SUPPORT_DRAIN_WORLD_H

#include "common/base/clock.h"
#include "daemon/drain/drain.h"
#include "tests/support/folder.h"
#include "tests/support/peer.h"

enum { DOMAINS = 200 };

struct world {
	struct ev_loop *loop;
	struct folder folder;
	struct config *config;
	struct spool *spool;
	struct router *router;
	struct drain *drain;
	struct peer_options popt;
	struct peer *peer;
	const char *sender;
	const char *client; /* that brought it; "": none is known */
	const struct give_up_proof *proof; /* of the next drain */
	bool are_reports; /* what is sent */
	int64_t age_ms; /* of what is sent */
	int64_t lifetime_ms;
	int64_t warn_after_ms; /* 0: nobody is warned */
	unsigned notify;       /* SMTP_NOTIFY_ bits of what is sent */
	unsigned most_links; /* of the next drain; 0: as many as there are */
	bool committed;
};

/* conf: more settings. */
void world_begin(struct world *w, const char *conf, peer_reply *reply);
void world_end(struct world *w);
/* The drain once more, after drain_free. */
void world_start_drain(struct world *w);
/* A list without d0.example. */
struct config *world_shorter_list(struct world *w);

/* One message from w->sender, committed when this returns. */
void world_send(struct world *w, const char *const *paths, size_t count);
void world_send_one(struct world *w, const char *path);

/* Messages in the spool. */
uint64_t world_queued(struct world *w);
enum drain_state world_state(struct world *w, const char *domain);
struct spool_domain world_row(struct world *w, const char *domain);

/* Turn the loop until the expression holds, or fail after half a minute. */
#define WAIT_FOR(w, expr)                                                      \
	do {                                                                   \
		int64_t until = clock_mono_ms() + 30000;                       \
		bool never = false;                                            \
                                                                               \
		while (!(expr) && clock_mono_ms() < until)                     \
			peer_run((w)->loop, &never, 10);                       \
		cr_assert(expr);                                               \
	} while (0)

#endif
