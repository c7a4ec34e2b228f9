#include <poll.h>

#include "daemon/mirror/scribe_priv.h"

/*
 * What the mirror lacks is noted in the spool.  Some of it is picked, sent as
 * it is now, in parcels of bounded size, and struck off unless it has changed
 * since.  When nothing is left the spool joins: from its next transaction on
 * both go together.
 */

enum { PICK_BYTES = 4 << 20, PARCEL_BYTES = 2 << 20, JOIN_LOOK_MS = 5 };

/* ---- On the loop ---- */

struct pick {
	struct call call;
	struct arrears *arrears;
};

static void on_pick(enum mx_err err, struct arrears *a, void *arg)
{
	struct pick *p = arg;

	p->arrears = a;
	call_done(&p->call, err, 0);
}

static void run_pick(struct call *c)
{
	struct mirror *m = c->arg;

	spool_mirror_pick(m->opt.spool, PICK_BYTES, on_pick, c);
}

static void fini_pick(struct call *c)
{
	arrears_free(&((struct pick *)c)->arrears);
}

static void run_sent(struct call *c)
{
	struct mirror *m = c->arg;

	spool_mirror_sent(m->opt.spool, &((struct pick *)c)->arrears,
			  call_counted, c);
}

static void run_join(struct call *c)
{
	struct mirror *m = c->arg;

	spool_mirror_join(m->opt.spool, call_counted, c);
}

/* ---- The scribe ---- */

static enum mx_err export(struct scribe *s, struct arrears *a,
			  struct parcel *p) {
	enum mx_err err = MX_ESTOP;

	pthread_mutex_lock(&s->m->view_lock);
	if (s->m->view != NULL)
		err = spool_mirror_export(s->m->view, a, PARCEL_BYTES, p);
	pthread_mutex_unlock(&s->m->view_lock);
	return err;
}

/* A pick is a parcel: of a large content a part, and the rest is picked again.
 */
static enum mx_err send_some(struct scribe *s, struct arrears *a)
{
	struct parcel *p = parcel_new();
	enum mx_err err = export(s, a, p);

	if (err == MX_OK)
		err = scribe_send(s, SQL_CATCH, p, arrears_seq(a));
	if (err == MX_OK)
		scribe_renewed(s);
	parcel_free(&p);
	return err;
}

static enum mx_err strike_off(struct scribe *s, struct arrears **a)
{
	struct pick *p = call_new(run_sent, fini_pick, sizeof(*p));
	enum mx_err err;

	p->arrears = *a;
	*a = NULL;
	err = calls_wait(s->m->calls, &p->call);
	call_release(&p->call);
	return err;
}

/* The batch that joins may have something in it already, and its writer waits
 * for that before we hear that we have joined. */
static enum turn serve_meanwhile(struct scribe *s, struct call *c)
{
	struct pollfd fd = { .fd = hand_fd(s->m->hand), .events = POLLIN };
	enum turn turn = TURN_NONE;

	while (!call_is_over(c)) {
		(void)poll(&fd, 1, JOIN_LOOK_MS);
		if (turn == TURN_NONE)
			turn = scribe_serve(s);
	}
	return turn;
}

static enum turn join(struct scribe *s)
{
	struct call *c = call_new(run_join, NULL, sizeof(*c));
	enum turn turn;
	enum mx_err err;

	calls_start(s->m->calls, c);
	turn = serve_meanwhile(s, c);
	err = call_result(c);
	call_release(c);
	if (turn != TURN_NONE)
		return turn;
	if (err == MX_OK)
		return TURN_JOINED;
	return err == MX_EBUSY ? TURN_LACKS : scribe_failed(s, err);
}

enum turn scribe_catch(struct scribe *s)
{
	enum turn turn = scribe_renew(s);
	struct arrears *a;
	struct pick *p;
	enum mx_err err;

	if (turn != TURN_NONE)
		return turn;
	p = call_new(run_pick, fini_pick, sizeof(*p));
	err = calls_wait(s->m->calls, &p->call);
	a = err == MX_OK ? p->arrears : NULL;
	if (err == MX_OK)
		p->arrears = NULL;
	call_release(&p->call);
	if (err == MX_ENOENT)
		return join(s);
	if (err == MX_OK)
		err = send_some(s, a);
	if (err == MX_OK)
		err = strike_off(s, &a);
	arrears_free(&a);
	return err == MX_OK ? TURN_NONE : scribe_failed(s, err);
}
