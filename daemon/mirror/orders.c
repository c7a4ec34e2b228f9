#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/human.h"
#include "common/base/log.h"
#include "daemon/mirror/mirror_priv.h"

/*
 * `mirror take NODE` is carried out by the taker, which has a connection that
 * nobody waits for; `mirror leave` by the scribe, as the course it is on.  Each
 * can be asked for once at a time.
 */

struct order {
	enum { ORDER_NONE, ORDER_ASKED, ORDER_ANSWERED } state;
	mirror_done_cb *cb;
	void *arg;
	enum mx_err err;
	uint64_t messages;
	struct buf why;
};

struct orders {
	struct mirror *m;
	pthread_mutex_t lock;
	struct order take, leave;
	char node[MIRROR_NAME]; /* whose mail is to be taken */
	int fd;
	ev_async answered;
};

/* ---- The loop ---- */

/* The order may be given again by who is told. */
static void tell(struct order *o)
{
	struct order was = *o;

	*o = (struct order){ .state = ORDER_NONE };
	was.cb(was.err, was.messages, buf_span(&was.why), was.arg);
	buf_fini(&was.why);
}

static void on_answered(struct ev_loop *loop, ev_async *w, int revents)
{
	struct orders *o = w->data;
	bool is_answered;

	(void)loop, (void)revents;
	pthread_mutex_lock(&o->lock);
	is_answered = o->take.state == ORDER_ANSWERED;
	pthread_mutex_unlock(&o->lock);
	if (is_answered)
		tell(&o->take);
	if (o->leave.state == ORDER_ANSWERED)
		tell(&o->leave);
}

/* It is answered in a turn of its own. */
static bool give(struct order *what, mirror_done_cb *cb, void *arg)
{
	if (what->state != ORDER_NONE)
		return false;
	*what = (struct order){ .state = ORDER_ASKED, .cb = cb, .arg = arg };
	return true;
}

static void refuse(mirror_done_cb *cb, void *arg)
{
	cb(MX_EBUSY, 0, SPAN_LIT("that is under way already"), arg);
}

void mirror_take(struct mirror *m, struct span node, mirror_done_cb *cb,
		 void *arg)
{
	struct orders *o = m->orders;
	uint64_t one = 1;
	bool is_given;

	pthread_mutex_lock(&o->lock);
	is_given = give(&o->take, cb, arg);
	if (is_given)
		snprintf(o->node, sizeof(o->node), "%.*s", SPAN_ARG(node));
	pthread_mutex_unlock(&o->lock);
	if (is_given)
		(void)!write(o->fd, &one, sizeof(one));
	else
		refuse(cb, arg);
}

static enum mirror_state state_of(struct mirror *m)
{
	enum mirror_state state;

	pthread_mutex_lock(&m->lock);
	state = m->status.state;
	pthread_mutex_unlock(&m->lock);
	return state;
}

/* Nobody knows how long it would take, and no mail would be taken meanwhile. */
static void cannot_leave(struct orders *o, enum mirror_state state)
{
	o->leave.err = MX_EBUSY;
	buf_adds(&o->leave.why,
		 state == MIRROR_AWAY
			 ? "the database is away: nothing can be handed over; "
			   "mail is taken as before"
			 : "the database lacks some of the mail: wait until "
			   "it is in step; mail is taken as before");
	o->leave.state = ORDER_ANSWERED;
	ev_async_send(o->m->opt.loop, &o->answered);
}

void mirror_leave(struct mirror *m, mirror_done_cb *cb, void *arg)
{
	enum mirror_state state = state_of(m);
	struct orders *o = m->orders;

	if (!give(&o->leave, cb, arg)) {
		refuse(cb, arg);
		return;
	}
	if (state == MIRROR_AWAY || state == MIRROR_BEHIND) {
		cannot_leave(o, state);
	} else if (!atomic_exchange(&m->is_leaving, true)) {
		log_info(EV_MIRROR, LOG_STR("node", m->node),
			 LOG_STR("reason", "asked to leave: no mail is taken "
					   "any more"));
		m->opt.leave(m->opt.arg);
	}
}

void orders_look(struct orders *o)
{
	if (o->leave.state != ORDER_ASKED || state_of(o->m) != MIRROR_LEFT)
		return;
	o->leave.messages = atomic_load(&o->m->messages);
	o->leave.state = ORDER_ANSWERED;
	ev_async_send(o->m->opt.loop, &o->answered);
}

/* ---- The taker ---- */

int orders_fd(const struct orders *o)
{
	return o->fd;
}

static void say_unknown(const struct mirror *m, struct order *done,
			const char *node)
{
	if (strcmp(node, m->node) == 0)
		buf_addf(&done->why, "that is this node; to hand its mail over:"
				     " mx20ctl mirror leave");
	else
		buf_addf(&done->why, "there is no node %s in the database",
			 node);
}

/* The rows of SQL_GIVE: each life of that node.  One that lives is left alone,
 * and so are all. */
static enum mx_err judge(const struct mirror *m, struct order *done,
			 const char *node, struct db *db)
{
	size_t n = db_rows(db, 0);

	if (n == 0) {
		say_unknown(m, done, node);
		return MX_ENOENT;
	}
	for (size_t i = 0; i < n; i++) {
		int64_t left_ms = db_number(db, 0, i, 1);

		if (left_ms > 0) {
			buf_addf(
				&done->why,
				"the lease of %s runs for %lld s more: if it is"
				" dead, wait so long and ask again; if it"
				" lives, stop it, or let it leave",
				node, (long long)((left_ms + 999) / 1000));
			return MX_EBUSY;
		}
		done->messages += (uint64_t)db_number(db, 0, i, 2);
	}
	return MX_OK;
}

static enum mx_err carry_out(struct mirror *m, struct order *done,
			     const char *node, struct db *db)
{
	enum { TIMEOUT_MS = 5000 };
	struct param p[] = {
		PARAM_SPAN(span_str(node)),
		PARAM_INT(board_who(m).owner),
	};
	enum mx_err err = MX_ENET;

	if (db_is_open(db)) {
		err = schema_unfreeze(m, db, TIMEOUT_MS);
		if (err == MX_OK)
			db_send(db, SQL_GIVE, p);
		if (err == MX_OK)
			err = db_run(db, TIMEOUT_MS);
		if (err == MX_OK)
			return judge(m, done, node, db);
		buf_adds(&done->why, db_error(db));
	} else {
		buf_adds(&done->why, "the database is away");
	}
	return err;
}

/* Lock held: unless it was answered meanwhile, since we stop. */
static void answer(struct orders *o, struct order *done)
{
	if (o->take.state != ORDER_ASKED)
		return;
	o->take.err = done->err;
	o->take.messages = done->messages;
	o->take.why = done->why;
	done->why = (struct buf){ 0 };
	o->take.state = ORDER_ANSWERED;
	ev_async_send(o->m->opt.loop, &o->answered);
}

void orders_work(struct orders *o, struct db *db)
{
	struct order done = { .state = ORDER_NONE };
	char node[MIRROR_NAME];
	uint64_t count;
	bool is_asked;

	(void)!read(o->fd, &count, sizeof(count));
	pthread_mutex_lock(&o->lock);
	is_asked = o->take.state == ORDER_ASKED;
	memcpy(node, o->node, sizeof(node));
	pthread_mutex_unlock(&o->lock);
	if (!is_asked)
		return;
	done.err = carry_out(o->m, &done, node, db);
	pthread_mutex_lock(&o->lock);
	answer(o, &done);
	pthread_mutex_unlock(&o->lock);
	buf_fini(&done.why);
}

/* ---- Life ---- */

struct orders *orders_new(struct mirror *m)
{
	struct orders *o = mx_alloc(sizeof(*o));

	o->m = m;
	pthread_mutex_init(&o->lock, NULL);
	o->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	MX_ASSERT(o->fd >= 0);
	ev_async_init(&o->answered, on_answered);
	o->answered.data = o;
	ev_async_start(m->opt.loop, &o->answered);
	return o;
}

static void end(struct orders *o, struct order *what)
{
	bool is_open;

	pthread_mutex_lock(&o->lock);
	is_open = what->state != ORDER_NONE;
	if (what->state == ORDER_ASKED) {
		what->err = MX_ESTOP;
		buf_reset(&what->why);
		buf_adds(&what->why, "mx20d stops");
	}
	what->state = ORDER_ANSWERED;
	pthread_mutex_unlock(&o->lock);
	if (is_open)
		tell(what);
}

void orders_close(struct orders *o)
{
	ev_async_stop(o->m->opt.loop, &o->answered);
	end(o, &o->take);
	end(o, &o->leave);
}

void orders_free(struct orders **op)
{
	struct orders *o = *op;

	*op = NULL;
	if (o == NULL)
		return;
	close(o->fd);
	pthread_mutex_destroy(&o->lock);
	free(o);
}
