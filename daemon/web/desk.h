/*
 * Where readers and the gatherer meet: a document that is fresh is handed out
 * again; who asks for one that is not waits until it is made.
 */
#ifndef MX_WEB_DESK_H
#define MX_WEB_DESK_H

#include <microhttpd.h>

#include "common/base/buf.h"

struct desk;

enum { DESK_READERS = 96 }; /* that there are, at most */

enum web_doc {
	DOC_METRICS_TEXT,
	DOC_METRICS_OPEN,
	DOC_STATUS,
	DOC_OUTAGES,
	DOC_PAGE,
	DOC_COUNT,
};

struct desk *desk_new(void);
/* Nobody waits, from now on.  Before the server is stopped: it cannot stop
 * while a connection waits. */
void desk_close(struct desk *d);
/* Behind the server. */
void desk_free(struct desk **d);

/* ---- Readers: on the server's thread ---- */

/*
 * Queue the document to the connection, or suspend that: then it asks again
 * when the document has been made.  Who asks again has what there is, and
 * DESK_NONE if it could not be made.  *result is what the server wants to hear.
 */
enum desk_answer { DESK_QUEUED, DESK_WAITS, DESK_NONE };
enum desk_answer desk_ask(struct desk *d, enum web_doc doc, bool is_again,
			  struct MHD_Connection *conn, enum MHD_Result *result);

/* ---- The gatherer ---- */

/* Wait until something is asked for, at most so long: a bit for each document,
 * 0: nothing is. */
unsigned desk_wait(struct desk *d, int64_t timeout_ms);
bool desk_is_closed(struct desk *d);
/* It was made; the buffer is taken, and empty on return.  cost_ms: how long
 * that took: what is dear is kept longer. */
void desk_put(struct desk *d, enum web_doc doc, struct buf *text,
	      const char *content_type, int64_t cost_ms);
/* Whoever waited asks again. */
void desk_wake(struct desk *d);

#endif
