/*
 * A question of another thread to the loop: how is it, and how do these
 * destinations do?  The loop answers some of it in each of its turns, whatever
 * is asked; one question at a time.
 */
#ifndef MX_WEB_ASK_H
#define MX_WEB_ASK_H

#include <ev.h>
#include <jansson.h>

#include "common/base/arena.h"
#include "common/base/metrics.h"
#include "daemon/web/web.h"

struct ask;

/* Of a turn; a look at the clock behind some answers. */
enum { ASK_US = 500, ASK_SOME = 16 };

/* Filled in by the loop; all spans live in the arena.  All zero and the names
 * (borrowed while it is asked) to begin with. */
struct question {
	const struct span *names; /* domains */
	size_t count;
	size_t most_others; /* destinations beside those */

	struct arena arena;
	int64_t now_ms; /* wall, when the answer was begun */
	struct metrics metrics;
	struct spool_totals totals; /* of zeros: the spool is unreadable */
	struct span hostname;
	json_t *overview; /* common/status/status.h; NULL: the same */
	struct status_destination *states; /* of the names */
	struct status_destination *others;
	size_t other_count;
	size_t done; /* of the names */
};
void question_fini(struct question *q);

/* On the loop's thread. */
struct ask *ask_new(const struct web_options *opt);
void ask_set_config(struct ask *a, struct config *config);
/* Nobody is answered from now on, nor waits. */
void ask_close(struct ask *a);
void ask_free(struct ask **a);

/* From another thread: waits for the answer.  False: there was none within the
 * time, or it is closed; what has been filled in so far is of no use. */
bool ask_loop(struct ask *a, struct question *q, int64_t timeout_ms);

#endif
