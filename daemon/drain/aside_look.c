/* The turn of those that were set aside. */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/aside.h"
#include "daemon/drain/aside_priv.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/suspect.h"

enum { LOOK_AGAIN_MS = 1000, LOOKS_A_TURN = 16 };

/* Its unit, marked and in flight; NULL: not ready, or no longer there. */
static struct attempt *take(struct drain *d, struct outcast *s)
{
	struct domain *dom = s->domain;
	struct attempt *a = domain_take_unit(dom, s->key.id);
	struct unit *u = NULL;
	enum mx_err err;

	if (a != NULL)
		return a;
	s->suspect.due_ms = clock_mono_ms() + LOOK_AGAIN_MS;
	err = spool_unit_load(d->spool, s->key.id, domain_name(dom), &u);
	if (err == MX_ENOENT || (err == MX_OK &&
	     (u->state == UNIT_HELD || u->state == UNIT_REFUSED)))
		aside_drop(d, s);
	unit_free(&u);
	return NULL;
}

static bool send_aside(struct dest *dst, struct outcast *s, int target)
{
	struct link *l;
	struct attempt *a = take(dst->drain, s);

	if (a == NULL)
		return false;
	MX_ASSERT(dst->aside == NULL && !a->is_concluding);
	a->is_aside = true;
	a->is_concluding = true; /* nobody's until it is given */
	l = link_new(dst, target, LINK_SINGLE);
	l->single = a;
	dst->aside = l;
	return true;
}

static void send_usual(struct outcast *s)
{
	s->is_usual = true;
	domain_rewind(s->domain);
}

void aside_look(struct dest *dst)
{
	struct drain *d = dst->drain;
	bool is_well = dst->machine.state == DRAIN_UP && !dst->is_shaken;
	bool is_alone;
	struct outcast *s, *tmp;
	int looked = 0, target;

	if (d->outcasts == NULL || dst->aside != NULL || !drain_is_at_work(d) ||
	    !slots_have_room(dst))
		return;
	is_alone = dest_is_idle(dst);
	target = machine_any(&dst->machine, clock_mono_ms());
	if (!is_well && !is_alone)
		return;
	HASH_ITER (hh, d->outcasts, s, tmp) {
		enum suspect_way way = WAY_NONE;

		if (aside_is_of(dst, s))
			way = suspect_way(&s->suspect, is_alone, is_well,
					  clock_mono_ms());
		if (way == WAY_SIDE && target == MACHINE_NONE)
			continue;
		if (way == WAY_SIDE && send_aside(dst, s, target))
			return;
		if (way == WAY_SIDE && ++looked == LOOKS_A_TURN) {
			turns_touch(dst); /* it is not looked at so soon */
			return;
		}
		if (way == WAY_USUAL) {
			send_usual(s);
			return;
		}
	}
}
