/*
 * The verb bounce: mail goes back to its senders at the operator's word.
 *
 * The drain does it, since it knows what is under way.  A unit that is being
 * delivered at that moment is left alone until that has ended: it is delivered
 * or bounced, never both.  It is asked for again for a while, and if that is
 * not enough, the answer says so.
 */
#include "daemon/control/walk.h"

#include <stdio.h>

#include "common/base/clock.h"

enum { UNITS_PER_STEP = 16, PATIENCE_MS = 2000 };

static void on_given_up(enum mx_err err, void *arg)
{
	struct walk *w = arg;

	w->done += err == MX_OK;
	walk_end(w, err);
}

static void bounce_unit(struct walk *w, const struct unit *u)
{
	const struct request *r = w->request;
	struct drain_order by = { .uid = r->uid };
	enum mx_err err;

	if (w->err != MX_OK)
		return;
	snprintf(by.claimed_uid, sizeof(by.claimed_uid), "%s", r->claimed_uid);
	err = drain_give_up(r->control->opt.drain, u->envelope.id, u->domain,
			    &by, on_given_up, w);
	if (err == MX_OK)
		walk_begin(w);
	else if (err == MX_EBUSY)
		w->under_way++;
	else if (err != MX_ENOENT)
		w->err = err;
}

/* What was in flight may be back by now. */
static bool again(struct walk *w)
{
	int64_t now = clock_mono_ms();

	if (w->patience_ms == 0)
		w->patience_ms = now + PATIENCE_MS;
	if (w->under_way == 0 || now >= w->patience_ms)
		return false;
	w->under_way = 0;
	return true;
}

static void end(struct walk *w)
{
	struct request *r = w->request;

	surgery_log_order(r, w->done);
	request_done(r, walk_answer(w));
}

static const struct walk_ops ops = {
	.units_per_step = UNITS_PER_STEP,
	.unit = bounce_unit,
	.again = again,
	.end = end,
};

static void bounce(struct request *r)
{
	walk_start(r, &ops, false);
}

void bounce_run(struct request *r)
{
	select_check(r, bounce);
}
