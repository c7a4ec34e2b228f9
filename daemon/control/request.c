/* The answers to a request, and its end. */
#include "daemon/control/client.h"

#include <stdlib.h>

#include "common/base/assert.h"
#include "daemon/known/verify.h"

void request_part(struct request *r, json_t *object)
{
	struct buf line = { 0 };

	if (r->client == NULL) {
		json_decref(object);
		return;
	}
	control_encode(&line, object);
	conn_write(r->client->conn, buf_span(&line));
	buf_fini(&line);
}

void request_drop(struct request *r)
{
	if (r->control != NULL)
		LIST_REMOVE(r, link);
	MX_ASSERT(r->search == NULL);
	route_cancel(&r->query);
	verify_cancel(&r->waiter);
	buf_fini(&r->address);
	if (r->inquiry != NULL)
		r->stop_inquiry(r);
	buf_fini(&r->reason);
	buf_fini(&r->after);
	free(r->ids);
	free(r);
}

void request_answer(struct request *r, json_t *object)
{
	struct client *cl = r->client;

	request_part(r, object);
	r->client = NULL;
	if (cl == NULL)
		return;
	cl->running = NULL;
	conn_deadline(cl->conn, CLIENT_IDLE_MS);
	if (!cl->in_turn)
		conn_flush(cl->conn);
	/* the lines behind it are not run from here: a verb that answers at
	 * once would call itself */
	ev_timer_start(cl->control->opt.loop, &cl->turn);
}

void request_done(struct request *r, json_t *object)
{
	request_answer(r, object);
	request_drop(r);
}

void request_fail(struct request *r, const char *text)
{
	request_done(r, json_pack("{s:b, s:o}", "ok", 0, "error",
				  control_text(span_str(text))));
}

void request_fail_err(struct request *r, enum mx_err err)
{
	request_fail(r, mx_strerror(err));
}
