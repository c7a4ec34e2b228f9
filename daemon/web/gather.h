/* The thread that makes the documents that are asked for. */
#ifndef MX_WEB_GATHER_H
#define MX_WEB_GATHER_H

#include "daemon/web/ask.h"
#include "daemon/web/desk.h"
#include "daemon/web/serve.h"

struct gather;

struct gather_options {
	struct desk *desk;
	struct serve *serve;
	struct ask *ask;
	struct spool *view; /* the thread's alone; owned */
};

/* NULL: no thread could be had. */
struct gather *gather_new(const struct gather_options *opt);
/* After desk_close and ask_close: it is in the middle of one document at
 * most. */
void gather_free(struct gather **g);

#endif
