/*
 * Connections of mx20ctl: lines in, answers out.
 *
 *            line              verb answers
 *   waiting ------> running ----------------> waiting
 *
 * While a request runs, or while the client does not read its answers, its
 * socket is not read: nobody can make us keep more than one answer.
 */
#include "daemon/control/client.h"
#include "daemon/control/walk.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/net/listen.h"

enum {
	CLIENTS_MAX = 64,
	LOOKERS_MAX = 48,
	LINES_PER_TURN = 64,	  /* then others have the loop */
	OUTPUT_HIGH = 256 * 1024, /* above it no further line is run */
};

static void client_free(struct client *cl)
{
	struct control *c = cl->control;

	if (cl->running != NULL)
		cl->running->client = NULL;
	ev_timer_stop(c->opt.loop, &cl->turn);
	conn_free(&cl->conn);
	LIST_REMOVE(cl, link);
	MX_ASSERT(c->client_count > 0);
	c->client_count--;
	cl->magic = 0;
	free(cl);
}

/* ---- Lines ---- */

static struct request *request_new(struct client *cl)
{
	struct request *r = mx_alloc(sizeof(*r));

	r->control = cl->control;
	r->client = cl;
	r->uid = cl->uid;
	r->right = cl->right;
	LIST_INSERT_HEAD(&cl->control->requests, r, link);
	cl->running = r;
	return r;
}

static void refuse(struct client *cl, const char *text)
{
	struct buf line = { 0 };

	control_encode(&line, json_pack("{s:b, s:s}", "ok", 0, "error", text));
	conn_write(cl->conn, buf_span(&line));
	buf_fini(&line);
	conn_close_after_output(&cl->conn, SECONDS(5));
	client_free(cl);
}

/* False: cl is gone, or no whole line waits. */
static bool run_line(struct client *cl)
{
	struct span in = conn_input(cl->conn);
	size_t had = in.n;
	json_t *object;
	enum mx_err err = control_decode(&in, &object);

	if (err == MX_EBUSY)
		return false;
	if (err != MX_OK) {
		refuse(cl, "a request is one JSON object on one line");
		return false;
	}
	conn_consume(cl->conn, had - in.n);
	conn_deadline(cl->conn, 0); /* the answer takes what it takes */
	cl->in_turn = true;
	verb_run(request_new(cl), object);
	cl->in_turn = false;
	json_decref(object);
	return true;
}

static void run_lines(struct client *cl)
{
	struct ev_loop *loop = cl->control->opt.loop;

	for (int i = 0; i < LINES_PER_TURN; i++) {
		if (cl->running != NULL ||
		    conn_output_pending(cl->conn) > OUTPUT_HIGH) {
			conn_pause(cl->conn);
			return;
		}
		/* an answer given at once asks for a turn: here it is */
		ev_timer_stop(loop, &cl->turn);
		if (!run_line(cl))
			return;
	}
	conn_pause(cl->conn);
	ev_timer_start(loop, &cl->turn);
}

static struct client *client_of(void *arg)
{
	struct client *cl = arg;

	MX_ASSERT(cl->magic == CLIENT_MAGIC);
	return cl;
}

static void on_input(struct conn *conn, void *arg)
{
	(void)conn;
	run_lines(client_of(arg));
}

static void on_drained(struct conn *conn, void *arg)
{
	struct client *cl = client_of(arg);

	if (cl->running == NULL)
		conn_resume(conn);
}

static void on_turn(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct client *cl = client_of(w->data);

	(void)loop;
	(void)revents;
	conn_resume(cl->conn);
}

static void on_end(struct conn *conn, enum conn_end why, void *arg)
{
	(void)conn;
	(void)why;
	client_free(client_of(arg));
}

static const struct conn_events events = {
	.on_input = on_input,
	.on_drained = on_drained,
	.on_end = on_end,
};

/* ---- Connections ---- */

/* Not one of ours, or one too many.  Nothing is waited for: a new socket takes
 * a line, and who does not read it does not hear it. */
static void turn_away(int fd, const char *text)
{
	struct buf line = { 0 };

	control_encode(&line, json_pack("{s:b, s:s}", "ok", 0, "error", text));
	(void)send(fd, line.p, line.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	buf_fini(&line);
	close(fd);
}

/* Those who only look cannot keep out those who give orders. */
static bool is_full(const struct control *c, enum right right)
{
	return c->client_count >=
	       (right == RIGHT_ALL ? CLIENTS_MAX : LOOKERS_MAX);
}

static void on_accept(int fd, const struct net_addr *peer, void *arg)
{
	struct control *c = arg;
	struct client *cl;
	int64_t uid;
	enum right right = rights_of_peer(&c->rights, fd, &uid);

	(void)peer;
	if (right == RIGHT_NONE) {
		turn_away(fd, CONTROL_NOT_PERMITTED);
		return;
	}
	if (is_full(c, right)) {
		turn_away(fd, "too many ask at once");
		return;
	}
	cl = mx_alloc(sizeof(*cl));
	cl->magic = CLIENT_MAGIC;
	cl->control = c;
	cl->uid = uid;
	cl->right = right;
	ev_timer_init(&cl->turn, on_turn, 0., 0.);
	cl->turn.data = cl;
	LIST_INSERT_HEAD(&c->clients, cl, link);
	c->client_count++;
	cl->conn = conn_new(c->opt.loop, fd, &events, cl);
	conn_deadline(cl->conn, CLIENT_IDLE_MS);
}

/* Where the socket file is: removed at the end. */
static void remember_path(struct control *c, int fd)
{
	struct sockaddr_un at = { 0 };
	socklen_t len = sizeof(at);

	if (getsockname(fd, (struct sockaddr *)&at, &len) == 0 &&
	    at.sun_family == AF_UNIX)
		memcpy(c->path, at.sun_path, sizeof(c->path));
	c->path[sizeof(c->path) - 1] = '\0';
}

struct control *control_new(const struct control_options *opt, int fd)
{
	struct control *c = mx_alloc(sizeof(*c));

	c->opt = *opt;
	c->opt.config = config_ref(opt->config);
	rights_find(&c->rights);
	LIST_INIT(&c->clients);
	LIST_INIT(&c->requests);
	remember_path(c, fd);
	c->listener = listener_new(opt->loop, fd, on_accept, c);
	return c;
}

void control_free(struct control **cp)
{
	struct control *c = *cp;
	struct request *r;

	*cp = NULL;
	if (c == NULL)
		return;
	while (!LIST_EMPTY(&c->clients))
		client_free(LIST_FIRST(&c->clients));
	/* the spool answers them when it closes; others nobody answers */
	while ((r = LIST_FIRST(&c->requests)) != NULL) {
		bool is_nobodys = select_stop(r);

		LIST_REMOVE(r, link);
		r->control = NULL;
		if (is_nobodys || r->query != NULL || r->inquiry != NULL ||
		    r->waiter != NULL || r->awaits_reload != 0 ||
		    (r->walk != NULL && walk_stop(r->walk)))
			request_drop(r);
	}
	listener_free(&c->listener);
	if (c->path[0] != '\0')
		unlink(c->path);
	config_unref(&c->opt.config);
	free(c);
}

void control_set_config(struct control *c, struct config *config)
{
	struct config *old = c->opt.config;

	c->opt.config = config_ref(config);
	config_unref(&old);
}
