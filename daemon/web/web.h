/*
 * The status page, the metrics and the status as JSON, over HTTP: to be looked
 * at, never to change anything.
 *
 *   reader --> server (MHD's thread) --> desk <-- gatherer (a thread)
 *                                                  |        |
 *                                    ask: the loop, some    a view of the
 *                                    of it in each turn     spool
 *
 * A document is made when somebody asks for it, at most once a second, and is
 * the same for all who ask meanwhile.  So readers cost the loop one question a
 * second, however many and however slow they are, and none while nobody reads.
 */
#ifndef MX_WEB_WEB_H
#define MX_WEB_WEB_H

#include <ev.h>

#include "common/spool/spool.h"
#include "config/config.h"
#include "daemon/drain/drain.h"
#include "daemon/mirror/mirror.h"

struct web;

struct web_options {
	struct ev_loop *loop;
	struct spool *spool;
	struct drain *drain;
	struct mirror *mirror; /* NULL: there is none */
	struct config *config; /* a reference is taken */
};

/* Bind what web.listen names, before privileges are dropped; *fd is -1 when it
 * names nothing.  why gets a sentence. */
enum mx_err web_bind(struct span listen, int *fd, struct buf *why);

/* fd is owned from here on; -1: nothing is served, and NULL is returned.  NULL
 * as well, with why, when there is no memory or thread for it. */
struct web *web_new(const struct web_options *opt, int fd, struct buf *why);
/* Before the drain is freed and the spool closed. */
void web_free(struct web **w);
void web_set_config(struct web *w, struct config *config);

#endif
